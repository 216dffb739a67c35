"""Where the faders of a study stand: in the link, and set from other pages."""

import numpy as np
import streamlit as st

from dashboard.views.shared.text import plain
from store import studies

DIGITS = 5  # of a fader's value: the desk sends as many


def linked_point(study: studies.Study) -> np.ndarray | None:
    """The faders' values (D,) in the link; None if it has none that fit the study."""
    try:
        values = np.array([float(x) for x in st.query_params.get("mix", "").split(",")])
    except ValueError:
        return None
    fits = values.shape == (len(study.coordinates),) and np.isfinite(values).all()
    if study.kind == "mixture":
        fits = fits and bool((values >= 0).all() and values.sum() > 0)
    return values if fits else None


def keep_in_link(values: list[float]) -> list[float]:
    """Write the faders' values into the link; returns them as it holds them, so that its readers see the same."""
    written = [f"{value:.{DIGITS}f}" for value in values]
    st.query_params["mix"] = ",".join(written)
    return [float(text) for text in written]


def linked_locks(names: list[str]) -> list[bool]:
    """Which faders the link locks."""
    locked = st.query_params.get_all("lock")
    return [name in locked for name in names]


def keep_locks_in_link(names: list[str], locked: list[bool] | None) -> None:
    """Write which faders are locked into the link; None: the desk has not said yet."""
    if locked is not None and len(locked) == len(names):
        st.query_params["lock"] = [name for name, held in zip(names, locked, strict=True) if held]


def set_desk(key: str, point: np.ndarray) -> None:
    """Set the desk whose values the session keeps under `key` to a point (D,), when it is next drawn."""
    st.session_state[key] = np.asarray(point, float).tolist()
    st.session_state["desk-reset"] = st.session_state.get("desk-reset", 0) + 1


def presets(key: str, points: dict[str, np.ndarray]) -> None:
    """A row of buttons that set the desk under `key` to named points."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Presets**")
        for label, point in points.items():
            if st.button(plain(label), key=f"set-{label}"):
                set_desk(key, point)


def set_faders(study: studies.Study, point: np.ndarray) -> None:
    """Set the faders of Explore to a point (D,), and say so."""
    set_desk(f"mix-{study.id}", point)
    st.toast("The faders on Explore are set to this point.")
