"""Where the faders of a study stand: in the link, and set from other pages."""

import numpy as np
import streamlit as st

from store import studies


def linked_mixture(study: studies.Study) -> np.ndarray | None:
    """The mixture in the link, or None where there is none that fits the study."""
    try:
        values = np.array([float(x) for x in st.query_params.get("mix", "").split(",")])
    except ValueError:
        return None
    fits = (
        values.shape == (len(study.domains),) and np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0
    )
    return values / values.sum() if fits else None


def set_faders(study: studies.Study, shares: np.ndarray) -> None:
    """Set the desk of Explore to a mixture (D,), and say so."""
    st.session_state[f"mix-{study.id}"] = np.asarray(shares, float).tolist()
    st.session_state["desk-reset"] = st.session_state.get("desk-reset", 0) + 1
    st.toast("The faders on Explore stand at this mixture.")
