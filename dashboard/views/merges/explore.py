"""Explore a merge study: losses predicted at once and measured a moment later; the desk is in desk.py."""

import json

import numpy as np
import streamlit as st

from dashboard.server import state
from dashboard.views.merges.desk import Setting, ask_method, desk, open_file, setting_of, start_point
from dashboard.views.merges.details import details
from dashboard.views.merges.measuring import Live, can_measure_live, measured_now, wait_for
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.merge_headline import show_merge_headline
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.predicted import Compared, ask_reference, compared, headline, levels
from dashboard.views.shared.refused import fragment
from dashboard.views.shared.sidebar import ask_moment
from dashboard.views.shared.study import named_of, study_of, too_few
from dashboard.views.shared.take_desk import take_desk
from dashboard.views.shared.text import plain, refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.spec.merge import MergeSpec
from engine.spec.merge_catalogue import card_of
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width
from engine.spec.study import StudySpec
from engine.studies.fits import Fit
from engine.studies.measured import reference_runs
from engine.studies.merges import questions
from engine.studies.merges.live import Measured
from engine.studies.moments import Moment
from engine.studies.points import named_points
from store import runs, studies


def render(name: str | None) -> None:
    st.title("Explore")
    if (study := study_of(name)) is None:
        return
    moment = ask_moment(study)
    study, fit, aggregate = moment.study, moment.fit, moment.aggregate
    show_moment(moment, "explore")
    show_merge_headline(moment, "explore")
    points = named(moment)
    preflight(study)
    own = StudySpec.from_dict(study.spec).merge

    @fragment
    def desk_and_predictions():
        row = st.columns([3, 2, 2, 3], vertical_alignment="bottom")
        setting = setting_of(study, own, ask_method(study, own, row), points)
        covered = fit if setting.own else None
        with row[3]:
            reference = ask_reference(points) if covered else ""
        live = measured_now(study, setting, patience=0.0)
        with st.container(key="mixdesk-top"):
            left, right = st.columns([3, 2], gap="medium")
            with left:
                desk(study, setting, covered, aggregate)
            with right:
                if covered:
                    one = compared(covered, aggregate, setting.point, (reference, points[reference]))
                    predictions(study, covered, aggregate, one, live)
                else:
                    measured_only(study, aggregate, setting, live)
        st.caption(f"{summary(study)} {LEGEND}" + (LEGEND_PREDICTED if covered else ""))
        if covered:
            st.caption(reach_words(covered, one))
        open_file(study, own)
        if covered:
            take_on(moment, setting.point)
            not_live(study, own)
            details(study, fit, aggregate, setting, points, live)
        if live is None:
            wait_for(study, setting)

    desk_and_predictions()


def named(moment: Moment) -> dict[str, np.ndarray]:
    """The named points. The first is what the faders are compared with at first: the best measured baseline that is not
    where they start (`start_point`)."""
    points = named_points(moment)
    usual = reference_runs(runs.measured(state.store(), moment.study.id), moment.aggregate)
    start = start_point(moment.study, points)
    others = [name for name in usual if name in points and not np.allclose(points[name], start)]
    return {name: points[name] for name in others} | points


def preflight(study: studies.Study) -> None:
    """The preflight of external checkpoints: ancestry, tokenizers, and what a merge needs."""
    path = state.store().workspace.root / "experts" / study.id / "preflight.json"
    if not study.spec["merge"]["base"] or not path.exists():
        return
    found = json.loads(path.read_text())
    words = [one["says"] for one in found["ancestry"]] + found["warnings"]
    sizes = [f"{name} {found[key] / 1e6:,.0f} MB" for name, key in (("memory", "memory_bytes"), ("disk", "disk_bytes"))]
    title = f"Preflight: {found['parameters']:,} parameters, {', '.join(sizes)}, {found['cpu_seconds']:.0f} s"
    with st.expander(title, key="preflight"):
        for sentence in found["refusals"]:
            refusal(sentence)
        for sentence in words:
            st.caption(plain(sentence))
        st.caption("Estimates for one merge written to disk; merges that are only measured need no disk.")


def summary(study: studies.Study) -> str:
    """What is merged, in one line."""
    merge = study.spec["merge"]
    where = "external checkpoints" if merge["base"] else "proxies trained here from one base"
    experts = ", ".join(plain(name) for name in study.corpus["experts"])
    method = card_of(merge["method"]).title
    return f"{len(study.corpus['experts'])} experts, {where}: {experts}. The study's method: {method}."


# Predicted and measured ------------------------------------------------------------------------------------------


LEGEND = "0 = off, 1 = full expert."
LEGEND_PREDICTED = (
    " Lit: moving that fader alone there is predicted to come near the best merge. Small marks: positions tried, from "
    "better to worse."
)


def predictions(study, fit: Fit, aggregate: Aggregate, one: Compared, live: Measured | Problem | None) -> None:
    """Predicted losses at once, and the measured ones as soon as they are there."""
    headline(one, aggregate, bool(too_few(study)))
    if isinstance(live, Measured):
        unscored(live)
        unit = plain(reading(aggregate.unit).unit)  # on one line: the meters are to stay on the faders' screen
        st.markdown(f"{aggregate.title.capitalize()}, measured now: **{now_words(aggregate, live)}** {unit}.")
    elif live is not None:
        st.caption(f":material/info: {plain(live)}")
    tick = ("this merge, measured now", live.losses) if isinstance(live, Measured) else None
    levels(study, fit, aggregate, one, tick)


def unscored(live: Measured) -> None:
    """Why a merge has no value of some metrics."""
    for why in live.missing:
        st.caption(f":material/info: {plain(why)}")


def now_words(aggregate: Aggregate, live: Measured) -> str:
    """The measured aggregate with its interval over windows of the text; that it is unknown where a metric that counts
    has no value."""
    if not np.isfinite(aggregate.of(live.losses)):
        return "unknown"
    half = ci_half_width(aggregate.error_of([live.losses_se]))
    return reading(aggregate.unit).words(aggregate.sign * float(aggregate.of(live.losses)), half)


def reach_words(fit: Fit, one: Compared) -> str:
    """How far the faders are from measured merges, and what the intervals are of."""
    return (
        f"The nearest of {len(fit.measured.ids)} measured merges is {2 * one.support.distance[0]:.2f} away (sum of "
        f"coefficient differences; they are up to {2 * one.support.reach:.2f} apart). Intervals are 95%. Measuring a "
        "merge again gives the same result: the uncertainty of predictions is the surrogate's, not training noise, and "
        "that of measurements is the sample of text."
    )


def measured_only(study: studies.Study, aggregate: Aggregate, setting: Setting, live: Live | None) -> None:
    """The measurement of a merge that no surrogate covers."""
    if not can_measure_live(study):
        nothing_yet(
            "The study's surrogate does not cover this method, and large models are not measured while a fader moves. "
            "Start a merge study with it on *Studies*.",
            study,
            studies="To Studies",
        )
        return
    names = named_of(study)
    if isinstance(live, Problem):
        st.info(plain(live))
    elif live is None:
        st.caption("Measuring this merge; its losses appear here in a moment.")
    else:
        unscored(live)
        read, own = reading(aggregate.unit), [reading(unit) for unit in names.units]
        st.metric(f"{aggregate.title.capitalize()}, measured now ({plain(read.unit)})", now_words(aggregate, live))
        texts = [one.words(*pair) for one, *pair in zip(own, live.losses, ci_half_width(live.losses_se), strict=True)]
        titles = [f"{name} [{one.unit}]" for name, one in zip(names.metrics, own, strict=True)]
        st.dataframe({"metric": titles, "measured, 95% over windows": texts}, hide_index=True)
        if not setting.own:
            st.caption(
                "Measured, not predicted: the study's surrogate covers only its own method and coordinates. To search "
                "with these, start a merge study with them on *Studies*."
            )


def take_on(moment: Moment, at: np.ndarray) -> None:
    """What can be done with this merge (D,): measured in full, nominated, taken along."""
    with st.container(horizontal=True):
        save_button(moment.study, at)
        nominate(moment.study, {"the faders": at}, "merge-desk", moment.fit.name, moment.aggregate)
        take_desk(moment.study, moment.fit.name, moment.aggregate)


def not_live(study: studies.Study, own: MergeSpec) -> None:
    """That faders of merges of large models are predicted only, and what measures one."""
    if can_measure_live(study):
        return
    told = listed([plain(name) for name in own.evaluators])
    st.caption(
        ":material/info: Predicted, not measured: merges of large models are not measured while a fader moves. "
        f"*Measure in full* measures this one{f', also by the programs {told}' if told else ''}."
    )


def save_button(study: studies.Study, at: np.ndarray) -> None:
    """Queue the full measurement of this merge, as a run of the study."""
    words = "Measure in full" if study.spec["fidelity"] is None else "Save as a run"
    effect = "Makes it a run of the study, which surrogates learn from."
    if st.button(words, **{"icon": ":material/add_task:", "help": effect, **needs_role("operator")}):
        try:
            questions.measure_points(state.store(), study, at, "from the faders")
            st.toast("Queued. Surrogates are refitted once it is measured.")
        except Problem as problem:
            refusal(problem)
