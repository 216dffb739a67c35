"""The tour: a few sentences at the top of each page it leads over, with the way on, back and out."""

import streamlit as st

from dashboard.models.tour import STOPS
from dashboard.views.shared.links import parameters

PLACE = "tour"  # in the session: the number of the stop; absent where nobody is on a tour


def start() -> None:
    """Begin at the first stop."""
    go_to(0)


def go_to(stop: int) -> None:
    """The stop where the next drawing of the page stands; its page is opened then."""
    st.session_state[PLACE] = stop
    st.session_state["tour-moves"] = True


def end() -> None:
    """Leave the tour."""
    st.session_state.pop(PLACE, None)


def show(kind: str, pages: dict, opened: str) -> None:
    """What the tour says here. kind: of the chosen study; pages: path -> page; opened: the path of this page."""
    if PLACE not in st.session_state:
        return
    stops = STOPS[kind]
    number = min(st.session_state[PLACE], len(stops) - 1)  # the other kind's tour may be longer
    stop = stops[number]
    if st.session_state.pop("tour-moves", False) and stop.path != opened:
        st.switch_page(pages[stop.path], query_params=parameters())
    with st.container(border=True, key="mixdesk-tour"):
        here = stop.path == opened
        st.markdown(f":material/tour: **Tour, {number + 1} of {len(stops)}**")
        st.markdown(stop.words if here else f"The tour continues on *{pages[stop.path].title}*.")
        with st.container(horizontal=True):
            last = number + 1 == len(stops)
            st.button("Back", on_click=go_to, args=[number - 1], key="tour-back", disabled=not number)
            if not here:
                st.button("Go there", on_click=go_to, args=[number], key="tour-here", type="primary")
            elif not last:
                st.button("Next", on_click=go_to, args=[number + 1], key="tour-next", type="primary")
            st.button("End the tour", on_click=end, key="tour-end", type="primary" if here and last else "secondary")
