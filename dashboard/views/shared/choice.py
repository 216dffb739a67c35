"""A choice among things that people named: told apart by id, whatever their titles, and kept in the link."""

from collections.abc import Mapping

import streamlit as st

from engine.core.short_names import Id, told_apart


def choose(
    place, label: str, titles: Mapping[Id, str], key: str, link: str | None = None, start: Id | None = None, **looks
) -> Id:
    """A select box in a container, over titles by id; returns the chosen id.

    start: chosen at first; by default the first, which is the latest: whoever has not chosen another sees it move on
    when a newer one comes. link: the query parameter that holds the choice, so that others see what its sender saw.
    """
    options, latest = list(titles), f"{key}-latest"
    now = st.session_state.get(key)
    if key not in st.session_state:
        linked = st.query_params.get(link) if link else None
        now = next((one for one in options if str(one) == linked), start)
    elif start is None and now == st.session_state.get(latest):
        now = options[0]
    st.session_state[key] = now if now in options else options[0]
    st.session_state[latest] = options[0]
    chosen = place.selectbox(label, options, format_func=told_apart(titles).get, key=key, **looks)
    if link:
        st.query_params[link] = str(chosen)
    return chosen
