"""Fields shared by the tasks of several kinds of jobs. Plain data; each kind's own are in engine/spec/kinds/."""

from dataclasses import dataclass, field
from typing import Any

from engine.jobs.spec import Task


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
    (engine/metrics/).
    """

    merge: dict[str, Any]
    names: list[str]
    corpus: str
    domains: list[str]
    fidelity: dict[str, Any] | None
    device: str = "auto"
    checkpoint_seconds: float = 15.0
    metrics: list[str] = field(default_factory=list)
