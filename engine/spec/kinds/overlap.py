"""The job that counts which items of tasks stand in the training text of a study's domains."""

from dataclasses import dataclass
from typing import ClassVar

from engine.core.errors import Problem
from engine.core.records import Excerpt, Record
from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class OverlapTask(Task):
    """corpus: whose training text is looked at, in these domains; tasks: whose items are looked for, by name."""

    kind = "overlap"
    study: str
    corpus: str
    domains: list[str]
    tasks: list[str]


@dataclass(frozen=True, kw_only=True)
class TaskOverlap(Record):
    """Of one task. items: how many it has; untold: places of those that are too short, or only its own wording;
    domains: places of the items that stand in each domain's text; answered: of these, those that stand there with a
    part of their right answer."""

    items: int
    untold: list[int]
    domains: dict[str, list[int]]
    answered: dict[str, list[int]]

    def __post_init__(self) -> None:
        """Raises Problem for a place beyond the items, or domains that differ."""
        inside = [*self.domains.values(), *self.answered.values()]
        places = [*self.untold, *(place for there in inside for place in there)]
        if any(not 0 <= one < self.items for one in places) or self.domains.keys() != self.answered.keys():
            raise Problem(f"Cannot read which items stand in training text: places must be below {self.items}.")

    @property
    def standing(self) -> list[int]:
        """The places of items that stand in any of the domains."""
        return sorted({place for there in self.domains.values() for place in there})


@dataclass(frozen=True, kw_only=True)
class Counted(Excerpt):
    """What a count found, as in OverlapCounted."""

    tasks: dict[str, TaskOverlap]


@dataclass(frozen=True, kw_only=True)
class OverlapAsked(Excerpt):
    """What is read of a count's settings."""

    corpus: str


@dataclass(frozen=True, kw_only=True)
class OverlapCounted(Result):
    """settings: of the task, and the bytes of a window; found: {"tasks": {name: TaskOverlap as a dict}}. No text."""

    kind = "overlap.counted"
    taken: ClassVar = {"settings": OverlapAsked, "found": Counted}


KIND = JobKind(OverlapTask, "engine.tasks.overlap:run", (OverlapCounted,))
