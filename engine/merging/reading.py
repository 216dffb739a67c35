"""A merge file as a point of a study: method, experts, coefficients and knobs (engine/spec/merge_file.py)."""

import json
import sys
from collections import Counter
from pathlib import Path

from engine.core.errors import Problem
from engine.merging.config import MergeConfig, experts_of, read_config, values_for
from engine.merging.layout import opened, plan
from engine.merging.methods.knobs import knobs_of
from engine.spec.merge_file import ALL


def point_of(config: MergeConfig) -> dict:
    """{"method", "base", "experts", "weight", "knobs", "seed"} of a merge file.

    weight: one number per expert; or by tensor, with `*` for the commonest, where filters and gradients make them
    differ; empty if the method has none. Raises Problem for layers assembled from slices, and for other knobs
    that differ between tensors: a fader has one value.
    """
    if any(source.layers for piece in config.slices for source in piece.sources):
        raise Problem("Cannot open the merge as a point: it assembles layers from slices, which faders cannot express.")
    piece = config.slices[0]
    weights, knobs = {}, None
    for one in plan(config, opened(config)):
        if not one.slot.dtype.is_floating_point:
            continue
        values = values_for(config, piece, one.slot.name, one.inputs, one.t)
        weights[one.slot.name] = values.pop("weight", [])
        if knobs is not None and values != knobs:
            name = next(name for name in values if values[name] != knobs[name])
            raise Problem(
                f"Cannot open the merge as a point: its {name} differs between tensors ({one.slot.name!r} has "
                f"{values[name]}), and a fader has one value. Give one value for all."
            )
        knobs = values
    each = [name for name, knob in knobs_of(config.method).items() if knob.each]
    for name in set(each) & (knobs or {}).keys():
        knobs[name] = knobs[name][0] if len(set(knobs[name])) == 1 else knobs[name]
    return {
        "method": config.name,
        "base": piece.base,
        "experts": [one.model for one in experts_of(config, piece)],
        "weight": simplest(weights),
        "knobs": knobs or {},
        "seed": config.seed,
    }


def simplest(weights: dict[str, list[float]]) -> list[float] | dict[str, list[float]]:
    """Coefficients by tensor as one list if they are all the same, else with the commonest as `*`."""
    common = list(Counter(map(tuple, weights.values())).most_common(1)[0][0])
    others = {name: values for name, values in weights.items() if values != common}
    return others | {ALL: common} if others else common


def main(path: Path) -> None:
    """`python -m engine.merging.reading FILE`: the point as JSON, or why there is none."""
    try:
        print(json.dumps(point_of(read_config(path))))
    except Problem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
