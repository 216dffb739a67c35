"""How attempts at a job ended: whether one got on although something else ended it, and those that count as deaths."""

from pathlib import Path

from engine.jobs.backends import Status
from engine.jobs.devices import Lease
from engine.jobs.events import Event, JobDied, JobProgress, JobRequeued, RunsProgress
from engine.jobs.journal import read_events


def went_on(folder: Path, lease: Lease, reason: str, status: Status) -> bool:
    """Whether the cluster ended a job that got further by then: it was preempted, say, or its time was up. That is no
    death. reason: why the worker was ending it, "" where it was not."""
    return status.held_up and not reason and got_further(folder, lease.begins)


def got_further(folder: Path, begins: int) -> bool:
    """Whether the attempt whose lines begin at this byte of the job's journal got further than all before it. One that
    the cluster ended and that did not would be tried without end: its time is too short for the job."""
    before = [how_far(event) for event in read_events(folder, JobProgress, RunsProgress)]
    own = [how_far(event) for event in read_events(folder, JobProgress, RunsProgress, begins=begins)]
    return bool(own) and max(own) > max(before[: len(before) - len(own)], default=0.0)


def how_far(event: Event) -> float:
    """What a report of progress says was done, in the job's own unit."""
    return event.done if isinstance(event, JobProgress) else float(getattr(event, "step", 0))


def deaths(folder: Path) -> list[str]:
    """Why attempts died since the job was last queued again by a user."""
    events = read_events(folder, JobDied, JobRequeued)
    starts = [i for i, event in enumerate(events) if isinstance(event, JobRequeued)]
    return [event.message or "" for event in events[starts[-1] + 1 if starts else 0 :] if isinstance(event, JobDied)]
