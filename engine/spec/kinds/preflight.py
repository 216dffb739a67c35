"""The job that checks models before anything is merged: compatibility, cost, refusals."""

from dataclasses import dataclass

from engine.jobs.kinds import JobKind
from engine.spec.tasks import Expertise


@dataclass(frozen=True, kw_only=True)
class PreflightTask(Expertise):
    """The preflight is done; its result is in experts/<study>/preflight.json."""

    kind = "preflight"


KIND = JobKind(PreflightTask, "engine.merging.write_job:check")
