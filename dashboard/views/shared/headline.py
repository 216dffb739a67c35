"""The honest headline of a study: its answer in one sentence, one button, and the evidence behind each number."""

import os

import streamlit as st

from dashboard.models import wording
from dashboard.models.cost import BYTES, cost_of
from dashboard.models.moments import behind_words, noise_unknown
from dashboard.models.units import digits
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.links import lead
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import baseline_phrase, duration, facts, local, plain
from dashboard.views.shared.units import reading
from engine import VERSION
from engine.core.short_names import counted, listed
from engine.spec.statistics import ci_half_width, ordered
from engine.studies.confirmations import confirm
from engine.studies.headline import Headline, headline, plan_of
from engine.studies.moments import Moment
from engine.surrogates import title_of
from store import studies

SHOWN = 4  # shares in the sentence
SURE, SETTLED = 0.95, 0.99  # from which on it may be claimed, and from which on small runs add nothing


def show_headline(moment: Moment, key: str) -> None:
    """The sentence, the button and the evidence; nothing before there is an answer. key: of the page."""
    study = moment.study
    if (one := headline(state.store(), moment)) is None:
        return
    settled = one.judged and one.sure >= SETTLED
    plan = plan_of(study, one) if one.more and not settled and not study.elsewhere else None
    price = plan and cost_of(state.store(), plan.fidelity, 2 * one.more, BYTES, os.cpu_count() or 1)
    st.markdown(f"{sentence(study, one)} {further(moment, one, price and price.minutes)}")
    with st.container(horizontal=True):
        style = {"type": "primary", "icon": ":material/verified:", "key": f"headline-{key}-{study.id}"}
        if plan is not None:
            label = f"Measure both: {counted(2 * one.more, 'run')}"
            if st.button(label, **style, **needs_role("operator")):
                say_if_there(not confirm(state.store(), study, plan))
                st.rerun()
        elif study.elsewhere or not settled:
            lead("Propose next runs", "next-runs", study, style)
        else:
            lead("Confirm in larger models", "confirm", study, style)
        opened = {"icon": ":material/account_tree:", "key": f"evidence-{key}-{study.id}"}
        with st.popover("Where the numbers come from", **opened):
            evidence(moment, one)


def sentence(study: studies.Study, one: Headline) -> str:
    """The answer against the baseline, and how sure that is; never a winner within noise."""
    names, order = named_of(study).coordinates, ordered(-one.point)
    shares = [f"{plain(names[i])} {one.point[i]:.0%}" for i in order if one.point[i] >= 0.005]
    read = reading(one.aggregate.unit)
    mixture = f"**{listed(shares, SHOWN)}**"
    size = f"{wording.number(read.gap(abs(one.gap)))} {plain(read.gap_unit)}"
    before = corrected(one)
    sure = max(one.sure, 1 - one.sure)
    chance = "more than 99%" if sure > SETTLED else f"{sure:.0%}"
    against = plain(baseline_phrase(one.against[0]))
    if not one.judged:
        direction = "better" if one.gap < 0 else "worse"
        return (
            f"{mixture} is the best predicted: {size} {direction} than {against} by prediction alone. How sure that "
            f"is, is unknown: no refits judged a choice by {one.fit.title}."
        )
    if one.sure >= SURE:
        return f"{mixture}: **{size} better** than {against}{before}, {chance} sure."
    if one.sure <= 1 - SURE:
        return f"{mixture} is the best predicted, but {against} is {size} better{before}, {chance} sure: keep that."
    direction = "better" if one.gap < 0 else "worse"
    return (
        f"{mixture} is the best predicted, and **cannot be told apart** from {against} yet: {size} "
        f"{direction}{before}, only {chance} sure."
    )


def corrected(one: Headline) -> str:
    """What was predicted, where the difference told is another one: this is what the meters of the page show."""
    if one.gap == one.predicted:
        return ""
    read = reading(one.aggregate.unit)
    why = "having been chosen" if one.measured is None else "what was measured since"
    return f" (predicted {read.gap_words(one.aggregate.sign * one.predicted)}, corrected for {why})"


def further(moment: Moment, one: Headline, minutes: float | None) -> str:
    """What would make it surer."""
    if one.judged and one.sure >= SETTLED:
        return "That is for models of the proxies' size."
    if one.noise is None:
        return f"How many runs would make that surer is unknown, as is the noise: {noise_unknown(moment)}."
    if one.more is None:
        return "Nothing short of many seeds would make that much surer: the noise of a run is large by comparison."
    about = "" if minutes is None else f", about {duration(60 * minutes)},"
    return f"{counted(2 * one.more, 'more run')}{about} would halve the uncertainty."


def evidence(moment: Moment, one: Headline) -> None:
    """Each number of the sentence, and what stands behind it."""
    read, sign, standing = reading(one.aggregate.unit), one.aggregate.sign, one.fit.standing
    unit = read.gap_unit
    folds = f"{one.fit.league.folds} folds, {counted(standing.repeats, 'repeat')}"
    rank = "" if standing.score is None else f"; held-out rank correlation {digits(standing.score, '.2f')} ({folds})"
    optimism = one.fit.league.optimism
    chosen = "unknown: no refits for this question"
    if one.bias is not None:
        chosen = f"{read.gap_words(sign * one.bias)} {unit}, {optimism['refits']} refits"
    measured = "not measured yet"
    if one.measured is not None:
        measured = f"{read.gap_words(sign * one.measured)} {unit}, {counted(one.seeds, 'seed')} of both"
    noise = f"unknown: {noise_unknown(moment)}"
    if one.noise is not None:
        noise = f"{wording.number(read.gap(one.noise.std))} {unit}, {counted(one.noise.freedom, 'degree')} of freedom"
    runs, search = counted(len(one.fit.measured.ids), "run"), moment.search
    by = title_of(search["settings"]["surrogate"])
    found = f"the search of {local(search['t'])}, with {by} {behind_words(moment, moment.behind(search))}"
    rows = {
        "the mixture": found,
        "predicted difference": f"{read.gap_words(sign * one.predicted)} {unit}, {one.fit.title} on {runs}{rank}",
        "chosen for its prediction": chosen,
        "measured difference": measured,
        "together": f"{read.gap_words(sign * one.gap, ci_half_width(one.std))} {unit} (95%)",
        "noise of one run": noise,
        "data and code": f"runs {one.fit.fingerprint[:12]}, shown by Mixdesk {VERSION}",
    }
    facts(rows)
    st.caption(
        "“Sure” is the probability that the mixture is truly better at the proxies' size, by the surrogate, its refits "
        "and what was measured since. *Runs* lists the runs, *Leaderboard* judges the surrogate."
    )
