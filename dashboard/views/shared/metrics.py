"""Which metric or metrics a chart shows."""

import numpy as np
import streamlit as st

from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit
from store import studies


def metrics_of_one_unit(study: studies.Study, key: str, most: int | None = None) -> tuple[list[int], str]:
    """The indices of the metrics that share a chart's axis, and their unit; chosen on the page if there are several.

    most: above this number, the page also asks which metrics.
    """
    units = list(dict.fromkeys(one.unit for one in study.objectives))
    unit = units[0]
    if len(units) > 1:
        unit = st.pills("Unit", units, default=unit, format_func=plain, key=f"unit-{key}", required=True)
    places = [place for place, one in enumerate(study.objectives) if one.unit == unit]
    if most is None or len(places) <= most:
        return places, unit
    names = named_of(study).metrics
    first = sorted(places, key=lambda place: -study.objectives[place].priority)[:most]
    chosen = st.multiselect(
        "Metrics", places, default=sorted(first), format_func=lambda place: names[place], key=f"metrics-{key}-{unit}"
    )
    return chosen or first[:1], unit


def chosen_metric(study, fit: Fit, aggregate: Aggregate, metric: str, mean: np.ndarray, std: np.ndarray) -> tuple:
    """Mean and std (...) of one metric or of the aggregate, out of (..., M), in the sign people read; unit; better."""
    if metric != aggregate.title:
        column = named_of(study).metrics.index(metric)
        one = study.objectives[column]
        return mean[..., column], std[..., column], one.unit, "higher" if one.higher_is_better else "lower"
    weighted = std * aggregate.weights
    together = np.einsum("...m,mk,...k->...", weighted, fit.surrogate.correlation, weighted)
    return (
        aggregate.sign * (mean @ aggregate.weights),
        np.sqrt(np.maximum(together, 0)),
        aggregate.unit,
        aggregate.better,
    )
