"""The size of the target, where a study's runs are of several: predictions there, and how the best mixture moves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared.best import best_for, text_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.spec.objectives import Aggregate
from engine.spec.sizes import Size
from engine.spec.statistics import ci_half_width
from engine.studies import size_moves, sizes
from engine.studies.fits import Fit
from engine.studies.targets import frame_at
from store import studies


def fit_at_size(study: studies.Study, fit: Fit, size: Size) -> Fit | None:
    """The fit whose surrogate predicts models of a size, with what has to be known of it; None where none can."""
    try:
        surrogate = sizes.at(state.store(), study, *size.place)
    except Problem as problem:
        st.caption(f":material/straighten: {plain(problem)} Predictions stay those of the study's own size.")
        return None
    for note in surrogate.notes:
        st.warning(plain(note), icon=":material/straighten:")
    return replace(fit, instead=surrogate)


def best_at_size(
    study: studies.Study, names: Named, there: Fit, aggregate: Aggregate, size: Size, tokens: float
) -> None:
    """The best mixture at a size, and on demand how each share moves to it from the smallest size of the runs."""
    try:
        frame = frame_at(study, tokens)
    except Problem as problem:
        st.caption(plain(problem))
        return
    with st.expander(f"The best mixture at {size}", icon=":material/moving:", key="best-at-size"):
        runs = sizes.over_sizes(state.store(), study).fingerprint
        read = reading(aggregate.unit)
        best = best_for(study, frame, there, aggregate, runs, (tokens, *size.place))
        text = read.words(aggregate.sign * best.aggregate, ci_half_width(best.aggregate_std))
        st.caption(
            f"From the study's runs of all sizes. The {plain(aggregate.title)} is predicted to be "
            f"{text} {plain(read.unit)} (95%)."
        )
        small = sizes.over_sizes(state.store(), study).sizes[0]
        label = f"From {small}, with bands from {size_moves.REFITS} refits (takes a while)"
        rows: dict[str, list] = {"domain": list(names.coordinates), "best there": best.shares.tolist()}
        moved = st.toggle(label, key=f"moves-{study.id}") and moves_to(study, small, size, tokens, aggregate)
        if moved:
            rows = {"domain": list(names.coordinates), **columns_of(moved, small, size)}
        percent = {name: st.column_config.NumberColumn(format="percent") for name in rows if name.startswith("best")}
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=percent)
        if moved:
            st.caption(
                "Bands: 90% of refits to mixtures drawn with replacement. **Cannot tell**: the two bands overlap. "
                "Shares move as the metrics' slopes change; whether a domain matters more for one metric in larger "
                "models cannot be seen in these runs."
            )


def columns_of(moved: size_moves.Moves, small: Size, size: Size) -> dict[str, list]:
    """The table of moves: the best shares at both sizes, their bands in words, and what can be told."""
    change = np.where(moved.after > moved.before, "rises", "falls")
    return {
        f"best at {small}": moved.before.tolist(),
        f"best at {size}": moved.after.tolist(),
        "90% before": bands(moved.before_band),
        "90% after": bands(moved.after_band),
        "the share": [word if clear else "cannot tell" for word, clear in zip(change, moved.is_clear, strict=True)],
    }


def bands(band: np.ndarray) -> list[str]:
    """Bands (2, D) as words."""
    return [f"{low:.1%} to {high:.1%}" for low, high in band.T]


def moves_to(study: studies.Study, small: Size, size: Size, tokens: float, aggregate: Aggregate) -> size_moves.Moves:
    """The moves, worked out once for the same runs, target, text and priorities."""
    runs = sizes.over_sizes(state.store(), study).fingerprint
    places = (small.place, size.place)
    return _moves(study, study.id, text_of(study), runs, places, tokens, tuple(aggregate.weights.tolist()))


@st.cache_data(max_entries=32, show_spinner="Refitting the runs of all sizes")
def _moves(_study: studies.Study, name: str, text: str, runs: str, places, tokens: float, weights) -> size_moves.Moves:
    """Streamlit knows an answer by its arguments, without the study itself."""
    fitted = sizes.over_sizes(state.store(), _study)
    return size_moves.moves(fitted, frame_at(_study, tokens), *places, np.array(weights))
