"""Rehearsal of an export: what its loader would make of the mixture, before the training begins."""

import pandas as pd
import streamlit as st

from dashboard.server import state
from dashboard.views.shared.refused import refusal
from dashboard.views.shared.text import plain
from engine.core.errors import Problem
from engine.recipes import FORMATS, Recipe
from engine.recipes.rehearsal import MOST_CONTEXT, Rehearsal
from engine.review.rehearsing import rehearsed
from store import studies

CONTEXT = 4096
PERCENT = st.column_config.NumberColumn(format="%.2f%%")
COLUMNS = {
    **dict.fromkeys(("asked", "realised", "low", "high", "cut off or dropped", "split over samples"), PERCENT),
    "tokens": st.column_config.NumberColumn(format="localized"),
    "passes": st.column_config.NumberColumn(format="%.2f"),
    **dict.fromkeys(("samples", "documents"), st.column_config.NumberColumn(format="localized")),
    "begins again after": st.column_config.NumberColumn(format="localized", help="Tokens of the training."),
}


def rehearsal(study: studies.Study, recipe: Recipe, format: str) -> None:
    """A closed part of the page that answers once somebody opens it."""
    if FORMATS[format].rule is None or not recipe.target_tokens:
        return
    opened = st.toggle("Rehearse the loader", key=f"rehearse-{format}", help="What training would see, by its rule.")
    if not opened:
        return
    context = st.number_input("Context, tokens", 1, MOST_CONTEXT, CONTEXT, key=f"rehearse-context-{format}")
    try:
        found = rehearsed(state.store(), study, recipe, format, int(context))
    except Problem as problem:
        refusal(problem)
        return
    st.dataframe(table(found), hide_index=True, column_config=COLUMNS)
    seen, asked = f"{found.tokens:,.0f}", f"{found.budget:,.0f}"
    known = "Intervals are 95%, of what is drawn by chance and of the documents whose lengths are known."
    if found.rows[0]["low"] is None:
        known = "Realised shares are by mean lengths alone, so they have no interval: take them as a guess."
    st.caption(
        f"{seen} of {asked} tokens are seen. {found.ends} {known} {plain(' '.join(found.notes))} Plan {found.plan}."
    )


def table(found: Rehearsal) -> pd.DataFrame:
    """The rows of a rehearsal, with shares in percent; what is known of no domain is left out."""
    percent = {"asked": "asked", "realised": "realised", "low": "low", "high": "high"}
    percent |= {"lost": "cut off or dropped", "split": "split over samples"}
    whole = {"tokens": "tokens", "drawn": found.unit, "repeats_after": "begins again after"}
    rows = [
        {"domain": row["domain"]}
        | {title: None if row[key] is None else 100 * row[key] for key, title in percent.items()}
        | {title: None if row[key] is None else round(row[key]) for key, title in whole.items()}
        | {"passes": row["passes"]}
        for row in found.rows
    ]
    return pd.DataFrame(rows).dropna(axis=1, how="all")
