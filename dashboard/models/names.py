"""Short names of a study's coordinates and metrics on the page, and their colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.models.colours import colour_of
from engine.core.short_names import short_names
from engine.space.levels import Level
from engine.spec.objectives import Objective


@dataclass(frozen=True)
class Named:
    """Short names of a study's coordinates and metrics, in their order, with units and colours.

    levels: of the coordinates, such as sources and topics. In a mixture study a metric that is a domain's loss has that
    domain's name, and so its colour.
    """

    coordinates: list[str]
    metrics: list[str]
    units: list[str]
    colours: dict[str, str]
    levels: tuple[Level, ...] = ()


def named_in(frozen: dict) -> Named:
    """Short names of a candidate's frozen coordinates and metrics."""
    kept = frozen.get("levels", [])  # records of before groups could cross have none
    levels = [Level(title, {name: np.array(at) for name, at in parts}) for title, parts in kept]
    return named(frozen["names"], [Objective(**one) for one in frozen["metrics"]], levels)


def named(coordinates: list[str], objectives: list[Objective], levels: Sequence[Level] = ()) -> Named:
    """Names without their common prefix or suffix, unless a metric could then be taken for another or a coordinate."""
    short = dict(zip(coordinates, short_names(coordinates), strict=True))
    others = [one.metric for one in objectives if one.domain not in short]
    shorter = dict(zip(others, short_names(others), strict=True))
    metrics = [
        short[one.domain]
        if one.domain in short
        else shorter[one.metric]
        if shorter[one.metric] not in short.values()
        else one.metric
        for one in objectives
    ]
    if len(set(metrics)) < len(metrics):
        metrics = [one.metric for one in objectives]
    labels = list(short.values())
    return Named(labels, metrics, [one.unit for one in objectives], colour_of(labels, metrics), tuple(levels))
