"""The honest headline of a merge study: the best merge measured, one button, and the evidence behind each number."""

import numpy as np
import streamlit as st

from dashboard.models import wording
from dashboard.models.moments import behind_words
from dashboard.models.units import digits
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.links import lead
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.study import named_of, too_few
from dashboard.views.shared.text import baseline_phrase, facts, local, plain
from dashboard.views.shared.units import reading
from engine import VERSION
from engine.core.short_names import counted, listed
from engine.spec.statistics import ci_half_width
from engine.studies.merges.answer import MergeAnswer, merge_answer
from engine.studies.merges.questions import measure_points
from engine.studies.moments import Moment
from engine.studies.points import BEST_PREDICTED
from engine.surrogates import title_of

SHOWN = 4  # coefficients in the sentence


def show_merge_headline(moment: Moment, key: str) -> MergeAnswer | None:
    """The sentence, the button and the evidence; nothing before anything is measured. key: of the page."""
    if (one := merge_answer(state.store(), moment)) is None or too_few(moment.study):
        return None
    study, name = moment.study, f"headline-{key}-{moment.study.id}"
    st.markdown(f"{sentence(moment, one)} {further(moment, one)}")
    with st.container(horizontal=True):
        style = {"type": "primary", "key": name}
        if one.promising:
            if st.button("Measure the best predicted", icon=":material/science:", **style, **needs_role("operator")):
                act(name, lambda: measure_points(state.store(), study, one.next, BEST_PREDICTED))
        else:
            lead("Search for better merges", "search", study, {**style, "icon": ":material/travel_explore:"})
        with st.popover(
            "Where the numbers come from", icon=":material/account_tree:", key=f"evidence-{key}-{study.id}"
        ):
            evidence(moment, one)
    show_refusal(name)
    return one


def sentence(moment: Moment, one: MergeAnswer) -> str:
    """The best merge against the best baseline; never a winner within noise."""
    read, of = reading(moment.aggregate.unit), f"the best of {counted(one.merges, 'merge')} measured on the same text"
    against = baseline_phrase(one.against[0])
    if one.itself:
        return f"{against[0].upper()}{against[1:]} is {of}: no other beats it."
    merge, size = f"**{coefficients(moment, one.point)}**", f"{apart(read, one.gap, one.half)} {plain(read.gap_unit)}"
    direction = "better" if one.gap < 0 else "worse"
    if not np.isfinite(one.half):
        return f"{merge} is {of}: {size} {direction} than {against}; the noise is unknown, as one has no interval."
    if not one.apart:
        return f"{merge} is {of}, and **cannot be told apart** from {against}: {size} {direction}, within the noise."
    if one.gap > 0:
        return f"{merge} is {of}, but {against} is {size} better: keep that."
    return f"{merge}: **{size} better** than {against}, {of}."


def coefficients(moment: Moment, point: np.ndarray) -> str:
    """The largest coefficients of a merge (D,), and how many more are not 0."""
    names, order = named_of(moment.study).coordinates, np.argsort(-np.abs(point), kind="stable")
    there = [f"{plain(names[i])} {digits(point[i], '.2f')}" for i in order if abs(point[i]) >= 0.005]
    return listed(there, SHOWN) or "The base alone"


def apart(read, gap: float, half: float) -> str:
    """The size of a difference with its interval."""
    return wording.number(read.gap(abs(gap))) + (f" ± {wording.number(read.gap(half))}" if np.isfinite(half) else "")


def further(moment: Moment, one: MergeAnswer) -> str:
    """What would make it better or surer."""
    lucky = "The best of many looks slightly better than it is."
    if moment.fit is None:
        return lucky
    if one.expected is None:
        return f"{lucky} Nothing that is not measured yet is predicted to be the best; a search measures more."
    read, gap = reading(moment.aggregate.unit), one.expected
    told = f"{apart(read, gap.aggregate, ci_half_width(gap.aggregate_std))} {plain(read.gap_unit)}"
    direction = "better" if gap.aggregate < 0 else "worse"
    noise = ", within noise" if gap.inside_noise else ""
    return f"{lucky} The best predicted merge is not measured yet: {told} {direction} than this by prediction{noise}."


def evidence(moment: Moment, one: MergeAnswer) -> None:
    """Each number of the sentence, and what stands behind it."""
    read, sign = reading(moment.aggregate.unit), moment.aggregate.sign
    unit, half = read.gap_unit, one.half if np.isfinite(one.half) else None
    rows = {
        "the merge": f"{one.run}, the best of {counted(one.merges, 'merge')} by the priorities of this page",
        "the baseline": f"{one.against[1]}, {one.against[0]}: the best of the baselines",
        "measured difference": f"{read.gap_words(sign * one.gap, half)} {unit} (95%, over windows of the text)",
        "noise of one run": "none: the same merge measures the same; what is uncertain is the sample of text",
    }
    if moment.search is not None and one.expected is not None and moment.fit is not None:
        search, gap = moment.search, one.expected
        by = title_of(search["settings"]["surrogate"])
        rows["the best predicted"] = (
            f"the search of {local(search['t'])}, with {by} {behind_words(moment, moment.behind(search))}"
        )
        told = read.gap_words(sign * gap.aggregate, ci_half_width(gap.aggregate_std))
        on = counted(len(moment.fit.measured.ids), "merge")
        rows["its predicted difference"] = f"{told} {unit} to {one.run}, {moment.fit.title} on {on}"
    data = "no fit yet" if moment.fit is None else f"merges {moment.fit.fingerprint[:12]}"
    rows["data and code"] = f"{data}, shown by Mixdesk {VERSION}"
    facts(rows)
    st.caption(
        "The interval counts the two as measured on different text; they share it, so the difference is more certain "
        "than that. *Runs* lists all merges, *Leaderboard* judges the surrogate."
    )
