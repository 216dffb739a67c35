"""A point of a merge study as a merge file, the one source for measuring, writing and exporting it. No torch."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.spec.merge import REST, MergeSpec, Setting, setting_of
from engine.spec.merge_file import ALL, Coefficients, merge_yaml
from engine.spec.tasks import Expertise


def coefficients_of(setting: Setting, tensors: list[str]) -> Coefficients:
    """Coefficients as in merge files: one per expert, or one per expert and tensor if layers differ."""
    if setting.whole is not None:
        return [float(one) for one in setting.whole]
    return {**{name: setting.weight(name).tolist() for name in tensors}, ALL: setting.table[REST].tolist()}


def merge_file(
    merge: MergeSpec,
    experts: list[str],
    names: list[str],
    point: np.ndarray,
    paths: list[str],
    tensors: Sequence[str] = (),
) -> str:
    """The merge at a point (D,) as a file for `python -m engine merge`.

    paths: of the base and each expert; tensors: of the model, needed if layers differ.
    """
    setting = setting_of(merge, experts, names, point)
    return merge_yaml(merge.method, paths[0], paths[1:], coefficients_of(setting, list(tensors)), setting.knobs)


def reference(workspace: Path, base: str, expert: str) -> str:
    """An expert's reference in a merge file: its path, or base+adapter for a LoRA adapter."""
    path = os.path.normpath(workspace / expert)
    is_adapter = (Path(path) / "adapter_config.json").exists()
    return f"{os.path.normpath(workspace / base)}+{path}" if is_adapter else path


def references(workspace: Path, task: Expertise) -> list[str]:
    """The base and the experts of a task as a merge file names them."""
    base = os.path.normpath(workspace / task.base)
    return [base, *(reference(workspace, task.base, path) for path in task.experts.values())]
