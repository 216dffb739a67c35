"""How long the lists of a record are: one number for each coordinate of its study, or for each of its metrics.

    weights: Point       # (D,), a mixture's shares or a merge's coefficients
    losses: Measured     # (M,), null where one is missing

To readers these are lists of numbers (engine/core/records.py). Whoever knows the study holds what is written of it to
its `Shape`, so that nothing of another length is ever stored (store/events/fitting.py).
"""

import math
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from engine.core.errors import Problem
from engine.core.records import Excerpt, Record, contract
from engine.core.shown import shown


@dataclass(frozen=True)
class Axis:
    """What the numbers of a list are of: each coordinate, metric or domain of a study, from `low` to `high`. shares:
    they are shares of text, in every study or (IN_MIXTURES) where points are mixtures."""

    of: str
    low: float = -math.inf
    high: float = math.inf
    shares: str | None = None


COORDINATE, METRIC, DOMAIN = "coordinate", "metric", "domain"
ALWAYS, IN_MIXTURES = "always", "in mixtures"
SUM, BELOW = 1e-3, -1e-6  # tolerance of the sum of shares, and the least of one
PerCoordinate = Annotated[list[float], Axis(COORDINATE)]
Doses = Annotated[list[float], Axis(COORDINATE, 1e-6, 1)]  # parts of each text, by which shares are divided
PerMetric = Annotated[list[float], Axis(METRIC)]
Measured = Annotated[list[float | None], Axis(METRIC)]
PerDomain = Annotated[list[float], Axis(DOMAIN)]
Spread = Annotated[list[float], Axis(METRIC, 0.0)]  # standard deviations or errors
MeasuredSpread = Annotated[list[float | None], Axis(METRIC, 0.0)]
Point = Annotated[list[float], Axis(COORDINATE, shares=IN_MIXTURES)]  # of the study's space
SeenShares = Annotated[list[float], Axis(DOMAIN, shares=ALWAYS)]  # of the text that a run saw


@dataclass(frozen=True)
class Shape:
    """The names that the lists of a study's records go along. domains: of its text; mixture: points are shares."""

    coordinates: tuple[str, ...]
    metrics: tuple[str, ...]
    domains: tuple[str, ...]
    mixture: bool

    def check_list(self, axis: Axis, values: list[Any], what: str) -> None:
        """Raise Problem unless a list has as many items as its axis has names, each within the axis, and shares are
        shares."""
        names = {METRIC: self.metrics, DOMAIN: self.domains}.get(axis.of, self.coordinates)
        if len(values) != len(names):
            raise Problem(f"Cannot take {what}: it has {len(values)} numbers, and the study {len(names)} {axis.of}s.")
        numbers = [one for one in values if isinstance(one, int | float)]  # others are null, or lists of their own
        if odd := [one for one in numbers if not axis.low <= one <= axis.high]:
            most = f" and at most {axis.high:g}" if axis.high < math.inf else ""
            raise Problem(f"Cannot take {what}: each number is at least {axis.low:g}{most}, and one is {odd[0]!r}.")
        shares = axis.shares == ALWAYS or (axis.shares == IN_MIXTURES and self.mixture)
        if shares and (min(values) < BELOW or abs(sum(values) - 1) > SUM):
            raise Problem(f"Cannot take {what}: shares are at least 0 and sum to 1, and it is {shown(values)}.")

    def check(self, record: Record, what: str) -> None:
        """Raise Problem if a list in a record, or in those that it holds, has another length."""
        for name, walk in walks(type(record)):  # type: ignore[arg-type]  # a class is hashable
            walk(getattr(record, name), self, f"{name!r} of {what}")


Walk = Callable[[Any, Shape, str], None]  # checks a value, which `what` names in the message


@cache
def walks(record: Any) -> tuple[tuple[str, Walk], ...]:
    """The fields of a record that have lists along an axis, or records with such, and how each is checked."""
    checks, _ = contract(record)
    hints = typing.get_type_hints(record, include_extras=True)
    found = {name: walk_of(hints[name]) for name in checks}
    return tuple((name, walk) for name, walk in found.items() if walk is not None)


def walk_of(hint: Any) -> Walk | None:
    """How a value of an annotation is checked; None where nothing in it goes along an axis."""
    if isinstance(hint, type) and issubclass(hint, Record):
        return (lambda value, shape, what: shape.check(value, what)) if walks(hint) else None  # type: ignore[arg-type]
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return lambda value, shape, what: shape.check_list(inside[1], value, what)
    if origin in (typing.Union, types.UnionType):
        several = [walk for one in inside if (walk := walk_of(one)) is not None]
        return each(several[0], lambda value: [] if value is None else [value]) if several else None
    place = {list: 0, tuple: 0, dict: 1}.get(origin) if origin is not None else None
    if place is None or (inner := walk_of(inside[place])) is None:
        return None
    return each(inner, lambda value: value.values() if isinstance(value, dict) else value)


def each(walk: Walk, items: Callable[[Any], Iterable[Any]]) -> Walk:
    """The check of what holds several items."""

    def check(value: Any, shape: Shape, what: str) -> None:
        for one in items(value):
            walk(one, shape, what)

    return check


# What the results of several kinds of jobs hold ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PredictedValues(Excerpt):
    """Of every metric and of their weighted sum."""

    mean: PerMetric
    std: Spread
    aggregate: float
    aggregate_std: float

    def __post_init__(self) -> None:
        """Raises Problem for a standard deviation below 0."""
        if self.aggregate_std < 0:
            raise Problem(f"Cannot read what was predicted: a standard deviation is {self.aggregate_std}.")


@dataclass(frozen=True, kw_only=True)
class PredictedPoint(PredictedValues):
    """engine.surrogates.prediction.Prediction as a dict."""

    shares: Point


@dataclass(frozen=True, kw_only=True)
class PredictedGap(PredictedValues):
    """One point minus another."""

    inside_noise: bool


@dataclass(frozen=True, kw_only=True)
class Weighed(Record):
    """engine.spec.objectives.Aggregate as a dict."""

    weights: PerMetric
    sign: int
    title: str
    unit: str
    priorities: dict[str, float]
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Question(Excerpt):
    """What is read of the settings of a search or a proposal. Journals of 0.1 have no aggregate."""

    surrogate: str
    priorities: dict[str, float]
    fingerprint: str
    aggregate: Weighed | None = None
    text: str | None = None
