"""Where the faders of a study stand: in the link, and set from other pages."""

import numpy as np
import streamlit as st

from dashboard.views.shared.text import plain
from store import studies


def linked_mixture(study: studies.Study) -> np.ndarray | None:
    """The mixture (D,) in the link; None if it has none that fits the study."""
    try:
        values = np.array([float(x) for x in st.query_params.get("mix", "").split(",")])
    except ValueError:
        return None
    fits = (
        values.shape == (len(study.domains),) and np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0
    )
    return values / values.sum() if fits else None


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
