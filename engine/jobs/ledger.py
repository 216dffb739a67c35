"""The ledger's events: what was predicted of runs and of new sources, written down before they are measured."""

from dataclasses import dataclass

from engine.core.records import Record
from engine.core.short_names import digest
from engine.jobs.axes import Measured, MeasuredSpread, PerMetric, Point
from engine.jobs.events import Event


@dataclass(frozen=True, kw_only=True)
class RunPrediction(Record):
    """What a surrogate says of a run that it has not seen.

    hash: of all other fields (`hash_of`); run: its id; origin: confirm, proposed, submitted; surrogate: its name, fit:
    the fingerprint of the runs that it was fitted on; weights, mean, std (M,): of the aggregate, and predicted of one
    run at the proxies' size, null where it has no number; aggregate, aggregate_std: of their weighted sum, better when
    lower; gap, gap_std: of the aggregate minus that of a run at `reference` (D,), null where there is none; distance:
    fraction of the tokens that differs from the nearest run of the fit, and place: measured, interpolated or
    extrapolated, both null where unknown; candidate: whose frozen prediction it is, by whom and when (predicted_at),
    null for predictions made just now.
    """

    hash: str
    run: str
    origin: str
    surrogate: str
    fit: str
    weights: PerMetric
    mean: Measured
    std: MeasuredSpread
    aggregate: float
    aggregate_std: float
    reference: Point | None = None
    gap: float | None = None
    gap_std: float | None = None
    distance: float | None = None
    place: str | None = None
    candidate: str | None = None
    predicted_by: str | None = None
    predicted_at: float | None = None


@dataclass(frozen=True)
class PredictionsRegistered(Event):
    """Predictions of runs that are about to be trained, or that came from elsewhere and are in no fit yet."""

    kind = "predictions.registered"
    study: str
    predictions: list[RunPrediction]


@dataclass(frozen=True, kw_only=True)
class SourcePrice(Record):
    """What a share of a new source of text is predicted to change, before a proxy saw it.

    hash: of all other fields (`hash_of`); corpus, domain: where the source is, text: the hash of its training text;
    share: of it, taken from all domains of `mixture` (D,) in proportion, candidate: how that was called; weights
    (M,): of the aggregate; change: of the aggregate's mean over seeds, better below 0; std: of that, half: of its 95%
    interval; noise: standard deviation of one run's aggregate; settled, distance, verdict, runs: as
    engine.studies.source_value.Value.
    """

    hash: str
    corpus: str
    domain: str
    text: str
    share: float
    candidate: str
    mixture: Point
    weights: PerMetric
    change: float
    std: float
    half: float
    noise: float
    settled: float
    distance: float
    verdict: str
    runs: int


@dataclass(frozen=True)
class SourcePriced(Event):
    """Somebody asked what a new source would be worth to a study."""

    kind = "source.priced"
    study: str
    price: SourcePrice


def hash_of(values: dict[str, object]) -> str:
    """The hash of a prediction: of its fields as JSON, the hash itself left out. Who changes a digit has another."""
    content = {name: value for name, value in values.items() if name != "hash" and value is not None}
    return digest(content)
