"""Links between pages: what stands in one, and buttons that lead to another."""

import streamlit as st

from store import studies


def parameters() -> dict[str, list[str]]:
    """Every parameter of the link; what stands there several times stays so."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def lead(label: str, page: str, study: studies.Study | None, style: dict) -> None:
    """A button that leads to another page, about this study if any."""
    if st.button(label, **style):
        st.switch_page(st.session_state["pages"][page], query_params={"study": study.id} if study else None)
