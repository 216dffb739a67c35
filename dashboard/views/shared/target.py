"""The target fader: the tokens and the size of the real run, kept in the link, and how often it repeats each domain."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.models import wording
from dashboard.models.names import Named
from dashboard.views.shared.text import plain
from engine.core.short_names import listed
from engine.space.baselines import epochs
from engine.spec.frame import Frame
from engine.spec.pools import SOURCES
from store import studies

STEPS = 10  # of a fader, in each power of ten
REACH = 3  # powers of ten that the fader of tokens goes down and up from the study's own budget
USUAL = 1e9  # tokens where a study has no budget
SIZES = (6, 12)  # powers of ten that the fader of sizes spans
UNSAID = 0.0


@dataclass(frozen=True)
class Target:
    """The real run. tokens: that it trains on; parameters: its size in weights, 0 where that is not said."""

    tokens: float
    parameters: float


def target_fader(study: studies.Study, frame: Frame) -> Target:
    """The two faders of the real run; at first the study's own budget, or what the link says."""
    own = frame.budget or USUAL
    tokens_place, size_place = st.columns([3, 2])
    tokens = _fader(
        tokens_place,
        "Target: tokens of the real run",
        "target",
        {*_steps(np.log10(own) - REACH, np.log10(own) + REACH), own},
        own,
        study,
        "Moves how often each domain's text is repeated.",
    )
    parameters = _fader(
        size_place,
        "Target: its size in weights",
        "size",
        {*_steps(*SIZES), UNSAID},
        UNSAID,
        study,
        "Used by surrogates that know sizes.",
    )
    return Target(tokens, parameters)


def _steps(low: float, high: float) -> set[float]:
    """Round numbers from 10^low to 10^high, STEPS in each power of ten."""
    exponents = np.arange(np.ceil(low * STEPS), np.floor(high * STEPS) + 1) / STEPS
    return {float(f"{10**exponent:.2g}") for exponent in exponents}


def _fader(place, label: str, link: str, values: set[float], start: float, study: studies.Study, what: str) -> float:
    """One fader over values, kept in the link; a number in the link that is none of them becomes one."""
    try:
        linked = float(st.query_params.get(link, start))
    except ValueError:
        linked = start
    linked = linked if np.isfinite(linked) and linked >= 0 and (linked > 0 or UNSAID in values) else start
    labels = {_label(one): one for one in [*sorted(values), start, linked]}  # the last of a label stays
    value = place.select_slider(
        label,
        sorted(labels.values()),
        value=linked,
        format_func=_label,
        key=f"{link}-{study.id}",
        help=what,
    )
    if value != start:
        st.query_params[link] = f"{value:.6g}"
    elif link in st.query_params:
        del st.query_params[link]
    return value


def _label(value: float) -> str:
    return wording.short_count(value) if value else "not said"


def repetition(study: studies.Study, frame: Frame, names: Named, at: np.ndarray, target: Target) -> None:
    """How often the real run would repeat each domain at the faders' mixture (D,)."""
    if frame.available is None:
        st.caption("How often text would be repeated is unknown: the tokens of each domain are not known here.")
        return
    seen = epochs(at, frame.pools.tokens, target.tokens)
    cap = study.spec["epoch_cap"]
    over = [name for name, one in zip(names.domains, seen, strict=True) if one > cap + 1e-9]
    head = f"**Epochs at {wording.short_count(target.tokens)} tokens**"
    told = [
        f"{plain(name)} {one:.2g}" if np.isfinite(one) else f"{plain(name)} unknown"
        for name, one in zip(names.domains, seen, strict=True)
    ]
    st.markdown(f"{head}: {', '.join(told)}.")
    if over:
        st.warning(f"More than the epoch cap of {cap:g}: {plain(listed(over))}.", icon=":material/repeat:")
    with st.expander("Text of each domain", icon=":material/database:"):
        table = {
            "domain": names.domains,
            "tokens there are": frame.pools.plain,
            "known": [SOURCES[source] for source in frame.pools.sources],
            "tokens of the real run": (at * target.tokens).tolist(),
            "epochs": seen.tolist(),
        }
        numbers = dict.fromkeys(table, None) | {
            "tokens there are": st.column_config.NumberColumn(format="localized"),
            "tokens of the real run": st.column_config.NumberColumn(format="localized"),
            "epochs": st.column_config.NumberColumn(format="%.3g"),
        }
        shown = {name: column for name, column in numbers.items() if column}
        st.dataframe(pd.DataFrame(table), hide_index=True, column_config=shown)
        for note in frame.notes:
            st.caption(f":material/info: {plain(note)}")
