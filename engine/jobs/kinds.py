"""Kinds of jobs: the file that declares a kind's task, its own events and how they land, and the function of the work.

A new kind of job is one file that defines `KIND`, and one line of the table here. Standard library only: files are
imported on demand, and the work's code (which may need torch) only in the job's own process.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from engine.core.errors import Problem
from engine.jobs.decisions import DECISIONS
from engine.jobs.events import SHARED, Event
from engine.jobs.spec import Task
from engine.jobs.spool import Job

KINDS = {
    "corpus": "engine.spec.kinds.corpus",
    "train": "engine.spec.kinds.train",
    "merge": "engine.spec.kinds.merge",
    "preflight": "engine.spec.kinds.preflight",
    "merge_write": "engine.spec.kinds.merge_write",
    "merge_learn": "engine.spec.kinds.merge_learn",
    "merge_search": "engine.spec.kinds.merge_search",
    "merge_ablation": "engine.spec.kinds.merge_ablation",
    "fit": "engine.spec.kinds.fit",
    "search": "engine.spec.kinds.search",
    "propose": "engine.spec.kinds.propose",
    "rival": "engine.spec.kinds.rival",
    "lab": "engine.spec.kinds.lab",
    "overlap": "engine.spec.kinds.overlap",
    "flips": "engine.spec.kinds.flips",
    "harness": "engine.spec.kinds.harness",
}


@dataclass(frozen=True)
class JobKind:
    """A kind of job. work: "module:function" that does a Job of it; events: its own kinds of events, each with the row
    in which it `lands`; on_cluster: it runs on the cluster if there is one (jobs of seconds run beside the page);
    chooses: it measures runs that it chose itself, and tells of them by `runs.measured`; compares: it adds to what
    others measured, by `runs.compared`.

    Raises TypeError for an event that does not say how it lands.
    """

    task: type[Task]
    work: str
    events: tuple[type[Event], ...] = ()
    on_cluster: bool = False
    chooses: bool = False
    compares: bool = False

    def __post_init__(self) -> None:
        for event in self.events:
            if event.lands is None:
                raise TypeError(f"{event.__name__} does not say how it lands: give it `lands`, or make it a Result.")

    def function(self) -> Callable[[Job], None]:
        """The function that does the work. Imports it."""
        module, name = self.work.split(":")
        found: Callable[[Job], None] = getattr(importlib.import_module(module), name)
        return found


@cache
def kind_of(name: str) -> JobKind:
    """A kind by its name. Raises Problem if this version does not know it."""
    if name not in KINDS:
        raise Problem(
            f"Cannot run a job of kind {name!r}: this version knows {', '.join(KINDS)}. "
            "Update Mixdesk, or cancel the job."
        )
    found: JobKind = importlib.import_module(KINDS[name]).KIND
    return found


def runs_on_cluster(name: str) -> bool:
    """Whether jobs of a kind run on the cluster. Unknown kinds fail on this machine, where the log is."""
    return name in KINDS and kind_of(name).on_cluster


@cache
def event_kinds() -> dict[str, type[Event]]:
    """Every kind of event that a journal may hold, by its name."""
    own = [event for name in KINDS for event in kind_of(name).events]
    return {event.kind: event for event in (*SHARED, *DECISIONS, *own)}
