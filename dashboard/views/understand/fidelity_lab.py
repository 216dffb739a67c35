"""Fidelity lab: cheaper proxies compared with larger ones, and the cheapest that ranks mixtures alike."""

import os

import pandas as pd
import streamlit as st

from dashboard.charts.lab import against_cost
from dashboard.models.cost import cost_of
from dashboard.models.units import digits, with_ends
from dashboard.models.wording import fidelity_words, two_digits
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.choice import choose
from dashboard.views.shared.live import live
from dashboard.views.shared.plot import plot
from dashboard.views.shared.progress import under_way
from dashboard.views.shared.refused import act, attempt, show_refusal
from dashboard.views.shared.study import study_of
from dashboard.views.shared.text import duration, plain, refusal
from engine.analysis.fidelity_lab import ENOUGH
from engine.core.errors import Problem
from engine.core.short_names import counted
from engine.spec.fidelity import Fidelity
from engine.spec.lab import CHANGES, FEWEST, REFERENCE, candidates
from engine.studies import fidelity_lab
from engine.studies.fidelity_lab import MOST, TIMES, Lab, Plan
from engine.studies.training import trainable, vocabulary_of
from store import jobs, studies

ACTS = "fidelity-lab"
TITLES = {name: name for name in CHANGES}


def render(name: str | None) -> None:
    st.title("Fidelity lab")
    if (study := study_of(name)) is None:
        return
    st.markdown(
        "Which cheaper proxies rank mixtures as larger ones do? Each candidate and a larger **reference** are trained "
        "on the same spread mixtures, with two seeds each; the rank correlation is corrected for the noise of both."
    )
    if study.elsewhere:
        st.info("The runs of this study were trained elsewhere, so nothing can be trained here.")
        return
    if study.kind == "merge":
        st.info("Merges are measured as they are. Choose the mixture study beside this one.")
        return
    ask(study)
    live(lambda: results(studies.get(state.store(), study.id)))


def ask(study: studies.Study) -> None:
    """Which fidelities to try, what that costs, and the button that begins."""
    try:
        spec = trainable(study)
        known = list(candidates(spec.fidelity)) if spec.fidelity else []
        a, b, c = st.columns([3, 1, 1])
        chosen = a.multiselect("Candidates", known, default=known, format_func=TITLES.get, key="lab-candidates")
        mixtures = b.number_input("Mixtures", FEWEST, MOST, FEWEST, key="lab-mixtures")
        times = c.number_input("Reference, in a proxy's size", 1.5, 64.0, TIMES, key="lab-times")
        plan = fidelity_lab.plan_lab(state.store(), study, chosen, mixtures, times)
        vocabulary = vocabulary_of(state.store(), spec.corpus)
    except Problem as problem:
        refusal(problem)
        return
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.caption(cost_words(plan, vocabulary))
    style = {"type": "primary", "icon": ":material/science:", "width": "stretch"}
    if right.button("Start the lab", key="start-lab", **style, **needs_role("operator")):
        with attempt(ACTS):
            asked = fidelity_lab.start_lab(state.store(), study, plan)
            say_if_there(all(one.already_there for one in asked))
            st.rerun()
    show_refusal(ACTS)


def cost_words(plan: Plan, vocabulary: int) -> str:
    """What a plan trains and takes."""
    count, slots = len(plan.mixtures) * fidelity_lab.SEEDS, os.cpu_count() or 1
    prices = [cost_of(state.store(), one, count, vocabulary, slots).minutes for one in plan.fidelities.values()]
    known = [one for one in prices if one is not None]
    time = f"about {duration(60 * sum(known))} on this machine" if len(known) == len(prices) else "unknown duration"
    part = plan.flops[REFERENCE] / sum(plan.flops.values())
    return (
        f"{counted(len(plan.fidelities), 'size')} × {len(plan.mixtures)} "
        f"mixtures × {fidelity_lab.SEEDS} seeds: as much as {two_digits(plan.runs)} proxies of this study ({part:.0%} "
        f"of it for the reference), {time}."
    )


def results(study: studies.Study) -> None:
    """What the newest lab measured, and what it recommends."""
    store = state.store()
    under_way(jobs.of_study(store, study.id), "lab", "Fidelity lab")
    try:
        lab = fidelity_lab.lab_of(store, study)
    except Problem as problem:
        refusal(problem)
        return
    if lab is None:
        return
    if lab.reference is None or not lab.found:
        st.info("Nothing can be said before the reference and a candidate are measured.")
    else:
        recommendation(lab)
        plot(against_cost(lab.found, lab.chosen), key="fidelity-lab")
        table(lab)
    for name, why in lab.lost.items():
        st.caption(f"Not judged: {plain(name)}, as {why}.")
    take(study, lab)


def recommendation(lab: Lab) -> None:
    """The cheapest that may be relied on, or that there is none."""
    one = lab.chosen
    if one is None:
        st.warning(
            f"**None of these can be relied on**: the lower end of no interval exceeds {ENOUGH:g}. More mixtures make "
            "the intervals narrower.",
            icon=":material/balance:",
        )
        return
    st.success(
        f"**{plain(one.name).capitalize()}** is the cheapest that ranks mixtures as the reference does: "
        f"{digits(one.rank or 0, '.2f')} (95%: {digits(one.low, '.2f')} to {digits(one.high, '.2f')}), at "
        f"{one.cost:.0%} of its cost.",
        icon=":material/verified:",
    )


def table(lab: Lab) -> None:
    """Every candidate, the cheapest first."""
    rows = [
        {
            "fidelity": one.name,
            "size": size_words(lab.fidelities[one.name]),
            "cost": one.cost,
            "rank correlation, 95%": with_ends(one.rank, (one.low, one.high), ".2f") or "unknown",
            "as measured": digits(one.observed, ".2f"),
            "reliability": digits(one.reliability, ".2f"),
        }
        for one in lab.found
    ]
    percent = st.column_config.NumberColumn(format="percent", help="Of the reference's.")
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config={"cost": percent})
    size = size_words(lab.reference) if lab.reference else ""
    st.caption(
        f"Spearman's correlation of the mean loss by this study's own priorities over {lab.mixtures} mixtures, divided "
        f"by the root of both reliabilities (Spearman 1904). Reference: {size}, reliability "
        f"{digits(lab.reliability or 0, '.2f')}. Reliability: 1 minus the noise of {lab.seeds} seeds over the variance "
        "between mixtures; where it is 0 or less, nothing is known. Intervals: bootstrapped over mixtures, the same "
        f"draws for all. Recommended: the cheapest whose lower end exceeds {ENOUGH:g}."
    )


def size_words(one: Fidelity) -> str:
    """A fidelity in a few words."""
    return f"{fidelity_words(one.width, one.layers, one.tokens)}, rate {one.learning_rate:.1e}"


def take(study: studies.Study, lab: Lab) -> None:
    """The button that starts a study with one of the fidelities, the recommended one first."""
    if not lab.fidelities:
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    start = lab.chosen.name if lab.chosen else next(iter(lab.fidelities))
    name = choose(left, "Fidelity of a new study", {one: one for one in lab.fidelities}, "lab-take", start=start)
    if right.button(
        "Start a study with it", key="take-fidelity", icon=":material/play_arrow:", **needs_role("operator")
    ):

        def begin() -> None:
            begun = fidelity_lab.take(state.store(), study, name)
            st.session_state["next_study"] = begun.id
            say_if_there(begun.already_there)

        act(ACTS, begin)
