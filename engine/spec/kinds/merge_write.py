"""The job that writes a merge as a checkpoint."""

from dataclasses import dataclass

from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class MergeWriteTask(Task):
    """file: a merge file's text; out: its place in the workspace's exports/."""

    kind = "merge_write"
    study: str
    file: str
    out: str


KIND = JobKind(MergeWriteTask, "engine.merging.write_job:write")
