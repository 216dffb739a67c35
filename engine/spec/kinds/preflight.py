"""The job that checks models before anything is merged: compatibility, cost, refusals."""

from dataclasses import dataclass, field

from engine.jobs.kinds import JobKind
from engine.spec.tasks import Expertise


@dataclass(frozen=True, kw_only=True)
class PreflightTask(Expertise):
    """The preflight is done; its result is in experts/<study>/preflight.json. evaluators: programs that will measure
    the merges, tried on the base (engine.spec.merge.MergeSpec)."""

    kind = "preflight"
    evaluators: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])


KIND = JobKind(PreflightTask, "engine.merging.write_job:check")
