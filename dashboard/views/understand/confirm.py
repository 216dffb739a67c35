"""Confirm: train chosen mixtures larger, with several seeds, and see how far the small proxies spoke the truth."""

import os

import numpy as np
import streamlit as st

from dashboard import components
from dashboard.charts import rounds as round_charts
from dashboard.models import progress as queries
from dashboard.server import state
from dashboard.views.shared import study as parts
from dashboard.views.shared.put_forward import put_forward
from engine.core.errors import Problem
from engine.spec.objectives import Aggregate
from engine.studies import confirmations
from engine.studies.fits import named_points, put_forward_points
from store import corpora, runs, studies


def render(name: str | None) -> None:
    st.title("Confirm")
    if (study := parts.study_of(name)) is None or parts.is_merge(study) or (fit := parts.fit_of(study)) is None:
        return
    whole = parts.priorities_of(study)
    st.markdown(
        "A mixture was chosen because small proxies are predicted to do well on it. Train it **larger**, with several "
        "seeds, beside the baselines and a spread of others, before you believe it."
    )
    if study.imported:
        st.info("The runs of this study were imported, so nothing can be trained here.")
    else:
        ask(study)
    parts.live(lambda: results(study.id, fit.name, whole))


def ask(study: studies.Study) -> None:
    """What to confirm, and what it will cost."""
    a, b, c, d = st.columns(4)
    there = {**named_points(state.store(), study), **put_forward_points(state.store(), study)}
    candidate = a.selectbox("Mixture", list(there), key="confirm-candidate")
    times = b.select_slider("Size, times a proxy's", [2, 4, 8], 4, key="confirm-times", help="Weights and tokens.")
    seeds = c.number_input("Seeds each", 1, 10, 3, key="confirm-seeds")
    spread = d.number_input("Other mixtures", 0, 16, 4, key="confirm-spread", help="Measured runs, from best to worst.")
    try:
        plan = confirmations.plan_confirmation(state.store(), study, candidate, times, seeds, spread)
    except Problem as problem:
        parts.refusal(problem)
        return
    manifest = corpora.manifest(state.store(), study.spec["corpus"])
    vocabulary = manifest["tokenizer"]["vocabulary"] if manifest else queries.BYTES
    price = queries.cost(state.store(), plan.fidelity, plan.runs, vocabulary, os.cpu_count() or 1)
    minutes = "an unknown time" if price.minutes is None else f"about {parts.duration(60 * price.minutes)}"
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.caption(
        f"{plan.runs} runs ({len(plan.mixtures)} mixtures x {plan.seeds} seeds) of width {plan.fidelity.width}, "
        f"{plan.fidelity.layers} layers and {plan.fidelity.tokens / 1e6:.2g} million tokens: {minutes} on this "
        f"machine, {price.flops:.2g} FLOPs."
    )
    wanted = {"type": "primary", "icon": ":material/verified:", "width": "stretch"}
    if right.button("Confirm", **wanted, **parts.takes("operator")):
        confirmations.confirm(state.store(), study, plan)
        st.rerun()


def results(name: str, surrogate: str, whole: Aggregate) -> None:
    """Every size that was trained, the largest first."""
    store = state.store()
    study = studies.get(store, name)
    found = confirmations.confirmations(store, study, surrogate, whole.priorities)
    for place, one in enumerate(found):
        fidelity = one.fidelity
        size = f"Width {fidelity.width}, {fidelity.layers} layers, {fidelity.tokens / 1e6:.2g} million tokens"
        st.subheader(size, anchor=False)
        if one.done < one.runs:
            st.progress(one.done / one.runs, text=f"{one.done} of {one.runs} runs are in")
        if one.trust is None:
            st.info(parts.plain(one.waiting))
        else:
            verdict(one, whole, place)
        put_forward(study, dict(zip(one.names, one.weights, strict=True)), f"confirm-{place}", surrogate, whole)
    scale(study, whole)


def verdict(one: confirmations.Confirmation, whole: Aggregate, place: int) -> None:
    """Rank correlation, overlap, regret, the gap at the chosen mixture; and no winner inside the noise."""
    trust, sign = one.trust, whole.sign
    low, high = trust.rank_interval
    columns = st.columns(4)
    columns[0].metric(
        "Rank correlation, small to large",
        f"{trust.rank:.2f}",
        f"95%: {low:.2f} to {high:.2f}",
        delta_color="off",
        delta_arrow="off",
    )
    columns[1].metric(f"Best {trust.k} in common", f"{trust.top:.0%}")
    columns[2].metric("Regret of the proxies' choice", f"{trust.regret:.3f} ± {1.96 * trust.regret_std:.3f}")
    columns[3].metric(
        f"{one.names[0]}: predicted minus measured", f"{sign * trust.gap:+.3f} ± {1.96 * trust.gap_std:.3f}"
    )
    left, right = st.columns([3, 2])
    with left:
        figure = round_charts.small_against_large(
            one.names,
            sign * one.predicted,
            one.predicted_std,
            sign * trust.measured,
            trust.measured_std,
            trust.rivals,
            whole.unit,
        )
        components.plot(figure, key=f"confirm-{place}")
    with right:
        rivals = [one.names[i] for i in trust.rivals]
        if len(rivals) == 1:
            st.success(f"**{parts.plain(rivals[0])}** measures best, outside the noise.", icon=":material/verified:")
        else:
            st.info(
                f"The noise cannot tell apart: {parts.plain(', '.join(rivals))}. None of them can be called best.",
                icon=":material/balance:",
            )
        rows = [
            {
                "mixture": name,
                whole.title: sign * value,
                "± 95%": 1.96 * error,
                "seeds": int(count),
                "predicted, small": sign * guess,
            }
            for name, value, error, count, guess in zip(
                one.names, trust.measured, trust.measured_std, trust.seeds, one.predicted, strict=True
            )
        ]
        number = st.column_config.NumberColumn(format="%.3f")
        numbers = dict.fromkeys((whole.title, "± 95%", "predicted, small"), number)
        st.dataframe(rows, hide_index=True, column_config=numbers)
    noise = "not known: one seed each" if trust.noise is None else f"{trust.noise:.4f}"
    st.caption(
        f"{len(one.names)} mixtures, {one.done} runs; {parts.plain(whole.unit)}, {whole.better} is better. Sizes "
        "differ in level, so both are taken relative to their mean over these mixtures. Deviation "
        f"between seeds: {noise}. The interval of the rank correlation is by bootstrap over mixtures and seeds."
    )


def scale(study: studies.Study, whole: Aggregate) -> None:
    """The law over shares and fidelity, where runs stand at several sizes."""
    try:
        check = confirmations.scale_check(state.store(), study, whole.priorities)
    except Problem as problem:
        if len(runs.sizes(state.store(), study.id)[0]):
            st.caption(parts.plain(problem))
        return
    st.subheader("Extrapolating over scale", anchor=False)
    low, high = check.rank_interval
    level = (
        f"Its losses miss by {np.median(check.relative_error):.2f} of the spread between mixtures (median over "
        f"metrics), and {check.inside_95:.0%} lie inside the 95% intervals."
        if check.level
        else "With two sizes only the order can be checked, not the level: confirm at a third size for that."
    )
    st.markdown(
        f"One law over shares, parameters and tokens, fitted without the largest of {len(check.sizes)} sizes, ranks "
        f"the {check.runs[-1]} runs there with a correlation of **{check.rank:.2f}** (95%: {low:.2f} to {high:.2f}); "
        f"the next smaller size alone: {check.small_rank:.2f}. {level}"
    )
