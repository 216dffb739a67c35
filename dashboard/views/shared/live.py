"""Parts of a page that redraw themselves while jobs run, or when somebody else acts."""

from collections.abc import Callable

import streamlit as st

from dashboard.server import state
from dashboard.views.shared.dialogs import redraw
from dashboard.views.shared.refused import refusing

LIVE_SECONDS, WATCH_SECONDS = 2.0, 1.0


def live(draw: Callable[[], None]) -> None:
    """Draw a part of the page: every two seconds while jobs run, and the whole page once they have ended.

    When no job is active, nothing polls. The part is drawn before the page is: it may be a click that draws it, which
    would be lost otherwise.
    """
    busy = state.busy()

    @st.fragment(run_every=LIVE_SECONDS if busy else None)
    def part():
        refusing(draw)()
        if busy and not state.busy():
            redraw()

    part()


def watch(look: Callable[[], object]) -> None:
    """Redraw the page within about a second of a change in what `look` returns: somebody else acted."""
    seen = look()

    @st.fragment(run_every=WATCH_SECONDS)
    def part():
        if look() != seen:
            redraw()

    part()
