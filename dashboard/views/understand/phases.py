"""Phases: whether the order of a study's phases matters, faders for each phase, and what they are predicted to give."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import review as review_charts
from dashboard.components.desk import Fader, desk
from dashboard.models.names import Named
from dashboard.models.units import digits
from dashboard.server import state
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.faders import position, reset_of, set_desk
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.plot import plot
from dashboard.views.shared.sidebar import ask_moment
from dashboard.views.shared.study import named_of, study_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.analysis.phases import LAWS, LEVEL
from engine.spec.statistics import ci_half_width
from engine.studies.moments import Moment
from engine.studies.phases import Phases, measured_in_phases, phases_of, total_in
from engine.studies.points import named_points
from engine.studies.schedules import (
    BEST_SCHEDULE,
    Schedule,
    best_schedule,
    epochs_by_phase,
    named_schedules,
    schedule_at,
)
from store import studies

SHARE = st.column_config.NumberColumn(format="percent")
EPOCHS = st.column_config.NumberColumn(format="%.3g")


def render(name: str | None) -> None:
    st.title("Phases")
    if (study := study_of(name)) is None:
        return
    if not study.spec.get("phases"):
        nothing_yet(
            "This study has no phases: every run has one mixture throughout. A new study can train some mixtures in "
            "both orders, and tell whether order matters.",
            study,
            studies="To Studies",
        )
        return
    moment = ask_moment(study)
    if moment.fit is None:
        return
    show_moment(moment, "phases")
    found = phases_of(state.store(), moment)
    verdict(found)
    phases = faders(moment, found)
    names, at = named_of(study), schedule_at(found, phases)
    titles = [*phase_titles(found), "total"]
    plot(review_charts.points("mixture", titles, names, np.array([*phases, at.one.shares])), key="phases-shares")
    st.dataframe(shares_table(study, found, at, names), hide_index=True, column_config=columns(found))
    predicted(found, at, names)
    with st.container(horizontal=True):
        nominate(study, {"this schedule": phases}, "phases", moment.fit.name, moment.aggregate)
        if found.order is not None and found.order.pays and st.button("Confirm the best", icon=":material/verified:"):
            query = {"study": study.id, "mixture": BEST_SCHEDULE}
            st.switch_page(st.session_state["pages"]["confirm"], query_params=query)
    measured(found)


def measured(found: Phases) -> None:
    """The runs of phases, each beside what was predicted of it."""
    runs = measured_in_phases(state.store(), found)
    if not runs:
        return
    by, read = found.by, reading(found.by.unit)
    st.header("Runs of phases", anchor=False)
    rows = {
        "run": [one.run for one in runs],
        "trained": [one.label or "" for one in runs],
        "measured": [read.words(by.sign * one.measured) for one in runs],
        "predicted of one mixture": [read.words(by.sign * one.one) for one in runs],
        "predicted with the order": [read.words(by.sign * one.ordered) for one in runs],
    }
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    taught = "Pairs in both orders taught the law of order; branches did not, and check it."
    st.caption(f"{by.title.capitalize()} ({plain(read.unit)}), the best measured first. {taught * found.exact}")


def phase_titles(found: Phases) -> list[str]:
    return [f"phase {n}, {100 * part:.4g}%" for n, part in enumerate(found.fractions, 1)]


def verdict(found: Phases) -> None:
    """Whether order matters, and what that rests on."""
    show = st.success if found.order is not None and found.order.pays else st.info
    show(f"**{plain(found.verdict)}**", icon=":material/timelapse:")
    if found.order is None:
        return
    order = found.order
    what = (
        f"{len(order.contrasts.values)} mixtures in both orders, with the same totals"
        if found.exact
        else f"{len(order.contrasts.values)} runs, most against what is predicted of one mixture with their totals, as "
        "few mixtures were trained in both orders"
    )
    with st.expander("What this rests on", icon=":material/science:"):
        st.caption(
            f"{what[0].upper()}{what[1:]}. Each law predicts every comparison from the others; the chance is how often "
            f"signs flipped at random would look as good, for all metrics together. Beyond noise: at most {LEVEL:.1%}."
        )
        rows = {
            "of": [*named_of(found.study).metrics, found.by.title],
            "best law": [LAWS[law] for law in order.laws],
            "predicts": [f"{max(0.0, gain):.0%}" for gain in order.gains],
            "chance": [f"{chance:.3f}" for chance in order.chance],
            "beyond noise": ["yes" if one else "no" for one in order.used],
        }
        st.dataframe(pd.DataFrame(rows), hide_index=True)


def faders(moment: Moment, found: Phases) -> np.ndarray:
    """(F, D) the shares of the phases, as their faders stand: a desk for each, with the totals as ticks."""
    study, count = moment.study, len(found.fractions)
    best = best_schedule(state.store(), moment, found)
    schedules = named_schedules(state.store(), moment)
    tied = {name: np.repeat(point[None], count, axis=0) for name, point in named_points(moment).items()}
    keys = [f"phase-{study.id}-{f}" for f in range(count)]
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.html('<div class="mixdesk-label">Presets</div>', width="content")
        for label, point in (schedules | tied).items():
            if st.button(plain(label), key=f"set-phases-{label}"):
                for key, shares in zip(keys, point, strict=True):
                    set_desk(key, shares)
    at = [position(study, key, start.tolist(), own=False).values for key, start in zip(keys, best, strict=True)]
    phases = np.array(at) / np.sum(at, axis=1, keepdims=True)
    total = total_in(study, phases)
    for place, key, title, shares in zip(st.columns(count), keys, phase_titles(found), phases, strict=True):
        with place, st.container(key=f"phase-desk-{key}"):
            st.markdown(f"**{title[0].upper()}{title[1:]} of the tokens**")
            one_desk(study, key, shares, total)
    st.caption("Ticks: the shares of all tokens, which the phases make together.")
    return phases


def one_desk(study: studies.Study, key: str, shares: np.ndarray, total: np.ndarray) -> None:
    """The faders of one phase."""
    names = named_of(study)
    rows = [
        Fader(domain, names.colours[domain], float(share), 0.0, 1.0, float(mark), "total")
        for domain, share, mark in zip(names.coordinates, shares, total, strict=True)
    ]
    desk(rows, f"desk-{key}", reset_of(key))


def shares_table(study: studies.Study, found: Phases, at: Schedule, names: Named) -> pd.DataFrame:
    """Shares and epochs of each domain, in each phase and in total."""
    titles, passes = phase_titles(found), epochs_by_phase(study, at.phases, found.fractions)
    table = {"domain": names.coordinates}
    table |= {title: shares for title, shares in zip(titles, at.phases, strict=True)} | {"total": at.one.shares}
    if passes is not None:
        table |= {f"epochs, {title}": row for title, row in zip(titles, passes, strict=True)}
        table["epochs, total"] = passes.sum(axis=0)
    return pd.DataFrame(table)


def columns(found: Phases) -> dict:
    titles = [*phase_titles(found), "total"]
    return dict.fromkeys(titles, SHARE) | dict.fromkeys([f"epochs, {title}" for title in titles], EPOCHS)


def predicted(found: Phases, at: Schedule, names: Named) -> None:
    """The aggregate, and every metric, with what the order adds."""
    by, read = found.by, reading(found.by.unit)
    change, half = at.aggregate_change, ci_half_width(at.aggregate_change_std)
    st.metric(
        f"{by.title.capitalize()}, predicted ({plain(read.unit)})",
        read.words(by.sign * at.aggregate, ci_half_width(at.aggregate_std)),
        f"{read.gap_words(by.sign * change, half)} by order",
        delta_color="gray" if abs(change) <= half else "green" if change < 0 else "red",
        delta_arrow="down" if by.sign * change < 0 else "up",
    )
    units = [reading(unit) for unit in names.units]
    values = zip(units, at.one.mean + at.change, np.hypot(at.one.std, at.change_std), strict=True)
    rows = {
        "metric": names.metrics,
        "predicted, 95%": [one.words(mean, ci_half_width(std)) for one, mean, std in values],
        "by order, 95%": [
            one.gap_words(change, ci_half_width(std)) if std else digits(0.0, ".0f")
            for one, change, std in zip(units, at.change, at.change_std, strict=True)
        ],
        "unit": [one.unit for one in units],
    }
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    if found.order is not None and not found.order.used.any():
        st.caption("Order adds nothing beyond noise, so only the totals change the prediction.")
