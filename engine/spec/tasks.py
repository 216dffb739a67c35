"""Fields shared by the tasks of several kinds of jobs. Plain data; each kind's own are in engine/spec/kinds/.

A field that is a bare dict is read by the `from_dict` that its docstring names, which refuses what it does not know.
"""

from dataclasses import dataclass, field
from typing import Any

from engine.core.records import Record
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class FitSettings(Record):
    """A request to a study's latest fit. surrogate: its name; priorities: metric -> weight; fingerprint: of the runs
    that were fitted; aggregate: engine.spec.objectives.Aggregate as a dict; text: the revision of the counts of text,
    where these were given later: it makes a request after that another one."""

    surrogate: str
    priorities: dict[str, float]
    fingerprint: str
    aggregate: dict[str, Any]
    text: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; text only where it is known: a request without it keeps the id that it had before."""
        return {name: value for name, value in super().to_dict().items() if value is not None or name != "text"}


@dataclass(frozen=True, kw_only=True)
class Expertise(Task):
    """The models of a merge. study: theirs; base, experts: paths in the workspace, by the expert's name."""

    study: str
    base: str
    experts: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Merging(Expertise):
    """Merges of a study that are built in memory and measured.

    merge: engine.spec.merge.MergeSpec as a dict; names [D]: the coordinates that its points have; domains: of the
    corpus, whose validation text is measured; fidelity: of the proxies that are merged, null for external models;
    checkpoint_seconds: between checkpoints of what is learned; metrics: measured besides each domain's loss
    (engine/metrics/); tasks: whose items are answered (engine/tasks/); flips: whether it is counted what merges do
    worse than the base (engine/spec/flips.py).
    """

    merge: dict[str, Any]
    names: list[str]
    corpus: str
    domains: list[str]
    fidelity: dict[str, Any] | None
    device: str = "auto"
    checkpoint_seconds: float = 15.0
    metrics: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    flips: bool = False
