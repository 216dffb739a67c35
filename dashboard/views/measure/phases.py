"""Phases of a new study: parts of the training with mixtures of their own, and the runs that tell what order does."""

import pandas as pd
import streamlit as st

from dashboard.views.measure.bounds import SHARE
from engine.core.errors import Problem
from engine.spec.phases import MOST_PHASES, TRIPLES, triples_of
from engine.spec.study import StudySpec

CLOSE = 1e-9  # to 1: a sum that is left as it is
LAST = 0.2  # of the tokens, as proposed: where the rate of warmup-stable-decay falls


def ask_phases(start: StudySpec, domains: list[str]) -> dict:
    """The settings of a study's phases. start: what stands there first. Raises Problem for shares that are none."""
    before = start.phases
    if not st.toggle("Train in phases", bool(before), help="With another mixture late in training than early."):
        return {"phases": (), "order_triples": None, "branches": 0}
    a, b, c = st.columns(3)
    count = int(a.number_input("Phases", 2, MOST_PHASES, len(before) or 2))
    triples = b.number_input(
        "Mixtures in both orders",
        0,
        100,
        triples_of(start) if before else TRIPLES,
        help="Each is trained as one mixture, and twice with the same totals in opposite orders: two runs more. They "
        "tell whether order matters at all; 12 find an effect of two standard deviations of the noise.",
    )
    branches = c.number_input(
        "Branches",
        0,
        100,
        start.branches,
        help="Copies of a design mixture's model that end on another mixture. Each costs the last phase alone.",
    )
    usual = [round((1 - LAST) / (count - 1), 4)] * (count - 1) + [LAST]
    known = [phase["fraction"] for phase in before] if len(before) == count else usual
    fractions = [
        place.number_input(f"Phase {n}, of the tokens", 0.0, 1.0, float(part), 0.05, "%.3f", f"phase-{count}-{n}")
        for n, (place, part) in enumerate(zip(st.columns(count), known, strict=True), 1)
    ]
    phases = [{"fraction": part} for part in fractions]
    if domains and st.checkbox("I know what the phases are to be", any(phase.get("shares") for phase in before)):
        phases = with_shares(phases, domains, before)
    st.caption(
        "Proxies are trained with warmup-stable-decay unless the tab Proxies says otherwise: its rate falls in the "
        "last fifth. Bounds of shares hold for the totals."
    )
    usual_triples = start.order_triples is None and triples == triples_of(start)
    triples = None if usual_triples else int(triples)
    return {"phases": tuple(phases), "order_triples": triples, "branches": int(branches)}


def with_shares(phases: list[dict], domains: list[str], before: tuple[dict, ...]) -> list[dict]:
    """The phases with the shares that somebody has in mind: trained once, beside one mixture of the same totals."""
    start = [phase.get("shares") for phase in before] if len(before) == len(phases) else [None] * len(phases)
    columns = {
        f"phase {n}": [None if shares is None else float(shares.get(domain, 0.0)) for domain in domains]
        for n, shares in enumerate(start, 1)
    }
    table = pd.DataFrame({"domain": domains} | columns).astype(dict.fromkeys(columns, float))
    rows = st.data_editor(
        table,
        hide_index=True,
        disabled=["domain"],
        key=f"phase-shares-{len(phases)}-{'-'.join(domains)}",
        column_config=dict.fromkeys(columns, SHARE),
    )
    st.caption("Each column is scaled to sum to 1; an empty one is the natural mixture.")
    return [phase | column(rows[name], domains, name) for phase, name in zip(phases, columns, strict=True)]


def column(values: pd.Series, domains: list[str], name: str) -> dict:
    """The shares in a column; nothing where it is empty. Raises Problem where all are 0."""
    shares = {domain: float(share) for domain, share in zip(domains, values, strict=True) if share > 0}
    if values.isna().all():
        return {}
    if not shares:
        raise Problem(f"Cannot train {name}: all its shares are 0. Give it some, or leave the column empty.")
    total = sum(shares.values())
    return {"shares": shares if abs(total - 1) < CLOSE else {domain: one / total for domain, one in shares.items()}}
