"""Keeps unsent text and the link over an expired sign-in.

Both stay in the browser's tab (`sessionStorage`), which survives the sign-in. A box of
`st.text_area` or `st.text_input` is kept with two lines:

    st.text_area("Comment", key="comment-7-of-this-session")
    drafts.keep("comment-7-of-this-session", "comment-7")

and once its text has been stored, `drafts.forget("comment-7")` drops the browser's copy. Store it in the button's
callback (`on_click`), where the box can be emptied too, or before `st.rerun()`.
"""

import secrets

import streamlit as st

from dashboard.components import component
from engine.core.people import acting


def keep(box: str, name: str) -> None:
    """Keep what is typed into the text box with the key `box`, and restore it if the box comes up empty.

    name: what the text is for, the same in every session (keys of widgets need not be).
    """
    gone = st.session_state.get(f"draft-{name}-gone", "")
    data = {"do": "keep", "box": box, "name": name, "who": acting().name, "gone": gone}
    component("drafts")(key=f"draft-{name}", data=data)


def forget(name: str) -> None:
    """Drop the browser's copy when the box is next drawn: the text has been stored."""
    st.session_state[f"draft-{name}-gone"] = secrets.token_hex(8)


def remember_place() -> None:
    """Keep the link of this page over a sign-in."""
    component("drafts")(key="draft-place", data={"do": "remember"})


def go_back() -> None:
    """Return to the link from before the sign-in, once."""
    component("drafts")(key="draft-back", data={"do": "go back"})
