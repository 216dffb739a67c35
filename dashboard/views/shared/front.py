"""The draws that a search kept, and a slider along their Pareto front: for shares and coefficients alike."""

from collections.abc import Callable

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts import rounds as round_charts
from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared.limits import limits_beside, limits_on, say_limits
from dashboard.views.shared.plot import plot
from dashboard.views.shared.predicted import SUPPORT
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.short_names import told_apart
from engine.search.job import draws_file
from engine.search.pool import Pool, front
from engine.spec.statistics import ci_half_width
from engine.studies.fits import load
from engine.studies.moments import Moment
from engine.studies.reach import places_in
from engine.surrogates import Surrogate
from store import studies

Along = Callable[[Named, np.ndarray, int], go.Figure]  # names, points (F, D) on the front, the place of the chosen one


def pool_of(search: dict) -> Pool:
    """The draws that a search kept. Raises Problem if they are gone."""
    return Pool.load(state.store().workspace.root / draws_file(search["job"]))


def surrogate_of(study: studies.Study, search: dict) -> Surrogate:
    """The surrogate that a search used."""
    settings = search["settings"]
    folder = state.store().workspace.surrogates(study.id, settings["fingerprint"])
    return load(folder / f"{settings['surrogate']}.npz")


def signs_of(study: studies.Study) -> np.ndarray:
    """(M,) 1 where lower is better, -1 where higher is."""
    return np.array([-1.0 if one.higher_is_better else 1.0 for one in study.objectives])


def places_of(study: studies.Study, search: dict, points: np.ndarray) -> list[str]:
    """Whether each point (N, D) lies between the runs that the search's fit learned from, or beyond."""
    return places_in(state.store(), study.id, points, search["settings"]["fingerprint"])


def traded_first(study: studies.Study) -> list[int]:
    """The two metrics of the highest priority; where negative flips are counted, the first one and those of text."""
    ranked = sorted(range(len(study.metrics)), key=lambda m: -study.objectives[m].priority)
    flips = [m for m, one in enumerate(study.objectives) if one.reference and m != ranked[0]]
    return sorted([ranked[0], *flips[:1]] if flips else ranked[:2])


def along_the_front(moment: Moment, search: dict, along: Along) -> np.ndarray | None:
    """A slider along the Pareto front of two or three metrics, and what is predicted there. The chosen point (D,); None
    where the study has one metric. Raises Problem where no draw keeps the limits."""
    study = moment.study
    if len(study.metrics) < 2:
        st.info("A trade-off needs two metrics, and this study has one.")
        return None
    names, pool, surrogate = named_of(study), pool_of(search), surrogate_of(study, search)
    chosen = ask_metrics(study, names)
    say_limits(study, search)
    limits = limits_beside(study, "front-limits", f"A {kind_of_run(study)} at each point of the front")
    if np.isfinite(limits).any():
        pool = limits_on(study, limits).within(pool, surrogate)
    rows, place = front(pool, chosen, signs_of(study)), 0
    if len(rows) > 1:
        place = st.slider("Along the front", 1, len(rows), (len(rows) + 1) // 2, key=f"place-{study.id}-{chosen}") - 1
    points = pool.points[rows]
    mean, std = surrogate.predict(points[place][None])
    left, right = st.columns(2)
    with left:
        plot(front_of(names, chosen[:2], pool.mean[rows], moment.measured.losses, place, std[0]), key="front")
    with right:
        plot(along(names, points, place), key="along-front")
    badge = SUPPORT[places_of(study, search, points[place][None])[0]]
    st.markdown(f"At this point: {predicted_words(names, chosen, mean[0], std[0])}. {badge}")
    st.caption(
        f"{len(rows)} of {len(pool.points):,} draws are on the front: none is predicted better in all chosen metrics. "
        f"Points within each other's intervals cannot be told apart. Predicted from {moment.behind(search).runs} "
        f"{kind_of_run(study)}s; the dots are the {len(moment.measured.losses)} measured so far."
    )
    return points[place]


def ask_metrics(study: studies.Study, names: Named) -> list[int]:
    """Two or three metrics, by their places."""
    return st.multiselect(
        "Between",
        range(len(study.metrics)),
        default=traded_first(study),
        max_selections=3,
        format_func=told_apart(dict(enumerate(names.metrics))).get,
        key=f"front-{study.id}",
    )


def kind_of_run(study: studies.Study) -> str:
    """What is measured in such a study."""
    return "merge" if study.kind == "merge" else "run"


def predicted_words(names: Named, metrics: list[int], mean: np.ndarray, std: np.ndarray) -> str:
    """Some metrics as predicted, mean and std (M,), with their 95% intervals."""
    read = [reading(unit) for unit in names.units]
    return ", ".join(
        f"{plain(names.metrics[m])} {read[m].words(mean[m], ci_half_width(std[m]))} {plain(read[m].unit)}"
        for m in metrics
    )


def front_of(names: Named, pair: list[int], predicted: np.ndarray, measured: np.ndarray, place: int, std: np.ndarray):
    """The chart of a front in two metrics: predicted (P, M) of its points, measured (R, M) of the runs; std (M,) of
    the point in that place."""
    return round_charts.front(
        tuple(names.metrics[m] for m in pair),
        tuple(names.units[m] for m in pair),
        predicted[:, pair],
        measured[:, pair],
        place,
        std[pair],
    )
