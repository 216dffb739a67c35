"""What can be read off the draws of a search: trade-offs between metrics, and targets. Part of Search."""

import numpy as np
import streamlit as st

from dashboard.charts import mixtures as mixture_charts
from dashboard.charts import rounds as round_charts
from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared.faders import set_faders
from dashboard.views.shared.limits import ask_limits, say_limits
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.plot import plot
from dashboard.views.shared.predicted import SUPPORT
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.short_names import told_apart
from engine.search.job import draws_file
from engine.search.pool import Pool, front, meet_targets
from engine.spec.statistics import ci_half_width
from engine.studies.fits import load
from engine.studies.moments import Moment
from engine.studies.reach import extrapolation_note, places_in
from engine.studies.steering import warnings
from store import studies


def pool_of(search: dict) -> Pool:
    """The draws that a search kept. Raises Problem if they are gone."""
    return Pool.load(state.store().workspace.root / draws_file(search["job"]))


def surrogate_of(study: studies.Study, search: dict):
    """The surrogate that a search used."""
    settings = search["settings"]
    folder = state.store().workspace.surrogates(study.id, settings["fingerprint"])
    return load(folder / f"{settings['surrogate']}.npz")


def signs_of(study: studies.Study) -> np.ndarray:
    return np.array([-1.0 if one.higher_is_better else 1.0 for one in study.objectives])


def trade_off(moment: Moment, search: dict) -> None:
    """A slider along the Pareto front of two or three metrics."""
    study = moment.study
    if len(study.metrics) < 2:
        st.info("A trade-off needs two metrics, and this study has one.")
        return
    names, pool = named_of(study), pool_of(search)
    first = sorted(range(len(study.metrics)), key=lambda m: -study.objectives[m].priority)[:2]
    chosen = st.multiselect(
        "Between",
        range(len(study.metrics)),
        default=sorted(first),
        max_selections=3,
        format_func=told_apart(dict(enumerate(names.metrics))).get,
        key=f"front-{study.id}",
    )
    say_limits(study, search)
    rows, place = front(pool, chosen, signs_of(study)), 0
    if len(rows) > 1:
        place = st.slider("Along the front", 1, len(rows), (len(rows) + 1) // 2, key=f"place-{study.id}-{chosen}") - 1
    shares = pool.points[rows]
    mean, std = surrogate_of(study, search).predict(shares[place][None])
    measured = moment.measured.losses
    left, right = st.columns(2)
    with left:
        plot(front_of(names, chosen[:2], pool.mean[rows], measured, place, std[0]), key="front")
    with right:
        plot(round_charts.along_front(names.coordinates, names.colours, shares, place), key="along-front")
    read = [reading(unit) for unit in names.units]
    values = ", ".join(
        f"{plain(names.metrics[m])} {read[m].words(mean[0, m], ci_half_width(std[0, m]))} {plain(read[m].unit)}"
        for m in chosen
    )
    st.markdown(f"At this point: {values}. {SUPPORT[places_of(study, search, shares[place][None])[0]]}")
    st.caption(
        f"{len(rows)} of {len(pool.points):,} draws are on the front: none is predicted better in all chosen metrics. "
        f"Points within each other's intervals cannot be told apart. Predicted from {moment.behind(search).runs} runs; "
        f"the dots are the {len(measured)} measured so far."
    )
    with st.container(horizontal=True):
        if st.button("Set faders to this point", icon=":material/instant_mix:", key="front-to-faders"):
            set_faders(study, shares[place])
        nominate(study, {"this point on the front": shares[place]}, "front", search["settings"]["surrogate"])


def places_of(study: studies.Study, search: dict, points: np.ndarray) -> list[str]:
    """Whether each point (N, D) lies between the runs that the search's fit learned from, or beyond."""
    return places_in(state.store(), study.id, points, search["settings"]["fingerprint"])


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


def targets(moment: Moment, search: dict) -> None:
    """Mixtures that meet limits on the metrics, with the probability that a run there meets all of them."""
    study = moment.study
    names, pool, signs = named_of(study), pool_of(search), signs_of(study)
    st.caption("Set a target for each metric you care about: a maximum for losses, a minimum for scores.")
    limits = ask_limits(study, "targets", "target", search["found"]["found"]["mean"])
    if not np.isfinite(limits).any():
        return
    limited = {study.metrics[m] for m in np.flatnonzero(np.isfinite(limits))}
    known = warnings(state.store(), study, moment.aggregate)  # which the page says already
    for words in warnings(state.store(), study, moment.aggregate, limited):
        if words not in known:
            st.warning(plain(words), icon=":material/casino:")
    found = meet_targets(pool, surrogate_of(study, search), limits, signs)
    chance = found.chance[0]
    st.markdown(
        f"**{found.expected:,} of {len(pool.points):,}** draws are predicted to meet every target. The most likely one "
        f"meets them all with a probability of **{chance:.0%}** when trained."
    )
    if chance < 0.5:
        st.warning(f"Binding constraint: {plain(names.metrics[found.binding])}. Relax this target first.")
    top = pool.points[found.rows[:6]]
    labels = [f"{chance:.0%} likely ({place})" for place, chance in enumerate(found.chance[:6], 1)]
    if beyond := extrapolation_note(places_of(study, search, top)):
        st.caption(f":material/explore: {plain(beyond)}")
    left, right = st.columns(2)
    with left:
        plot(mixture_charts.shares_bar(labels, names.coordinates, names.colours, top), key="target-mixtures")
        if st.button("Set faders to the most likely", icon=":material/instant_mix:", key="target-to-faders"):
            set_faders(study, top[0])
        nominate(study, dict(zip(labels, top, strict=True)), "target", search["settings"]["surrogate"])
    if found.lowest is not None:
        with right:
            marks = {"most likely": top[0]}
            figure = mixture_charts.ranges(names.coordinates, names.colours, found.lowest, found.highest, marks)
            plot(figure, key="target-ranges")
            st.caption("The range of each share among the draws predicted to meet every target.")
