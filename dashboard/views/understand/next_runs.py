"""Next runs: which mixtures to train next, the expected gain, and whether to stop."""

import io
import os

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import mixtures as mixture_charts
from dashboard.charts import rounds as round_charts
from dashboard.models.cost import BYTES, cost_of
from dashboard.models.moments import behind_words
from dashboard.models.searches import proposal_words
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.live import live
from dashboard.views.shared.moment import priorities_asked, show_moment
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.plot import plot
from dashboard.views.shared.progress import under_way
from dashboard.views.shared.sidebar import ask_moment
from dashboard.views.shared.study import named_of, study_of
from dashboard.views.shared.text import duration, plain, refusal, zone
from dashboard.views.shared.units import reading
from dashboard.views.understand.new_source import new_source
from dashboard.views.understand.size_plan import size_plan
from engine.core.errors import Problem
from engine.core.sheets import as_text
from engine.search.acquisition import TITLES, worth
from engine.spec.fidelity import Fidelity
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ordered
from engine.studies.moments import Moment, moment_of
from engine.studies.proposals import queue_proposal, start_proposed
from store import jobs, results, studies


def render(name: str | None) -> None:
    st.title("Next runs")
    if (study := study_of(name)) is None:
        return
    moment = ask_moment(study)
    if moment.fit is None:
        return
    aggregate = moment.aggregate
    show_moment(moment, "next-runs")
    ask(study, moment.fit.name, aggregate)
    live(lambda: latest(moment))
    size_plan(study, aggregate)
    new_source(study, aggregate)


def ask(study: studies.Study, surrogate: str, aggregate: Aggregate) -> None:
    """Choose how and how many; queue the question."""
    left, middle, right = st.columns([3, 2, 1], vertical_alignment="bottom")
    proposer = left.selectbox("Strategy", list(TITLES), format_func=TITLES.get, key="proposer")
    count = middle.select_slider("Runs", [2, 4, 8, 16, 32, 64], 8, key="proposal-count")
    style = {"type": "primary", "icon": ":material/next_plan:", "width": "stretch"}
    if right.button("Propose", **style, **needs_role("operator")):
        asked = queue_proposal(state.store(), study, proposer, count, surrogate, priorities_asked(study, aggregate))
        say_if_there(asked.already_there)
        st.rerun()


NONE_YET = (
    "Propose the runs that should help most. Each proposal comes with its expected gain, and says when it is not worth "
    "the time."
)


def latest(drawn: Moment) -> None:
    """The latest proposal, or how far it is, as of now; drawn: the moment of the page."""
    store, name = state.store(), drawn.study.id
    shown = under_way(jobs.of_study(store, name), "propose", "proposing")
    found = results.proposals(store, name)
    if not found:
        if not shown:
            st.info(NONE_YET)
        return
    moment = moment_of(store, drawn.study, drawn.aggregate, drawn.fit.name)
    behind = behind_words(moment, moment.behind(found[0]))
    st.caption(f":material/history: {plain(proposal_words(found[0], zone()))}, {behind}.")
    show(moment.study, found[0])


def show(study: studies.Study, proposal: dict) -> None:
    """The proposed mixtures, what they should gain, and which domains matter."""
    found, settings = proposal["found"], proposal["settings"]
    aggregate, names = Aggregate.from_dict(settings["aggregate"]), named_of(study)
    points = np.array(found["points"])
    verdict(study, found, aggregate, len(points))
    left, right = st.columns(2)
    labels = [f"{place}" for place in range(1, len(points) + 1)]
    with left:
        st.header("Mixtures to train", anchor=False)
        figure = mixture_charts.shares_bar(labels[:16], names, points[:16])
        plot(figure, key="proposed")
        if len(points) > 16:
            st.caption(f"The first 16 of {len(points)}.")
    with right:
        if found["gain"] is not None:
            st.header("Expected gain", anchor=False)
            plot(round_charts.gains(np.array(found["gain"]), found["noise"], aggregate.unit), key="gains")
            st.caption(
                "How much better the best mixture is expected to get if the batch is measured without noise: an "
                "optimistic estimate."
            )
    start(study, points, settings)
    relevance(study, found)


def verdict(study: studies.Study, found: dict, aggregate: Aggregate, count: int) -> None:
    """Whether to train them or stop, in a sentence."""
    if found["gain"] is None:
        st.caption("CLIMB narrows the pool in rounds and does not estimate the gain. Expected improvement does.")
        return
    seconds = batch_seconds(study, count)
    weighed = worth(found["gain"][-1], seconds, found["noise"])
    rate = weighed.gain_an_hour
    read = reading(aggregate.unit)
    per_hour = "" if rate is None else f", {read.gap(rate):.3g} {plain(read.gap_unit)} per device-hour"
    words = (
        f"{count} runs are expected to gain {read.gap(weighed.gain):.4f} {plain(read.gap_unit)}{per_hour}. The "
        f"standard deviation of one measurement is {read.gap(weighed.noise):.4f}."
    )
    if weighed.stop:
        st.success(f"**You can stop.** {words} So small a gain could not be measured.", icon=":material/flag:")
    else:
        st.info(f"**Worth training.** {words}", icon=":material/trending_down:")


def batch_seconds(study: studies.Study, count: int) -> float | None:
    """Seconds of a batch on one device; None if no speed is known."""
    if study.elsewhere:
        return None
    price = cost_of(state.store(), Fidelity.from_dict(study.spec["fidelity"]), count, BYTES, 1)
    return None if price.minutes is None else 60 * price.minutes


def start(study: studies.Study, points: np.ndarray, settings: dict) -> None:
    """Train them here, download or nominate them."""
    with st.container(horizontal=True):
        seconds = batch_seconds(study, len(points))
        about = f" · about {duration(seconds / (os.cpu_count() or 1))}" if seconds else ""
        label = f"Plan these {len(points)}" if study.external else f"Train these {len(points)}{about}"
        allowed = needs_role("operator", bool(study.imported))
        if st.button(label, type="primary", icon=":material/play_arrow:", **allowed):
            try:
                begun = start_proposed(state.store(), study, points)
            except Problem as problem:
                refusal(problem)
                return
            say_if_there(begun.already_there)
            if not begun.already_there:
                where = "Planned: export them on *Runs*." if study.external else "Queued."
                st.toast(f"{where} Surrogates are refitted when they finish.")
            st.rerun()
        text = io.StringIO()
        pd.DataFrame(points, columns=[as_text(name) for name in study.domains]).to_csv(text, index_label="index")
        st.download_button("Download as CSV", text.getvalue(), "next-runs.csv", "text/csv", icon=":material/download:")
    labelled = {f"mixture {place}": point for place, point in enumerate(points, 1)}
    nominate(study, labelled, "next-runs", settings["surrogate"])
    if study.imported:
        st.caption(
            "The runs of this study were imported: train these where you trained the others, then import all runs."
        )


def relevance(study: studies.Study, found: dict) -> None:
    """Which domains the metrics depend on."""
    st.header("Which domains matter", anchor=False)
    if found["relevance"] is None:
        st.info(plain(found["problem"]))
        return
    names, one = named_of(study), found["relevance"]
    strength, support = np.array(one["strength"]), np.array(one["support"])
    counted = np.flatnonzero(support.any(axis=0))
    figure = round_charts.relevance(
        names.coordinates, [names.metrics[m] for m in counted], strength[:, counted], support[:, counted]
    )
    plot(figure, key="relevance")
    idle = [name for name, out in zip(names.coordinates, one["idle"], strict=True) if out]
    words = (
        f"No metric depends on {', '.join(idle)}: stop sampling it."
        if idle
        else "Every domain matters for some metric."
    )
    most = ordered(-np.array(one["effort"]))[:6]
    earned = ", ".join(f"{names.coordinates[i]} {one['effort'][i]:.0%}" for i in most)
    st.caption(f"Suggested sampling effort for the next round, by relevance: {plain(earned)}.")
    st.caption(
        f"{plain(words)} Lasso on log shares; standardised effects (standard deviations of the metric per standard "
        "deviation of the log share). Empty: fewer than half of the resamples keep the domain; **?**: fewer than 90%."
    )
