"""What confirmations of a candidate measured, and the form that confirms it. Part of Candidates."""

import os

import numpy as np
import streamlit as st

from dashboard.components.meters import meters
from dashboard.models import wording
from dashboard.models.cost import BYTES, cost_of
from dashboard.server import state
from dashboard.views.decide.frozen import ruler_of
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.claims import claims_table
from dashboard.views.shared.levels import Values, rows_with_total
from dashboard.views.shared.tables import signed
from dashboard.views.shared.text import duration, plain, refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.review import confirming
from engine.review.evidence import CANDIDATE
from engine.spec.objectives import Aggregate
from engine.studies.claims import claims
from store import corpora, studies


def measured(study: studies.Study, found: dict, aggregate: Aggregate) -> None:
    """What confirmations measured, beside the predictions."""
    st.header("Predicted against measured", anchor=False)
    if not found["evidence"]:
        st.info("Not measured yet: these are predictions.", icon=":material/science:")
    for place, one in enumerate(found["evidence"]):
        with st.container(border=True):
            at_one_size(study, one, found["frozen"], aggregate, place)
    ask(study, found)


def at_one_size(study: studies.Study, one: dict, frozen: dict, aggregate: Aggregate, place: int) -> None:
    """The error of the prediction at the proxies' size; differences to the baselines at every size."""
    st.markdown(f"**{wording.size_words(one)}**")
    if one["done"] < one["runs"]:
        st.progress(one["done"] / one["runs"], text=f"{one['done']} of {one['runs']} runs finished")
    if CANDIDATE not in one["points"]:
        return
    if one["gap"]:
        read = reading(aggregate.unit)
        text = plain(wording.gap_words(one, aggregate, read))
        (st.warning if one["gap"]["outside"] else st.success)(text, icon=":material/balance:")
    differences(one, aggregate)
    seeds = one["points"][CANDIDATE]["seeds"]
    st.caption(
        f"{aggregate.title.capitalize()}, {plain(reading(aggregate.unit).gap_unit)} ({aggregate.better} is better), "
        f"minus the baseline's. {wording.counted(seeds, 'seed')} of the candidate, "
        f"{wording.counted(one['done'], 'run')} in all; only confirmation runs count."
    )
    if one["gap"]:
        by, measured, gap = ruler_of(study, frozen), one["points"][CANDIDATE], one["gap"]
        rows = rows_with_total(by, within(measured), within(gap), "predicted")
        meters(
            rows,
            f"Measured, and its difference to predicted with its 95% interval, {by.scale.unit}; {by.side} is better, "
            "pale is as predicted.",
            key=f"candidate-gap-{place}",
        )


def within(found: dict) -> Values:
    """Measured values, or differences, whose intervals are unknown where nothing tells the noise."""
    unknown = np.full(len(found["mean"]), np.nan)
    half = unknown if found["half"] is None else np.array(found["half"], float)
    total = np.nan if found["aggregate_half"] is None else found["aggregate_half"]
    return Values(np.array(found["mean"], float), half, found["aggregate"], total)


def differences(one: dict, aggregate: Aggregate) -> None:
    """Predicted and measured differences to each baseline at one size, with the verdict."""
    read = reading(aggregate.unit).gap
    rows = [
        {
            "vs.": name,
            "predicted": read(aggregate.sign * gap["predicted"]),
            "± 95%": read(gap["predicted_half"]),
            "measured": read(aggregate.sign * gap["measured"]),
            "± 95% ": None if gap["measured_half"] is None else read(gap["measured_half"]),
            "": wording.verdict(gap),
        }
        for name, gap in one["differences"].items()
    ]
    forms = dict.fromkeys(("predicted", "measured"), "+.3f") | dict.fromkeys(("± 95%", "± 95% "), ".3f")
    st.dataframe(signed(rows, forms), hide_index=True)


def ask(study: studies.Study, found: dict) -> None:
    """A form to confirm it, with the cost."""
    if study.elsewhere:
        return
    if study.kind == "merge":
        ask_merge(study, found)
        return
    with st.expander("Confirm with several seeds, next to the baselines", icon=":material/verified:"):
        a, b = st.columns(2)
        times = a.select_slider(
            "Larger size, relative to a proxy", [2, 4, 8], 4, format_func=lambda n: f"{n} ×", key="candidate-times"
        )
        seeds = int(b.number_input("Seeds per mixture", 1, 10, 3, key="candidate-seeds"))
        try:
            plans = confirming.plans(state.store(), found["id"], times, seeds)
        except Problem as problem:
            refusal(problem)
            return
        manifest = corpora.manifest(state.store(), study.spec["corpus"])
        vocabulary = manifest["tokenizer"]["vocabulary"] if manifest else BYTES
        prices = [cost_of(state.store(), p.fidelity, p.runs, vocabulary, os.cpu_count() or 1) for p in plans]
        unknown = any(price.minutes is None for price in prices)
        time = "unknown duration" if unknown else f"about {duration(60 * sum(p.minutes for p in prices))}"
        st.caption(
            f"{sum(plan.runs for plan in plans)} runs at the proxies' size and at {times} times that size: at most "
            f"{time} on this machine. Baselines that are already trained are not trained again."
        )
        aggregate = Aggregate.from_dict(found["frozen"]["aggregate"])
        for plan in plans:
            st.markdown(
                f"**{wording.fidelity_words(plan.fidelity.width, plan.fidelity.layers, plan.fidelity.tokens)}**"
            )
            claims_table(claims(state.store(), study, plan, aggregate), plan, aggregate)
        confirm_button(found, times, seeds)


def ask_merge(study: studies.Study, found: dict) -> None:
    """A form to confirm a merge, on more text: merges have no seeds."""
    with st.expander("Confirm on all validation text, next to the baselines", icon=":material/verified:"):
        count = 1 + len(found["frozen"]["baselines"])
        st.caption(f"{count} merges, each built once. Earlier measurements are reused.")
        confirm_button(found, 1, 1)


def confirm_button(found: dict, times: float, seeds: int) -> None:
    """Queue the confirmation, or say why it is refused."""
    if st.button("Confirm", type="primary", icon=":material/verified:", **needs_role("operator")):
        try:
            new = confirming.confirm(state.store(), found["id"], times, seeds)
        except Problem as problem:
            refusal(problem)
            return
        say_if_there(not new)
        st.rerun()
