"""The job that runs lm-evaluation-harness on one model."""

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.core.errors import Problem
from engine.core.records import Excerpt
from engine.jobs.events import Event, Row
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class HarnessTask(Task):
    """model: the path of a checkpoint, or of a saved proxy, in the workspace; tasks: names of the harness' own, or of
    YAML files in the workspace's folder harness/; limit: items of each task, all if null. Of a proxy: study: its own;
    corpus, fidelity: what it was trained on and how large (engine.spec.fidelity.Fidelity as a dict)."""

    kind = "harness"
    model: str
    tasks: list[str]
    limit: int | None = None
    study: str | None = None
    corpus: str | None = None
    fidelity: dict[str, Any] | None = None
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class HarnessScore(Excerpt):
    """metric: "task metric", as imported results are called; error: its standard error, null where the harness gives
    none; higher_is_better, chance, items: null where its results do not say."""

    metric: str
    value: float
    error: float | None
    higher_is_better: bool | None
    chance: float | None
    items: int | None

    def __post_init__(self) -> None:
        """Raises Problem for an error or a number of items that cannot be."""
        if (self.error or 0) < 0 or (self.items or 0) < 0:
            raise Problem(f"Cannot read the score of {self.metric!r:.80}: its error or number of items is below 0.")


@dataclass(frozen=True, kw_only=True)
class HarnessFound(Excerpt):
    """scores: in the order of the harness' table; file: its results, in the workspace; version: of the harness;
    context: the most tokens that the model saw; cut: prompts that lost their beginning to fit it; left: [why, key] of
    what of the results was not taken as it stands (engine.importing.harness.Results)."""

    scores: list[HarnessScore]
    file: str
    version: str
    context: int
    cut: int
    left: list[list[str]]


@dataclass(frozen=True, kw_only=True)
class HarnessFinished(Event):
    """A model's results. found: HarnessFound; the other fields: as in the task."""

    kind = "harness.finished"
    lands = Row(
        "harness_results",
        {
            **{name: name for name in ("job", "study", "model", "tasks", "found", "t")},
            "most_items": "limit",
        },
    )
    taken: ClassVar = {"found": HarnessFound}
    model: str
    tasks: list[str]
    limit: int | None
    study: str | None
    found: dict[str, object]

    def __post_init__(self) -> None:
        """Raises Problem for a limit that no column could hold."""
        if self.limit is not None and not 1 <= self.limit <= 10**9:
            raise Problem(f"Cannot read the event {self.kind}: its limit is {self.limit}.")


KIND = JobKind(HarnessTask, "engine.merging.harness.job:run", (HarnessFinished,))
