"""Confirm: train chosen mixtures at a larger size with several seeds, and check how far the proxies were right."""

import os

import numpy as np
import streamlit as st

from dashboard.charts import rounds as round_charts
from dashboard.models import wording
from dashboard.models.cost import BYTES, cost_of
from dashboard.models.units import INTERVAL, digits, with_ends
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.choice import choose
from dashboard.views.shared.claims import ONE_SEED, claims_table
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.live import live
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.plot import plot
from dashboard.views.shared.sidebar import ask_moment
from dashboard.views.shared.study import study_of
from dashboard.views.shared.text import duration, plain, refusal
from dashboard.views.shared.units import reading
from dashboard.views.understand import rivals
from engine.core.errors import Problem
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width
from engine.studies import confirmations
from engine.studies.claims import claims
from engine.studies.moments import Moment, moment_of
from engine.studies.points import nominated_points
from engine.studies.schedules import named_places
from store import corpora, runs, studies

OWN = "*Best predicted* and *best measured* are by the study's own priorities here."


def render(name: str | None) -> None:
    st.title("Confirm")
    if (study := study_of(name)) is None:
        return
    moment = ask_moment(study)
    if (fit := moment.fit) is None:
        return
    aggregate = moment.aggregate
    own = moment_of(state.store(), study)
    show_moment(own, "confirm")
    st.markdown(
        "A mixture is chosen on predictions for small proxies. Before you rely on it, train it at a **larger size** "
        "with several seeds, next to the baselines and a range of other mixtures."
    )
    if study.elsewhere:
        words = "The runs of this study were trained elsewhere, so nothing can be trained here."
        nothing_yet(words, study, export="To Export", explore="To Explore")
    elif study.kind == "merge":
        st.info("Merges need no training: confirm a candidate on its own page.")
    else:
        live(lambda: rivals.section(study))
        ask(own, aggregate)
    live(lambda: results(study.id, fit.name, aggregate))


def ask(moment: Moment, aggregate: Aggregate) -> None:
    """What to confirm, what it will cost, and what it will be able to claim; moment: by the study's own priorities."""
    study = moment.study
    a, b, c, d = st.columns(4)
    there = [*named_places(state.store(), moment), *nominated_points(state.store(), study)]
    candidate = choose(a, "Mixture", {name: name for name in there}, "confirm-candidate", link="mixture", help=OWN)
    times = b.select_slider(
        "Size relative to a proxy",
        [2, 4, 8],
        4,
        format_func=lambda n: f"{n} ×",
        key="confirm-times",
        help="Parameters and tokens.",
    )
    seeds = c.number_input("Seeds per mixture", 1, 10, 3, key="confirm-seeds")
    spread = d.number_input(
        "Other mixtures", 0, 16, 4, key="confirm-spread", help="Measured runs, spread from best to worst."
    )
    others = rivals.chosen(study)
    try:
        plan = confirmations.plan_confirmation(state.store(), study, candidate, times, seeds, spread, others)
    except Problem as problem:
        refusal(problem)
        return
    manifest = corpora.manifest(state.store(), study.spec["corpus"])
    vocabulary = manifest["tokenizer"]["vocabulary"] if manifest else BYTES
    price = cost_of(state.store(), plan.fidelity, plan.runs, vocabulary, os.cpu_count() or 1)
    minutes = "unknown duration" if price.minutes is None else f"about {duration(60 * price.minutes)}"
    size = wording.fidelity_words(plan.fidelity.width, plan.fidelity.layers, plan.fidelity.tokens)
    claims_table(claims(state.store(), study, plan, aggregate), plan, aggregate)
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.caption(
        f"{plan.runs} runs ({len(plan.mixtures)} mixtures × {plan.seeds} seeds), each of {size}: {minutes} on this "
        f"machine, {price.flops:.2g} FLOPs."
    )
    style = {"type": "primary", "icon": ":material/verified:", "width": "stretch"}
    if right.button("Confirm", **style, **needs_role("operator")):
        say_if_there(not confirmations.confirm(state.store(), study, plan))
        st.rerun()


def results(name: str, surrogate: str, aggregate: Aggregate) -> None:
    """Every confirmed size, the largest first."""
    store = state.store()
    study = studies.get(store, name)
    found = confirmations.confirmations(store, study, surrogate, aggregate.priorities)
    for place, one in enumerate(found):
        size = wording.fidelity_words(one.fidelity.width, one.fidelity.layers, one.fidelity.tokens)
        st.header(size.capitalize(), anchor=False)
        if one.done < one.runs:
            lost = f"; {one.lost} ended without a measurement" if one.lost else ""
            st.progress(one.done / one.runs, text=f"{one.done} of {one.runs} runs finished{lost}")
        if one.lost:
            st.warning(
                f"Compared without {one.lost} of {one.runs} runs. Retry their jobs on *Runs*, or confirm again: that "
                "trains what is missing.",
                icon=":material/warning:",
            )
        if one.trust is None:
            st.info(plain(one.waiting))
        else:
            verdict(one, aggregate, place)
        nominate(study, dict(zip(one.names, one.places, strict=True)), f"confirm-{place}", surrogate, aggregate)
    rivals.what_runs_bought(study, aggregate)
    scale(study, aggregate)


def verdict(one: confirmations.Confirmation, aggregate: Aggregate, place: int) -> None:
    """Rank correlation, overlap, regret, error at the chosen mixture; no winner within noise."""
    agreement(one, aggregate)
    left, right = st.columns(2)
    with left:
        trust, sign = one.trust, aggregate.sign
        figure = round_charts.small_against_large(
            one.names,
            sign * one.predicted,
            one.predicted_std,
            sign * trust.measured,
            trust.measured_std,
            trust.rivals,
            aggregate.unit,
        )
        plot(figure, key=f"confirm-{place}")
    with right:
        measurements(one, aggregate)
    read = reading(aggregate.unit)
    noise = "unknown (one seed each)" if trust.noise is None else f"{read.gap(trust.noise):.4f} {plain(read.gap_unit)}"
    st.caption(
        f"{len(one.names)} mixtures, {one.done} runs; {plain(read.unit)}, {aggregate.better} is better. "
        "*Predicted* is for proxies. Sizes differ in level, so the chart, and predicted minus measured, take both "
        "relative to their mean over these mixtures. Standard deviation "
        f"between seeds: {noise}. The interval of the rank correlation is bootstrapped over mixtures and seeds."
        f"{read.note}"
    )


def agreement(one: confirmations.Confirmation, aggregate: Aggregate) -> None:
    """How far predictions at proxy size agree with the larger runs, in four numbers."""
    trust, read = one.trust, reading(aggregate.unit)
    low, high = trust.rank_interval
    regret = f"{wording.number(read.gap(trust.regret))} ± {wording.number(read.gap(ci_half_width(trust.regret_std)))}"
    row = st.container(horizontal=True, gap="medium")  # breaks into lines where numbers would be cut
    row.metric(
        "Rank correlation, small to large",
        digits(trust.rank, ".2f"),
        f"95%: {digits(low, '.2f')} to {digits(high, '.2f')}",
        delta_color="off",
        delta_arrow="off",
        width="content",
    )
    row.metric(
        f"Top-{trust.k} overlap",
        f"{trust.top:.0%}",
        f"{round(trust.top * trust.k)} of {trust.k}, of {len(one.names)} mixtures; 95%: "
        f"{trust.top_interval[0]:.0%} to {trust.top_interval[1]:.0%}",
        delta_color="off",
        delta_arrow="off",
        width="content",
    )
    row.metric(
        "Regret of the proxies' choice",
        regret,
        plain(read.gap_unit),
        delta_color="off",
        delta_arrow="off",
        width="content",
    )
    row.metric(
        "Predicted minus measured",
        read.gap_words(aggregate.sign * trust.gap, ci_half_width(trust.gap_std)),
        f"{plain(read.gap_unit)}, of {plain(one.names[0])}",
        delta_color="off",
        delta_arrow="off",
        width="content",
    )


def measurements(one: confirmations.Confirmation, aggregate: Aggregate) -> None:
    """Which mixtures may be the best, and what each measured."""
    trust, rivals, read = one.trust, [one.names[i] for i in one.trust.rivals], reading(aggregate.unit)
    if trust.noise is None:
        st.warning(ONE_SEED, icon=":material/exposure_plus_1:")
    elif len(rivals) == 1:
        st.success(f"**{plain(rivals[0])}** measures best, beyond noise.", icon=":material/verified:")
    else:
        st.info(
            f"Within noise of each other: {plain(', '.join(rivals))}. None of them can be called best.",
            icon=":material/balance:",
        )
    rows = [
        {
            "mixture": name,
            aggregate.title: read.level(aggregate.sign * value),
            **read.columns(aggregate.sign * value, None if trust.noise is None else ci_half_width(error)),
            "seeds": int(count),
            "predicted, 95%": read.words(aggregate.sign * guess, ci_half_width(doubt)),
        }
        for name, value, error, count, guess, doubt in zip(
            one.names,
            trust.measured,
            trust.measured_std,
            trust.seeds,
            one.predicted,
            one.predicted_std,
            strict=True,
        )
    ]
    number = st.column_config.NumberColumn(format="%.3f")
    st.dataframe(rows, hide_index=True, column_config=dict.fromkeys((aggregate.title, *INTERVAL), number))


def scale(study: studies.Study, aggregate: Aggregate) -> None:
    """The scaling law over shares and size, if runs of several sizes are measured."""
    try:
        check = confirmations.scale_check(state.store(), study, aggregate.priorities)
    except Problem as problem:
        if np.isfinite(runs.sizes(state.store(), study.id)[1]).all(axis=1).any():
            st.caption(plain(problem))
        return
    st.header("Extrapolating over scale", anchor=False)
    if not check.ways:
        st.caption(plain(next(iter(check.refused.values()))))
        return
    best = check.ways[0]
    level = (
        f"Its error is {np.median(best.relative_error):.2f} of the standard deviation over mixtures (median over "
        f"metrics), and {best.inside_95:.0%} of the losses lie inside the 95% intervals."
        if check.level
        else "With two sizes only the ranking can be checked, not the level; that takes a third size."
    )
    st.markdown(
        f"**{best.title}**, fitted without the largest of {len(check.sizes)} sizes, misses its {check.runs[-1]} runs "
        f"least, and ranks them with a correlation of {with_ends(best.rank, best.rank_interval, '.2f')}, 95%; the next "
        f"smaller size alone reaches {digits(check.small_rank, '.2f')}. {level}"
    )
    for way in check.ways[1:]:
        st.caption(
            f"{way.title}: correlation {with_ends(way.rank, way.rank_interval, '.2f')}, error "
            f"{np.median(way.relative_error):.2f}, {way.inside_95:.0%} inside the 95% intervals."
        )
    for title, why in check.refused.items():
        st.caption(f"{title}: {plain(why)}")
    for note in best.notes:
        st.warning(plain(note), icon=":material/straighten:")
