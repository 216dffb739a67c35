"""Which metrics a new study measures, and which of them a chart shows."""

import numpy as np
import streamlit as st

from dashboard.server import state
from dashboard.views.shared.choice import choose
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.analysis.readiness import FEWEST
from engine.core.short_names import listed, told_apart
from engine.metrics import LOSS, METRICS
from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit
from engine.tasks import shelf
from store import studies

AGGREGATE = "aggregate"  # the id of all metrics together; a metric's is its place


def ask_metrics(start: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The names of the metrics that a new study measures, some at first; the loss is always among them."""
    titles = told_apart({name: one.title for name, one in METRICS.items() if name != LOSS.name})
    return tuple(
        st.multiselect(
            "Metrics besides the loss",
            list(titles),
            default=[name for name in start if name in titles],
            format_func=titles.get,
            help="Each is measured on every domain, as the loss always is, and can be given a priority later.",
        )
    )


def ask_tasks(start: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The names of the tasks that a new study measures, some at first; none is asked for where there is none."""
    known = shelf.names(state.store().workspace.root)
    if not known:
        return start
    return tuple(
        st.multiselect(
            "Tasks",
            known,
            default=[name for name in start if name in known],
            help=f"Every model answers their items. Whether the mixture steers a task takes at least {FEWEST} repeats, "
            "of several mixtures (Proxies). It counts in the mean only once you give it a priority.",
        )
    )


def metrics_of_one_unit(
    study: studies.Study, aggregate: Aggregate, key: str, most: int | None = None
) -> tuple[list[int], str]:
    """The indices of the metrics that share a chart's axis, and their unit; chosen on the page if there are several.

    What does not count in the aggregate is left out until it is asked for: it may lie far from all others, and would
    flatten them. most: above this number, the page also asks which metrics.
    """
    units = list(dict.fromkeys(one.unit for one in study.objectives))
    unit = units[0]
    if len(units) > 1:
        titles = {one: plain(reading(one).unit) for one in units}
        unit = st.pills("Unit", units, default=unit, format_func=titles.get, key=f"unit-{key}", required=True)
    places = [place for place, one in enumerate(study.objectives) if one.unit == unit]
    names = named_of(study).metrics
    counted = [place for place in places if aggregate.weights[place]]
    if most is None or len(places) <= most:
        if len(counted) in (0, len(places)):
            return places, unit
        apart = plain(listed([names[place] for place in places if place not in counted]))
        return places if st.toggle(f"Also what does not count: {apart}", key=f"apart-{key}-{unit}") else counted, unit
    titles = told_apart(dict(enumerate(names)))
    first = sorted(counted or places, key=lambda place: -study.objectives[place].priority)[:most]
    chosen = st.multiselect(
        "Metrics", places, default=sorted(first), format_func=titles.get, key=f"metrics-{key}-{unit}"
    )
    return chosen or first[:1], unit


def ask_metric(place, study: studies.Study, aggregate: Aggregate, key: str) -> int | None:
    """A select box in a container, kept in the link: the place of the metric to show; None: their aggregate."""
    titles = {AGGREGATE: aggregate.title, **{str(m): name for m, name in enumerate(named_of(study).metrics)}}
    chosen = choose(place, "Metric", titles, key, link=key, start=AGGREGATE)
    return None if chosen == AGGREGATE else int(chosen)


def chosen_metric(
    study, fit: Fit, aggregate: Aggregate, metric: int | None, mean: np.ndarray, std: np.ndarray
) -> tuple[str, np.ndarray, np.ndarray, str, str]:
    """Title, mean and std (...) of one metric or of the aggregate, out of (..., M), as people read it; unit; better."""
    if metric is not None:
        one, title = study.objectives[metric], named_of(study).metrics[metric]
        better = "higher" if one.higher_is_better else "lower"
        return title, mean[..., metric], std[..., metric], one.unit, better
    weighted = std * aggregate.weights
    together = np.einsum("...m,mk,...k->...", weighted, fit.surrogate.correlation, weighted)
    return (
        aggregate.title,
        aggregate.sign * aggregate.of(mean),
        np.sqrt(np.maximum(together, 0)),
        aggregate.unit,
        aggregate.better,
    )
