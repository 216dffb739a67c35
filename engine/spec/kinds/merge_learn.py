"""The job that learns a merge from training text, measures it, and saves it."""

from dataclasses import dataclass
from typing import Any

from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.spec.tasks import Merging


@dataclass(frozen=True, kw_only=True)
class MergeLearnTask(Merging):
    """learn: {"method", "knobs" of engine/spec/merge_learners.py, "weight" [K], "large": a checkpoint's name or ""};
    out: its place in exports/, without an ending; first: the number of its run."""

    kind = "merge_learn"
    learn: dict[str, Any]
    out: str
    first: int
    settings: dict[str, Any] | None = None  # version 0.1 wrote it; nothing reads it


@dataclass(frozen=True, kw_only=True)
class MergeLearned(Result):
    """settings: the task's `learn`; found: losses, and the run or the file that the result is."""

    kind = "merge.learned"


KIND = JobKind(MergeLearnTask, "engine.merging.learning.job:run", (MergeLearned,))
