"""`python -m engine.merge_methods` writes the table as JSON, which pages read without loading torch."""

import json

from engine.merge_methods import METHODS
from engine.merge_methods.knobs import REQUIRED, knobs_of
from engine.merge_table import FILE


def described() -> list[dict]:
    """Every method of the table, with its knobs, as JSON can hold it."""
    told = []
    for name, method in METHODS.items():
        knobs = [
            {
                "name": knob.name, "kind": knob.kind.__name__, "each": knob.each, "low": knob.low, "high": knob.high,
                "default": None if knob.default is REQUIRED else knob.default,
            }
            for knob in knobs_of(method).values()
        ]  # fmt: skip
        told.append(
            {
                "name": name, "title": method.title, "paper": method.paper, "base": method.base,
                "least": method.least, "most": method.most, "knobs": knobs,
            }
        )  # fmt: skip
    return told


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(one) for one in described())
    FILE.write_text(f"[\n{lines}\n]\n")
