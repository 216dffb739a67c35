"""A merge file as a point of a study: method, experts, coefficients and knobs (engine/spec/merge_file.py).

A page runs it as a process of its own: `python -m engine.merging.reading FILE MODELS`, the latter JSON of
{path: name}, all that the file may name.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

from engine.core.errors import Problem
from engine.merging.config import MergeConfig, experts_of, from_dict, table_of
from engine.merging.layout import opened, plan
from engine.merging.methods.knobs import knobs_of
from engine.merging.parameters import values_for
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


def study_models(values: dict, models: dict[str, str]) -> dict:
    """The same settings with the study's own paths. Raises Problem if a model is not one of `models` {path: name}."""
    known = {os.path.basename(path).removesuffix(".safetensors"): path for path in models}
    known |= {path: path for path in models} | {name: path for path, name in models.items()}

    def own(value: object) -> str:
        short = os.path.basename(str(value).rstrip("/")).removesuffix(".safetensors")
        for key in (str(value), str(value).rpartition("+")[2], short):
            if key in known:
                return known[key]
        there = ", ".join(models.values())
        raise Problem(f"Cannot open the merge file: {str(value)[:80]!r} is not a model of this study. It has: {there}.")

    listed = values.get("models")
    if not isinstance(listed, list):
        raise Problem("Cannot open the merge file: it must name its `models`, as mergekit's files do (and no slices).")
    named = [{**one, "model": own(one.get("model"))} if isinstance(one, dict) else one for one in listed]
    based = {"base_model": own(values["base_model"])} if values.get("base_model") else {}
    return {**values, "models": named, **based}


def main(file: Path, models: Path) -> None:
    """Print the point as JSON, or end with why there is none."""
    try:
        values = study_models(table_of(file.read_text()), json.loads(models.read_text()))
        print(json.dumps(point_of(from_dict(values, Path("/")))))
    except Problem as problem:
        sys.exit(str(problem))
    except ValueError as error:
        sys.exit(f"Cannot read the merge file: {error}. Fix it and try again.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
