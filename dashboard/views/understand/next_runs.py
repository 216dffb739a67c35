"""Next runs: which mixtures are worth training now, what that should gain, and whether to stop."""

import io
import os

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import components
from dashboard.charts import mixtures as charts
from dashboard.charts import rounds as round_charts
from dashboard.models import progress as queries
from dashboard.server import state
from dashboard.views.shared import study as parts
from dashboard.views.shared.put_forward import put_forward
from engine.core.errors import Problem
from engine.search.acquisition import TITLES, worth
from engine.spec.fidelity import Fidelity
from engine.spec.objectives import Aggregate
from engine.studies.proposals import queue_proposal, start_proposed
from store import jobs, proposals, studies


def render(name: str | None) -> None:
    st.title("Next runs")
    if (study := parts.study_of(name)) is None or parts.is_merge(study) or (fit := parts.fit_of(study)) is None:
        return
    ask(study, fit.name, parts.priorities_of(study))
    parts.live(lambda: latest(study.id))


def ask(study: studies.Study, surrogate: str, whole: Aggregate) -> None:
    """Choose how and how many; queue the question."""
    left, middle, right = st.columns([3, 2, 1], vertical_alignment="bottom")
    proposer = left.selectbox("How", list(TITLES), format_func=TITLES.get, key="proposer")
    count = middle.select_slider("Runs", [2, 4, 8, 16, 32, 64], 8, key="proposal-count")
    wanted = {"type": "primary", "icon": ":material/next_plan:", "width": "stretch"}
    if right.button("Propose", **wanted, **parts.takes("operator")):
        queue_proposal(state.store(), study, proposer, count, surrogate, parts.priorities_asked(whole))
        st.rerun()


def latest(name: str) -> None:
    """The latest proposal, or how far it is."""
    store = state.store()
    study = studies.get(store, name)
    for job in jobs.of_study(store, name):
        if job.kind == "propose" and job.state in jobs.UNFINISHED:
            st.progress(min(1.0, (job.done or 0) / (job.total or 1)), text=job.note or "waits for its turn")
        elif job.kind == "propose" and job.state == "failed":
            parts.refusal(job.message)
    found = proposals.of_study(store, name)
    if not found:
        st.info(
            "Ask for the runs that would help most. Each proposal says what it is expected to gain, and when it is "
            "not worth the time."
        )
        return
    show(study, found[0])


def show(study: studies.Study, proposal: dict) -> None:
    """The proposed mixtures, what they should gain, and which domains matter."""
    found, settings = proposal["found"], proposal["settings"]
    whole, names = Aggregate.from_dict(settings["aggregate"]), parts.named_of(study)
    points = np.array(found["points"])
    verdict(study, found, whole, len(points))
    left, right = st.columns(2)
    labels = [f"{place}" for place in range(1, len(points) + 1)]
    with left:
        st.subheader("Mixtures to train", anchor=False)
        figure = charts.shares_bar(labels[:16], names.domains, names.colours, points[:16])
        components.plot(figure, key="proposed")
        if len(points) > 16:
            st.caption(f"The first 16 of {len(points)}.")
    with right:
        if found["gain"] is not None:
            st.subheader("What they should gain", anchor=False)
            components.plot(round_charts.gains(np.array(found["gain"]), found["noise"], whole.unit), key="gains")
            st.caption(
                "How much better the best mixture is expected to become, were the batch measured without noise: an "
                "upper estimate."
            )
    start(study, points, settings)
    matter(study, found)


def verdict(study: studies.Study, found: dict, whole: Aggregate, count: int) -> None:
    """Against stopping, in a sentence."""
    if found["gain"] is None:
        st.caption("CLIMB narrows the pool in rounds and estimates no gain. Expected improvement does.")
        return
    seconds = batch_seconds(study, count)
    weighed = worth(found["gain"][-1], seconds, found["noise"])
    rate = weighed.gain_an_hour
    per_hour = "" if rate is None else f", {rate:.3g} {whole.unit} an hour of one device"
    words = (
        f"{count} runs are expected to gain {weighed.gain:.4f} {whole.unit}{per_hour}. The deviation of one "
        f"measurement is {weighed.noise:.4f}."
    )
    if weighed.stop:
        st.success(f"**You can stop.** {words} Nobody could measure so small a gain.", icon=":material/flag:")
    else:
        st.info(f"**Worth training.** {words}", icon=":material/trending_down:")


def batch_seconds(study: studies.Study, count: int) -> float | None:
    """What a batch takes on one device; None where no speed is known."""
    if study.imported:
        return None
    price = queries.cost(state.store(), Fidelity.from_dict(study.spec["fidelity"]), count, queries.BYTES, 1)
    return None if price.minutes is None else 60 * price.minutes


def start(study: studies.Study, points: np.ndarray, settings: dict) -> None:
    """Train them here, or take them along."""
    with st.container(horizontal=True):
        seconds = batch_seconds(study, len(points))
        about = f" · about {parts.duration(seconds / (os.cpu_count() or 1))}" if seconds else ""
        label = f"Train these {len(points)}{about}"
        may = parts.takes("operator", bool(study.imported))
        if st.button(label, type="primary", icon=":material/play_arrow:", **may):
            try:
                start_proposed(state.store(), study, points)
            except Problem as problem:
                parts.refusal(problem)
                return
            st.toast("Queued. The league refits when they are in.")
            st.rerun()
        text = io.StringIO()
        pd.DataFrame(points, columns=study.domains).to_csv(text, index_label="index")
        st.download_button("Download as CSV", text.getvalue(), "next-runs.csv", "text/csv", icon=":material/download:")
    labelled = {f"mixture {place}": point for place, point in enumerate(points, 1)}
    put_forward(study, labelled, "next-runs", settings["surrogate"])
    if study.imported:
        st.caption(
            "The runs of this study were imported: train these where the others were trained, and import all runs."
        )


def matter(study: studies.Study, found: dict) -> None:
    """Which domains the metrics depend on."""
    st.subheader("Which domains matter", anchor=False)
    if found["relevance"] is None:
        st.info(parts.plain(found["problem"]))
        return
    names, one = parts.named_of(study), found["relevance"]
    strength, support = np.array(one["strength"]), np.array(one["support"])
    counted = np.flatnonzero(support.any(axis=0))
    figure = round_charts.relevance(
        names.domains, [names.metrics[m] for m in counted], strength[:, counted], support[:, counted]
    )
    components.plot(figure, key="relevance")
    idle = [name for name, out in zip(names.domains, one["idle"], strict=True) if out]
    words = f"No metric depends on {', '.join(idle)}: stop sampling it." if idle else "Every domain matters somewhere."
    effort = sorted(zip(one["effort"], names.domains, strict=True), reverse=True)[:6]
    earned = ", ".join(f"{name} {share:.0%}" for share, name in effort)
    st.caption(f"Sampling effort that the next round should give by relevance, the most first: {parts.plain(earned)}.")
    st.caption(
        f"{parts.plain(words)} Lasso on log shares: how many spreads a metric moves a spread of the share. Empty where "
        "under half of the resamples keep the domain, **?** where under 90% do."
    )
