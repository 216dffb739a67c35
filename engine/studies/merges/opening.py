"""A merge file as a point of a merge study: its method, knobs and coefficients, for the faders. Uses the store.

The file is read by engine/merging/reading.py in a process of its own: the page loads no torch, and 4 MB of YAML would
hold up everybody for seconds. Models that it names must be the study's own: no other path is opened.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from engine.core.errors import Problem
from engine.core.files import CHECKOUT
from engine.jobs.supervisor import CHILD_ENVIRONMENT
from engine.spec.merge import AT, block_of, blocks_of
from engine.spec.merge_file import ALL, coefficients_at
from engine.spec.merge_point import references
from engine.studies.merges.questions import merge_spec, task_of
from store import studies
from store.database import Store

LARGEST = 4 << 20  # most bytes of a merge file
SECONDS = 120
READERS = threading.BoundedSemaphore(2)  # files that are read at once: each takes a process with torch


def open_merge_file(store: Store, study: studies.Study, text: str) -> dict:
    """{"method", "knobs", "by": "model" | "layer", "coefficients": {coordinate: value}} of a merge file.

    Experts that the file leaves out are at 0. Raises Problem if a model is not the study's, or faders cannot show it:
    slices, knobs that differ between tensors, coefficients that differ inside a layer.
    """
    spec = merge_spec(study)
    paths = references(store.workspace.root, task_of(study, spec))
    names = dict(zip(paths[1:], study.corpus["experts"], strict=True))
    found = read(text, {paths[0]: "base", **names})
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


def read(text: str, models: dict[str, str]) -> dict:
    """The point that engine/merging/reading.py reads from a merge file. models: {path: name} of all that it may name.
    Raises its Problem."""
    if len(text) > LARGEST:
        raise Problem(f"Cannot open a merge file of {len(text):,} characters: at most {LARGEST:,} are allowed.")
    environment = {**os.environ, **CHILD_ENVIRONMENT}
    with READERS, tempfile.TemporaryDirectory() as folder:
        file, known = Path(folder) / "merge.yml", Path(folder) / "models.json"
        file.write_text(text)
        known.write_text(json.dumps(models))
        command = [sys.executable, "-m", "engine.merging.reading", str(file), str(known)]
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
