"""A merge taken apart, on Explore: how many experts pay, and which modules' changes help or harm."""

import numpy as np
import streamlit as st

from dashboard.charts import ablation as charts
from dashboard.models.units import Shown
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.choice import choose
from dashboard.views.shared.live import live
from dashboard.views.shared.plot import plot
from dashboard.views.shared.progress import under_way
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import counted
from engine.spec.objectives import BITS, Aggregate
from engine.studies.fits import Fit
from engine.studies.merges.ablations import MOST_SETS, Experts, Module, experts_of, modules_of, queue_ablation
from store import jobs, results, studies

ACTS = "ablation"
LISTED = 60  # most modules drawn: those whose change matters most


def ablation(study: studies.Study, fit: Fit, aggregate: Aggregate, at: np.ndarray, points: dict) -> None:
    """The form for an ablation of the faders' merge, and the results of others."""
    ask(study, at)
    show_refusal(ACTS)
    live(lambda: results_so_far(study, aggregate))


def results_so_far(study: studies.Study, aggregate: Aggregate) -> None:
    """Jobs under way, and what the chosen ablation found."""
    store = state.store()
    busy = under_way(jobs.of_study(store, study.id), "merge_ablation", "taking apart")
    found = results.merge_ablations(store, study.id)
    if not found:
        if not busy:
            st.info(
                "Nothing is taken apart yet. It measures merges of one, two, three and more experts, and the faders' "
                "merge without each module's change: for proxies, in seconds."
            )
        return
    titles = {one["job"]: one["settings"]["label"] for one in found}
    chosen = choose(st, "Result", titles, "ablation-result", link="ablation") if len(found) > 1 else found[0]["job"]
    result = next(one for one in found if one["job"] == chosen)
    left, right = st.columns(2, gap="medium")
    with left:
        try:
            how_many(experts_of(result["found"], aggregate), result, aggregate)
        except Problem as problem:
            st.info(plain(problem))
    with right:
        which_modules(modules_of(result["found"], list(study.corpus["domains"]), aggregate.priorities), result)


def ask(study: studies.Study, at: np.ndarray) -> None:
    """How many sets, their coefficients, and the button."""
    row = st.columns([2, 2, 3], vertical_alignment="bottom")
    sets = row[0].number_input("Sets of each size", 1, MOST_SETS, 6, key="ablation-sets")
    total = row[1].number_input(
        "Sum of coefficients",
        -10.0,
        10.0,
        1.0,
        0.1,
        key="ablation-total",
        help="A merge of k experts gives each the k-th part of it.",
    )
    if row[2].button("Take the faders' merge apart", icon=":material/account_tree:", **needs_role("operator")):
        values = dict(zip(study.coordinates, at.tolist(), strict=True))
        told = "faders at " + " / ".join(f"{value:.2f}" for value in at[:6]) + (" / …" if len(at) > 6 else "")
        act(
            ACTS,
            lambda: say_if_there(
                queue_ablation(state.store(), study, values, int(sets), total, label=told).already_there
            ),
        )


def how_many(own: Experts, result: dict, aggregate: Aggregate) -> None:
    """The chart over the number of experts, and what it says."""
    read = reading(aggregate.unit)
    x = np.linspace(1, own.most, 16 * own.most - 15)
    law = [x, *(read.level(aggregate.sign * one) for one in own.law.at(x))]
    known = [np.isfinite(aggregate.of(np.array(one["losses"], float))) for one in result["found"]["subsets"]]
    names = [" + ".join(one["experts"]) for one, there in zip(result["found"]["subsets"], known, strict=True) if there]
    names = names if len(names) == len(own.counts) else [counted(int(count), "expert") for count in own.counts]
    values = read.level(aggregate.sign * own.values)
    plot(charts.by_count(own.counts, values, names, law, f"{aggregate.title}, {read.unit}"), key="ablation-experts")
    st.markdown(verdict(own, read))
    refused = f" The method refused {counted(own.refused, 'set')}." if own.refused else ""
    st.caption(
        f"{len(own.counts)} merges of some experts, each with an equal part of {result['settings']['total']:g}, by the "
        f"study's own method; the line is E = a + b / (k + c), its band a 95% bootstrap over sets.{refused} The noise "
        f"is ± {read.gap_words(own.noise).removeprefix('+')}."
    )


def verdict(own: Experts, read: Shown) -> str:
    """How many experts pay, in a sentence."""
    if own.enough < own.most:
        left, _, high = own.law.left(np.array([own.enough]), own.most)
        return (
            f"**{counted(own.enough, 'expert')} of {own.most} are enough**: all others together are expected to bring "
            f"{read.gap_words(-float(left[0]))}, at most {read.gap_words(-float(high[0]))} {plain(read.gap_unit)}, "
            "within the noise of the validation text."
        )
    left, low, high = (float(one[0]) for one in own.law.left(np.array([own.most - 1]), own.most))
    brings = (
        f"the last of {own.most} is expected to bring {read.gap_words(-left)} ({read.gap_words(-high)} to "
        f"{read.gap_words(-low)}) {plain(read.gap_unit)}"
    )
    if low > own.noise:
        return f"**All experts pay**: {brings}, more than the noise of the validation text."
    more = "" if own.measured_all else " More sets of each size narrow it."
    return f"**Cannot tell how many are enough**: {brings}.{more}"


def which_modules(found: list[Module], result: dict) -> None:
    """The chart of modules, and those that harm."""
    read = reading(BITS)
    shown = sorted(sorted(found, key=lambda one: -abs(one.rise))[:LISTED], key=found.index)
    rise, half = (read.gap(np.array([getattr(one, what) for one in shown])) for what in ("rise", "half"))
    names, readings = [one.name for one in shown], [one.reading for one in shown]
    plot(charts.modules(names, rise, half, readings, read.gap_unit), key="ablation-modules")
    harming = [one.name for one in found if one.reading == "harms"]
    st.markdown(
        f"**{counted(len(harming), 'module')} of {len(found)} {'harms' if len(harming) == 1 else 'harm'} the merge**: "
        f"{plain(', '.join(harming[:8]))}{', …' if len(harming) > 8 else ''}."
        if harming
        else f"**No module harms the merge beyond noise**, of {len(found)} measured."
    )
    rest = f" The {LISTED} with the largest effect are drawn." if len(found) > LISTED else ""
    st.caption(
        f"{plain(result['settings']['label'])}: the loss with a module as the base has it, minus the whole merge's, "
        "the mean over domains by their priorities. Intervals hold for all modules together, 95% of the time, over the "
        f"same windows of text.{rest}"
    )
