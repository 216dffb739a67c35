"""Which cheaper proxies rank the demo's mixtures as larger ones do: `OMP_NUM_THREADS=1 python -m benchmarks.fidelity`.

The fidelity lab on the demo's corpus, as a user would start it: 24 spread mixtures and two seeds of each candidate, and
of a reference of REFERENCE times the weights of the demo's proxies and as many more tokens (about 15 CPU minutes). With
names of candidates, only these. Writes benchmarks/results/fidelity.json and fidelity.md.
"""

import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.commands import engine
from engine.core.files import write_json

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.fidelity"
RESULTS = Path(__file__).parent / "results"
REFERENCE = 1.5
NAMES = [
    "as the study",
    "a quarter of the tokens",
    "a quarter of the tokens, rate x 0.1",
    "a quarter of the tokens, rate x 0.01",
]
DEMO = """
name = "Demo"
runs = 8
repeats = 0
seed = 7
fidelity = "demo"
priorities = {junk = 0.0}
surrogates = ["ridge"]
"""


def measured(names: list[str]) -> dict:
    """The lab's answer."""
    with tempfile.TemporaryDirectory() as folder:
        workspace, file = Path(folder) / "workspace", Path(folder) / "demo.toml"
        file.write_text(DEMO)
        began = time.monotonic()
        engine(workspace, "start", str(file), "--wait")
        asked = [word for name in names for word in ("--fidelity", name)]
        found = engine(workspace, "fidelity-lab", "Demo", "--start", "--times", str(REFERENCE), *asked, "--wait")
    return {**found, "minutes": round((time.monotonic() - began) / 60, 1)}


def page(found: dict) -> str:
    """The results as a page."""
    size, own = found["reference"], next((one for one in found["fidelities"] if one["name"] == "as the study"), None)
    lines = [
        "# Which proxies can be trusted",
        "",
        f"`{COMMAND}`, {date.today()}, {os.cpu_count()} cores, {found['minutes']} minutes by the clock.",
        "",
        f"{found['mixtures']} spread mixtures of the demo's domains, {found['seeds']} seeds each, against proxies of "
        f"width {size['width']}, {size['layers']} layers and {size['tokens'] / 1e6:.2g} million tokens (reliability "
        f"{found['reference_reliability']:.2f}). Rank: Spearman's correlation of the mean loss, junk not counted, "
        "without noise (Spearman 1904), with its 95% interval bootstrapped over mixtures. Cost: in that of the demo's "
        "own proxies, where these were measured, and of the reference.",
        "",
        "| proxies | rank, 95% | as measured | reliability | of the demo's cost | of the reference's |",
        "|---|---|---|---|---|---|",
    ]
    for one in found["fidelities"]:
        rank = "unknown" if one["rank"] is None else f"{one['rank']:.2f}"
        part = f"{one['cost'] / own['cost']:.2f}" if own else ""
        lines.append(
            f"| {one['name']} | {rank} ({one['low']:.2f} to {one['high']:.2f}) | {one['observed']:.2f} | "
            f"{one['reliability']:.2f} | {part} | {one['cost']:.2f} |"
        )
    lines += [f"| {name} | not judged: {why} | | | | |" for name, why in found["not_judged"].items()]
    chosen = found["recommended"]
    said = (
        f"Recommended, as the cheapest whose interval lies above .8: **{chosen}**."
        if chosen
        else "**None** of these has an interval above .8, so none is recommended."
    )
    return "\n".join([*lines, "", said, ""])


def main() -> None:
    found = measured(sys.argv[1:] or NAMES)
    write_json(RESULTS / "fidelity.json", found)
    (RESULTS / "fidelity.md").write_text(page(found))


if __name__ == "__main__":
    main()
