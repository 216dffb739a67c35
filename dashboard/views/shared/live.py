"""Parts of a page that redraw themselves while jobs run, or when somebody else acts."""

from collections.abc import Callable

import streamlit as st

from dashboard.server import state

LIVE_SECONDS, WATCH_SECONDS = 2.0, 1.0


def live(draw: Callable[[], None]) -> None:
    """Draw a part of the page: every two seconds while jobs run, and the whole page once they have ended.

    When no job is active, nothing polls.
    """
    busy = state.busy()

    @st.fragment(run_every=LIVE_SECONDS if busy else None)
    def part():
        if busy and not state.busy():
            st.rerun()
        draw()

    part()


def watch(look: Callable[[], object]) -> None:
    """Redraw the page within about a second of a change in what `look` returns: somebody else acted."""
    seen = look()

    @st.fragment(run_every=WATCH_SECONDS)
    def part():
        if look() != seen:
            st.rerun()

    part()
