"""The job that measures merges at given points of a merge study."""

from dataclasses import dataclass
from typing import Any

from engine.jobs.kinds import JobKind
from engine.jobs.runs import TaskRun
from engine.spec.tasks import Merging


@dataclass(frozen=True, kw_only=True)
class MergeRun(TaskRun):
    """A merge to measure. merge, names: its method and coordinates, as in Merging, where they are not the study's."""

    merge: dict[str, Any] | None = None
    names: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class MergeTask(Merging):
    """runs: G of {id, weights [D], seed, [merge], [names]}: the last two where it is by another method than the
    study's; keep_windows: as in engine/spec/kinds/train.py, for merges of proxies."""

    kind = "merge"
    runs: list[MergeRun]
    keep_windows: bool = False


KIND = JobKind(MergeTask, "engine.merging.measuring.job:run")
