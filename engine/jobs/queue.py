"""The queue: which waiting jobs may start next. Reads the spool only when it has changed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

from engine.core.errors import Problem
from engine.jobs.events import OUTCOMES, JobFinished
from engine.jobs.journal import last_event
from engine.jobs.spec import JobSpec
from engine.jobs.spool import Spool

RESCAN_SECONDS = 5.0


class Queue:
    """The queued jobs in their order: by priority, then by name. Those of paused studies are left out."""

    def __init__(self, spool: Spool):
        self.spool = spool
        self.specs: dict[str, JobSpec] = {}  # a queued job's spec never changes
        self.order: list[str] = []
        self.outcomes: dict[str, str] = {}  # job that others wait for -> done | open | failed, as of the last scan
        self.stamps: list[int] = []
        self.scanned = 0.0

    def in_order(self) -> Iterator[tuple[Path, JobSpec]]:
        """The jobs, most urgent first, with their settings; `outcome` says whether they still wait for others."""
        self.refresh()
        paused = self.spool.paused()
        for job_id in self.order:
            if self.specs[job_id].study not in paused:
                yield self.spool.root / "queued" / job_id, self.specs[job_id]

    def refresh(self) -> None:
        """Read the queue again if jobs came, went, or were moved in it."""
        places = [self.spool.root / place for place in ("queued", "active", "paused")]
        stamps = [place.stat().st_mtime_ns for place in places]
        if stamps == self.stamps and time.monotonic() - self.scanned < RESCAN_SECONDS:
            return
        names = [folder.name for folder in self.spool.folders("queued")]  # whatever else lies there is no job
        self.specs = {name: self.specs.get(name) or read_settings(places[0] / name) for name in names}
        self.order = sorted(names, key=lambda name: (priority_of(places[0] / name, self.specs[name]), name))
        self.outcomes.clear()
        self.stamps, self.scanned = stamps, time.monotonic()

    def outcome(self, spec: JobSpec) -> tuple[str, str]:
        """("done", ""): it may start; ("open", id): it waits for that job; ("failed", id): that job failed."""
        for job_id in spec.depends_on:
            if job_id not in self.outcomes:
                self.outcomes[job_id] = outcome_of(self.spool.find(job_id))
            if self.outcomes[job_id] != "done":
                return self.outcomes[job_id], job_id
        return "done", ""


def read_settings(folder: Path) -> JobSpec:
    """A queued job's settings. A job with a damaged spec is claimed at once: its own process reports the error."""
    try:
        return JobSpec.read(json.loads((folder / "spec.json").read_text()))
    except (OSError, ValueError, TypeError, RecursionError, Problem):
        return JobSpec("damaged", priority=-1e9)


def priority_of(folder: Path, spec: JobSpec) -> float:
    """The priority set later, or its spec's."""
    try:
        return float((folder / "priority").read_text())
    except (OSError, ValueError):
        return spec.priority


def outcome_of(folder: Path | None) -> str:
    """done, failed, or open: it has not ended, or does not exist yet."""
    if folder is None or folder.parent.name not in ("ended", "sealed"):
        return "open"
    return "done" if isinstance(last_event(folder, *OUTCOMES), JobFinished) else "failed"
