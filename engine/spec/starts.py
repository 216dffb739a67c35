"""Starts: saved proxies of the workspace, whose weights the runs of a study begin with. Plain data; no torch.

In a study that continues from a checkpoint every run begins as a copy of one saved proxy, and its rate rises and falls
once more (Ibrahim et al. 2024, "Simple and scalable strategies to continually pre-train large language
models"). What text keeps it from forgetting is a domain of the mixture like any other.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.core.workspace import checked_name, within
from engine.jobs.runs import run_id
from engine.spec.fidelity import Fidelity, shapes
from engine.spec.stacks import shapes_in

START = "start"  # the role of the run that measures the saved proxy as it is, before any training
LABEL = "the start, untrained"
PLACES = ("experts", "exports")  # of saved proxies: those of studies, and merges of them
PROXY = ".safetensors"  # the ending of one


def starts_in(workspace: Path) -> list[str]:
    """The saved proxies of a workspace, as paths in it."""
    found = [*(workspace / "experts").glob(f"*/*{PROXY}"), *(workspace / "exports").glob(f"*{PROXY}")]
    return sorted(path.relative_to(workspace).as_posix() for path in found)


def folder_of(study: str) -> str:
    """The folder of a study's saved proxies, relative to the workspace."""
    return f"experts/{checked_name(study, 'study')}"


def study_of(start: str) -> str | None:
    """The id of the study that trained a start; None of a merge in exports/, whose path does not tell."""
    parts = Path(start).parts
    return parts[1] if parts[0] == "experts" else None


def start_row(study: str, prior: np.ndarray, seed: int, number: int) -> dict[str, Any]:
    """The run that measures a study's start as it is. Its weights are the prior (D,), which it says nothing of."""
    own = {"id": run_id(study, number), "number": number, "role": START, "label": LABEL, "seed": seed}
    return own | {"weights": prior.tolist(), "doses": None}


def check_start(workspace: Path, start: str, fidelity: Fidelity, vocabulary: int) -> None:
    """Raise Problem unless a start is a saved proxy of the workspace of a fidelity's architecture."""
    path = within(workspace, start)
    if path.relative_to(workspace).parts[0] not in PLACES or path.suffix != PROXY or not path.is_file():
        known = listed(starts_in(workspace), 6) or "none yet: confirmed mixtures and the experts of merge studies are"
        raise Problem(f"Cannot begin with {start!r}: it is not a saved proxy of this workspace. There are: {known}.")
    try:
        there = shapes_in(path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise Problem(f"Cannot begin with {start}: the file is damaged ({error}). Choose another one.") from error
    wanted = {f"{name}.weight": shape for name, shape in shapes(fidelity, vocabulary).items()}
    for name in sorted(wanted.keys() | there.keys()):
        if wanted.get(name) != there.get(name):
            raise Problem(
                f"Cannot begin with {start}: it is of another architecture. Its {name!r} is "
                f"{_shape(there.get(name))}, and that of this study's proxies {_shape(wanted.get(name))}. Set width, "
                "layers, heads, activation and tokenizer as they were when it was trained."
            )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape))
