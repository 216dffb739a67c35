"""Level meters of a study's metrics against a reference, the same on all pages: predicted now, frozen, or measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.components.meters import Meter
from dashboard.models.names import Named
from dashboard.views.shared.units import reading, scale_of
from engine.spec.objectives import Aggregate, Objective, Scale, deviations
from engine.spec.statistics import ci_half_width


@dataclass(frozen=True)
class Values:
    """Values of metrics, or differences between two, with half the widths of their 95% intervals (NaN: unknown).

    mean, half (M,); total, total_half: of their aggregate, which is better when lower.
    """

    mean: np.ndarray
    half: np.ndarray
    total: float
    total_half: float

    @classmethod
    def predicted(cls, one: Mapping[str, Any]) -> Values:
        """Of a prediction or a difference that has standard deviations: its fields."""
        half = ci_half_width(np.array(one["std"], float))
        return cls(np.array(one["mean"], float), half, one["aggregate"], ci_half_width(one["aggregate_std"]))


@dataclass(frozen=True)
class Ruler:
    """What all meters of a study's metrics share. scale: of their differences; total: what the aggregate's difference
    is multiplied by to stand on it."""

    names: Named
    aggregate: Aggregate
    scale: Scale
    total: float

    @property
    def side(self) -> str:
        """Where better is."""
        return "left" if self.scale.better == "lower" else "right"

    def caption(self, reference: str) -> str:
        """What the scale is, and how it is read."""
        return (
            f"Difference to {reference} with its 95% interval, {self.scale.unit}; {self.side} is better, pale is "
            "within noise."
        )


def ruler(names: Named, aggregate: Aggregate, objectives: list[Objective], values: np.ndarray) -> Ruler:
    """Of metrics whose runs measured values (R, M). An aggregate of another unit than the scale's is divided by its
    standard deviation over the runs, as the metrics are."""
    scale, read = scale_of(objectives, values), reading(aggregate.unit)
    if scale.unit == read.gap_unit:
        return Ruler(names, aggregate, scale, aggregate.sign * read.gap(1.0))
    return Ruler(names, aggregate, scale, 1.0 / float(deviations(aggregate.of(values)[:, None])[0]))


def metric_rows(by: Ruler, here: Values, gap: Values, reference: str, ticks: np.ndarray | None = None) -> list[Meter]:
    """A line for each metric. gap: here minus the reference; ticks (M,): of a measurement, on the scale, or None."""
    change, half = by.scale.factor * gap.mean, np.abs(by.scale.factor) * gap.half
    rows = []
    for m, (name, unit) in enumerate(zip(by.names.metrics, by.names.units, strict=True)):
        words = told((name, unit), (here.mean[m], here.half[m]), (gap.mean[m], gap.half[m]), reference)
        rows.append(
            Meter(
                name=name,
                colour=by.names.colours[name],
                **words,
                change=float(change[m]),
                half=float(half[m]),
                best=None if ticks is None or not np.isfinite(ticks[m]) else float(ticks[m]),
                better=bool((change[m] < 0) == (by.scale.better == "lower")),
                counted=bool(by.aggregate.weights[m]),
            )
        )
    return rows


def rows_with_total(by: Ruler, here: Values, gap: Values, reference: str) -> list[Meter]:
    """The same with the aggregate first, for pages that do not say it in large letters."""
    own, sign = by.aggregate, by.aggregate.sign
    value, moved = (sign * here.total, here.total_half), (sign * gap.total, gap.total_half)
    change = by.total * gap.total
    first = Meter(
        name=own.title,
        colour="currentColor",
        **told((own.title, own.unit), value, moved, reference),
        change=float(change),
        half=float(abs(by.total) * gap.total_half),
        best=None,
        better=gap.total < 0,
        counted=True,
        total=True,
    )
    return [first, *metric_rows(by, here, gap, reference)]


def told(named: tuple[str, str], value: tuple, gap: tuple, reference: str) -> dict[str, str]:
    """A value and a difference, each with half the width of its interval, in words. named: its name and unit."""
    name, read = named[0], reading(named[1])
    short = read.words(*value)
    return {
        "value": short,
        "words": f"{name}: {short} {read.unit}; {read.gap_words(*gap)} {read.gap_unit} vs. {reference}",
    }
