"""A merge file as a point of a merge study: its method, knobs and coefficients, for the faders. Uses the store.

The file is read by engine/merging/reading.py in a process of its own, since the page loads no torch. Models that it
names must be the study's own: no other path is opened.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from engine.core.errors import Problem
from engine.core.files import CHECKOUT
from engine.core.safe_yaml import parsed as read_yaml
from engine.jobs.supervisor import CHILD_ENVIRONMENT
from engine.spec.merge import AT, block_of, blocks_of
from engine.spec.merge_file import ALL, coefficients_at
from engine.spec.merge_point import references
from engine.studies.merges.questions import merge_spec, task_of
from store import studies
from store.database import Store

LARGEST = 4 << 20  # most bytes of a merge file
SECONDS = 120


def open_merge_file(store: Store, study: studies.Study, text: str) -> dict:
    """{"method", "knobs", "by": "model" | "layer", "coefficients": {coordinate: value}} of a merge file.

    Experts that the file leaves out are at 0. Raises Problem if a model is not the study's, or faders cannot show it:
    slices, knobs that differ between tensors, coefficients that differ inside a layer.
    """
    spec = merge_spec(study)
    paths = references(store.workspace.root, task_of(study, spec))
    names = dict(zip(paths[1:], study.corpus["experts"], strict=True))
    found = read(renamed(parsed(text), paths, names))
    knobs = {name: value for name, value in found["knobs"].items() if value is not None}
    own = [names[path] for path in found["experts"]]
    weight = found["weight"]
    if not isinstance(weight, dict):
        zero = dict.fromkeys(study.corpus["experts"], 0.0)
        return {
            "method": found["method"],
            "knobs": knobs,
            "by": "model",
            "coefficients": zero | dict(zip(own, weight, strict=True)),
        }
    layers = spec.fidelity.layers if spec.fidelity else layers_in(weight)
    return {
        "method": found["method"],
        "knobs": knobs,
        "by": "layer",
        "coefficients": by_block(weight, own, study.corpus["experts"], layers),
    }


def parsed(text: str) -> dict:
    """The file as a table. Raises Problem for anything else."""
    if len(text) > LARGEST:
        raise Problem(f"Cannot open a merge file of {len(text):,} characters: at most {LARGEST:,} are allowed.")
    try:
        values = read_yaml(text)
    except ValueError as error:
        raise Problem(f"Cannot read the merge file: {error}. Fix it and try again.") from error
    if not isinstance(values, dict) or not isinstance(values.get("models"), list):
        raise Problem("Cannot open the merge file: it must name its `models`, as mergekit's files do (and no slices).")
    return values


def renamed(values: dict, paths: list[str], names: dict[str, str]) -> dict:
    """The same table with the study's own paths. Raises Problem if a model is not the study's."""
    known = {name: path for path, name in names.items()} | {path: path for path in paths}
    known |= {os.path.basename(path).removesuffix(".safetensors"): path for path in paths}
    known |= {"base": paths[0]} if "base" not in known else {}

    def own(value) -> str:
        short = os.path.basename(str(value).rstrip("/")).removesuffix(".safetensors")
        for key in (str(value), str(value).rpartition("+")[2], short):
            if key in known:
                return known[key]
        there = ", ".join(names.values())
        raise Problem(f"Cannot open the merge file: {str(value)[:80]!r} is not a model of this study. It has: {there}.")

    models = [{**one, "model": own(one.get("model"))} for one in values["models"] if isinstance(one, dict)]
    based = {"base_model": own(values["base_model"])} if values.get("base_model") else {}
    return {**values, "models": models, **based}


def read(values: dict) -> dict:
    """The point that engine/merging/reading.py reads from a merge file. Raises its Problem."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "merge.yml"
        file.write_text(yaml.safe_dump(values, allow_unicode=True))
        command = [sys.executable, "-m", "engine.merging.reading", str(file)]
        environment = {**os.environ, **CHILD_ENVIRONMENT}
        try:
            done = subprocess.run(
                command, cwd=CHECKOUT, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Problem(f"Cannot open the merge file: reading it took over {SECONDS} seconds. Try again.") from error
    if done.returncode:
        raise Problem((done.stderr.strip().splitlines() or ["Cannot open the merge file."])[-1])
    return json.loads(done.stdout)


def layers_in(weight: dict) -> int:
    """How many layers the named tensors reach."""
    numbers = [int(block.removeprefix("layer ")) for block in map(block_of, weight) if block.startswith("layer ")]
    return 1 + max(numbers, default=-1)


def by_block(weight: dict, own: list[str], experts: list[str], layers: int) -> dict[str, float]:
    """Coefficients by tensor as one per expert and block. Raises Problem if they differ inside a block."""
    found = {}
    for block in blocks_of(layers):
        inside = {tuple(weight[name]) for name in weight if name != ALL and block_of(name) == block}
        if len(inside) > 1:
            raise Problem(f"Cannot show the merge on faders: its coefficients differ inside {block}.")
        values = inside.pop() if inside else coefficients_at(weight, block)
        found |= {f"{expert}{AT}{block}": 0.0 for expert in experts}
        found |= {f"{expert}{AT}{block}": value for expert, value in zip(own, values, strict=True)}
    return found
