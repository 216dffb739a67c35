"""The job that checks models before anything is merged: what fits, what it takes, what is refused."""

from dataclasses import dataclass

from engine.jobs.kinds import JobKind
from engine.spec.tasks import Expertise


@dataclass(frozen=True, kw_only=True)
class PreflightTask(Expertise):
    """What is known is kept in experts/<study>/preflight.json."""

    kind = "preflight"


KIND = JobKind(PreflightTask, "engine.merging.write_job:check")
