"""Help where it stands: words, keys, the tour, and a palette that goes anywhere by a few letters."""

import streamlit as st

from dashboard.models.glossary import GLOSSARY
from dashboard.views.shared import finding, tour
from dashboard.views.shared.dialogs import dialog
from store import studies

KEYS = {
    "Ctrl K": "go to a page, study, candidate, run or word, or do something",
    "?": "this help",
    "1 to 9, 0": "focus a fader on *Explore*",
    "arrows, Page Up and Down, Home, End": "move it; with Shift a tenth of a step",
    "Enter": "type its value",
    "m, s, l": "mute, solo, lock it",
    "a to d": "save a position, or return to it; with Shift, overwrite it",
    "Ctrl Z, Ctrl Shift Z": "undo, redo",
    "← → and o": "on *Review*: the next candidate, and its discussion",
}


def listen(pages: dict[str, str], study: studies.Study | None) -> None:
    """The palette and the help of a page. pages: path -> title; study: the chosen one."""
    word = finding.listen(pages, study)
    if st.sidebar.button("Help", icon=":material/help:", key="help", type="tertiary"):
        word = ""
    if word is not None:
        st.session_state["help-word"] = word
        show_help()


@dialog("Help", width="large")
def show_help() -> None:
    """The words and the keys."""
    if st.button("Take the tour", icon=":material/tour:", help="Three minutes, over the pages of the chosen study."):
        tour.start()
        st.rerun()
    words, keys = st.tabs(["Words", "Keys"])
    with words:
        query = st.text_input("Find a word", key="help-word").strip().lower()
        found = {word: meaning for word, meaning in GLOSSARY.items() if query in f"{word} {meaning}".lower()}
        for word, meaning in found.items():
            st.markdown(f"**{word}**: {meaning}")
        if not found:
            st.caption("No such word here. The documentation has more.")
    with keys:
        for key, does in KEYS.items():
            st.markdown(f"**{key}**: {does}")
