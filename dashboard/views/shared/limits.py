"""Limits on metrics, typed into a table: of searches and of targets, and whether an answer keeps them."""

import numpy as np
import streamlit as st

from dashboard.server import state
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.search.job import limits_of
from engine.search.limits import SURE, Limits
from engine.studies.questions import limits_in
from store import studies


def ask_limits(study: studies.Study, key: str, column: str, best: list[float] | None = None) -> np.ndarray:
    """A table to fill in. Returns the limits (M,), NaN if none. column: what a limit is called; best (M,): predicted at
    the best mixture, to see what can be asked for."""
    names = named_of(study)
    read = [reading(unit) for unit in names.units]
    rows = [
        {"metric": name, "unit": shown.unit, column: None, "": "at least" if one.higher_is_better else "at most"}
        | ({} if best is None else {"best": shown.level(best[m])})
        for m, (name, shown, one) in enumerate(zip(names.metrics, read, study.objectives, strict=True))
    ]
    number = st.column_config.NumberColumn
    edited = st.data_editor(
        rows,
        hide_index=True,
        key=f"{key}-{study.id}-{reading().unit}",  # what is typed in one unit is another number in the next
        disabled=["metric", "unit", "", "best"],
        column_config={
            column: number(format="%.3f"),
            "best": number("at the best predicted", format="%.3f"),
        },
        column_order=["metric", "", column, "unit", "best"],
    )
    typed = [row[column] for row in edited]
    return np.array([np.nan if x is None else one.kept(x) for one, x in zip(read, typed, strict=True)], float)


def search_limits(study: studies.Study) -> dict[str, float]:
    """Limits that a search is to keep, by metric."""
    answer = "The answer, measured on other text," if study.kind == "merge" else "A run at the answer"
    limits = limits_beside(study, "search-limits", answer)
    return {one.metric: float(limit) for one, limit in zip(study.objectives, limits, strict=True) if np.isfinite(limit)}


def limits_beside(study: studies.Study, key: str, answer: str) -> np.ndarray:
    """Limits (M,) that an answer is to keep, NaN if none, asked for in a part that opens. answer: what keeps them."""
    merges = study.kind == "merge"
    with st.expander("Limits on metrics"):
        st.caption(
            f"{answer} is to keep all of them with a probability of {SURE:.0%}: a maximum for losses, a minimum for "
            "scores. A metric may have a limit and priority 0."
        )
        for one in study.objectives:
            if one.reference and one.chance is not None:
                other = "the base" if merges else f"the {plain(one.reference)} mixture"
                st.caption(
                    f"{plain(one.metric)}: compared with {other}; a {'merge' if merges else 'run'} that equals it has "
                    f"at most {one.chance:.1%}. A limit is to hold on others that were not measured, too."
                )
        return ask_limits(study, key, "limit")


def limits_on(study: studies.Study, values: np.ndarray) -> Limits:
    """Limits (M,), NaN where there is none, as a search takes them."""
    asked = {one.metric: value for one, value in zip(study.objectives, values, strict=True) if np.isfinite(value)}
    return limits_of(limits_in(state.store(), study, asked), len(values))


def limits_told(study: studies.Study, search: dict) -> str:
    """The limits of a search, in the units in which metrics are read."""
    by_metric = {one.metric: reading(one.unit) for one in study.objectives}
    limits = search["settings"].get("limits", {})
    return ", ".join(f"{plain(name)} {by_metric[name].words(value)}" for name, value in limits.items())


def say_limits(study: studies.Study, search: dict) -> None:
    """Which limits the draws of a search keep, if it has any."""
    if told := limits_told(study, search):
        st.caption(f"Of draws that keep the limits of this search, where any does: {told}.")


def kept_words(study: studies.Study, search: dict) -> None:
    """Whether a run at the answer of a search keeps its limits; of merges, the answer on other text."""
    if not (kept := search["found"].get("kept")):
        return
    metric = plain(study.metrics[kept["binding"]])
    merges, limits = study.kind == "merge", limits_told(study, search)
    what = "The best merge of the last search, on other text," if merges else "A run at the best predicted"
    words = f"{what} keeps its limits ({limits}) with a probability of {kept['chance']:.0%}"
    if kept["chance"] >= kept["wanted"] - 0.01:
        st.caption(f"{words}. The nearest limit is that of {metric}.")
        return
    st.warning(
        f"{words}, and {kept['wanted']:.0%} was wanted: {kept['inside']:,} of {'its merges' if merges else 'the draws'}"
        f" keep them as surely. Relax the limit of {metric} first, or measure more {'merges' if merges else 'runs'}.",
        icon=":material/block:",
    )
