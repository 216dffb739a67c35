"""What readers take of a candidate's frozen record (engine/review/freeze.py)."""

from dataclasses import dataclass

from engine.core.records import Excerpt
from engine.jobs.axes import Point, PredictedGap, PredictedValues, Shape, Spread, Weighed


@dataclass(frozen=True, kw_only=True)
class FrozenMetric(Excerpt):
    """engine.spec.objectives.Objective as a dict."""

    metric: str
    unit: str
    higher_is_better: bool


@dataclass(frozen=True, kw_only=True)
class FrozenValues(PredictedValues):
    """Predicted values at a point; noise: the part of std that comes from a run's own noise."""

    noise: Spread | None = None


@dataclass(frozen=True, kw_only=True)
class FrozenBaseline(FrozenValues):
    """A baseline's point and predictions, and the candidate minus it."""

    point: Point
    difference: PredictedGap


@dataclass(frozen=True, kw_only=True)
class FrozenSurrogate(Excerpt):
    """The surrogate and its runs, by their hashes."""

    name: str
    title: str
    sha256: str
    runs: int
    runs_hash: str
    held_out_spearman: float | None = None


@dataclass(frozen=True, kw_only=True)
class Frozen(Excerpt):
    """A candidate as it was nominated. available: tokens of each domain, null where unknown."""

    form: int
    name: str
    author: str
    put_at: float
    study: str
    study_name: str
    kind: str
    names: list[str]
    point: Point
    metrics: list[FrozenMetric]
    aggregate: Weighed
    predicted: FrozenValues
    surrogate: FrozenSurrogate
    baselines: dict[str, FrozenBaseline]
    budget: float
    epoch_cap: float
    caveats: list[str]
    versions: dict[str, str]
    rationale: str = ""
    corpus: str | None = None
    fidelity: dict[str, object] | None = None
    available: list[float | None] | None = None
    merge: dict[str, object] | None = None
    experts: list[str] | None = None

    @property
    def shape(self) -> Shape:
        """What its lists go along."""
        return Shape(tuple(self.names), tuple(one.metric for one in self.metrics), (), self.kind == "mixture")
