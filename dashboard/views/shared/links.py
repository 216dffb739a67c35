"""What stands in a page's link, for another page to have."""

import streamlit as st


def parameters() -> dict[str, list[str]]:
    """Every parameter of the link; what stands there several times stays so."""
    return {name: st.query_params.get_all(name) for name in st.query_params}
