"""The job that measures merges at given points of a merge study."""

from dataclasses import dataclass
from typing import Any

from engine.jobs.kinds import JobKind
from engine.spec.tasks import Merging


@dataclass(frozen=True, kw_only=True)
class MergeTask(Merging):
    """runs: G of {"id", "weights" [D], "seed"}, and "merge" and "names" where a run is by another method than the
    study's; keep_windows: as in engine/spec/kinds/train.py, for merges of proxies."""

    kind = "merge"
    runs: list[dict[str, Any]]
    keep_windows: bool = False


KIND = JobKind(MergeTask, "engine.merging.measuring.job:run")
