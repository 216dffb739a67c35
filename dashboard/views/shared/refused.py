"""Refusals that outlast a redraw: what was refused is said where it was asked for, until it is asked again.

Popovers, forms and parts that redraw themselves would otherwise show one for a moment, or not at all. A button's
callback, or what follows a button, is an attempt:

    with attempt("comment-7"):
        acts.comment(...)
        st.session_state["comment-7"] = ""

and `show_refusal("comment-7")` stands beside it. page.js brings it into view where a popover or dialog is too low.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from dashboard.views.shared.text import refusal
from engine.core.errors import Problem

REFUSED, PAGE = "refused", "refused-on"  # in the session: what was refused by name, and on which page


@contextmanager
def attempt(name: str) -> Iterator[None]:
    """What is done inside may be refused: then the rest is left out, and `show_refusal` of that name says why."""
    refused = st.session_state.setdefault(REFUSED, {})
    refused.pop(name, None)
    try:
        yield
    except Problem as problem:
        refused[name] = str(problem)


def show_refusal(name: str) -> None:
    """Why the last attempt of that name was refused; nothing if it was not."""
    if why := st.session_state.get(REFUSED, {}).get(name):
        refusal(why)


def act(name: str, command: Callable[[], object]) -> None:
    """An attempt at a command; if it is done, the page is drawn again."""
    with attempt(name):
        command()
        st.rerun()


def refusing(draw: Callable[..., Any]) -> Callable[..., None]:
    """A function that draws, or shows why it is refused. For each part that Streamlit runs by itself: a page, a
    fragment, a dialog."""

    @functools.wraps(draw)
    def drawn(*arguments: Any, **named: Any) -> None:
        try:
            draw(*arguments, **named)
        except Problem as problem:
            refusal(problem)

    return drawn


def fragment(draw: Callable[..., Any]) -> Callable[..., None]:
    """`st.fragment` for a part that may be refused."""
    return st.fragment(refusing(draw))


def forget_refusals(page: str) -> None:
    """Forget what was refused once another page is opened."""
    if st.session_state.get(PAGE) != page:
        st.session_state[PAGE] = page
        st.session_state.pop(REFUSED, None)
