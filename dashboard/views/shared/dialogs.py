"""Dialogs, and whether one is open: a page that redraws itself as a whole would close it."""

import functools
from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard.views.shared.refused import refusing

OPEN = "dialog-open"  # in the session, while one is


def dialog(title: str, **settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`st.dialog` for functions that draw one; closing it draws what opened it again, the page or a part of it."""

    def decorate(draw: Callable[..., None]) -> Callable[..., None]:
        shown = st.dialog(title, on_dismiss=none_is_open, **settings)(refusing(draw))

        @functools.wraps(draw)
        def show(*arguments: Any, **named: Any) -> None:
            st.session_state[OPEN] = True
            shown(*arguments, **named)

        return show

    return decorate


def none_is_open() -> None:
    """To be said where one is closed, and where a page begins to be drawn as a whole: that closes any."""
    st.session_state.pop(OPEN, None)


def redraw() -> None:
    """Draw the whole page again, unless a dialog is open: it would close, and what stands in it be lost."""
    if OPEN not in st.session_state:
        st.rerun()
