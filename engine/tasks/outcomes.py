"""What a run answered, item by item: kept for every run, to see which items two models differ in.

One small file per run, `answers/<run>.npz` in the workspace: of every task the score of each item in half precision,
and what was answered. No torch. I items.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.core.files import replacing
from engine.core.system import DAMAGED

LONGEST = 500  # characters of an answer that are kept


@dataclass(frozen=True)
class Outcome:
    """scores: (I,) how well each was answered, by the first metric of the task (engine.metrics.items.ItemMetric.item),
    higher is better, NaN for an item that did not fit the context; answers: (I,) what it scored, "" where nothing was
    asked for; cut: items whose prompt lost its beginning; items: of each metric by name what its value is made of,
    (I, K), none in files of version 0.3."""

    scores: np.ndarray
    answers: list[str]
    cut: int = 0
    items: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        """Items that did not fit the context."""
        return int(np.isnan(self.scores).sum())


def file_of(workspace: Path, run: str) -> Path:
    """Where the answers of a run lie."""
    return workspace / "answers" / f"{run}.npz"


def save(path: Path, found: dict[str, Outcome]) -> None:
    """Write the outcomes of one run, by task, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept: dict[str, np.ndarray] = {}
    for task, one in found.items():
        kept[f"scores {task}"] = one.scores.astype(np.float16)
        kept[f"answers {task}"] = np.array([text[:LONGEST] for text in one.answers])
        kept[f"cut {task}"] = np.int64(one.cut)  # type: ignore[assignment]
        for metric, values in one.items.items():
            kept[f"items {metric} {task}"] = values.astype(np.float32)
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, **kept)  # type: ignore[arg-type]


def tasks_in(path: Path) -> list[str]:
    """The tasks that a file holds answers to; none where it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return [name.removeprefix("scores ") for name in file.files if name.startswith("scores ")]
    except DAMAGED:
        return []


def load(path: Path) -> dict[str, Outcome]:
    """Raises Problem for a file that is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            tasks = [name.removeprefix("scores ") for name in file.files if name.startswith("scores ")]
            return {
                task: Outcome(
                    file[f"scores {task}"].astype(float),
                    file[f"answers {task}"].tolist(),
                    int(file[f"cut {task}"]),
                    {name.split(" ")[1]: file[name].astype(float) for name in file.files if _is_of(name, task)},
                )
                for task in tasks
            }
    except DAMAGED as error:
        raise Problem(f"Cannot read the answers of {path.stem}: {error}. Measure that model again.") from error


def _is_of(name: str, task: str) -> bool:
    """Whether an array of a file holds what the value of a metric on a task is made of."""
    return name.startswith("items ") and name.endswith(f" {task}")
