"""Help where it stands: words, keys, the tour, and a palette that goes anywhere by a few letters."""

import streamlit as st

from dashboard.components.palette import HELP, palette
from dashboard.models.glossary import GLOSSARY
from dashboard.server import state
from dashboard.views.shared import tour
from dashboard.views.shared.dialogs import dialog
from engine.core.short_names import told_apart
from store import studies

KEYS = {
    "Ctrl K": "go to a page or a study",
    "?": "this help",
    "1 to 9, 0": "focus a fader on *Explore*",
    "arrows, Page Up and Down, Home, End": "move it; with Shift a tenth of a step",
    "Enter": "type its value",
    "m, s, l": "mute, solo, lock it",
    "a to d": "save a position, or return to it; with Shift, overwrite it",
    "Ctrl Z, Ctrl Shift Z": "undo, redo",
    "← → and o": "on *Review*: the next candidate, and its discussion",
}


def listen(pages: dict[str, str]) -> None:
    """The palette and the help of a page. pages: path -> title."""
    found = {study.id: study.name for study in studies.all_studies(state.store())}
    titles = told_apart(found)
    items = [{"id": f"page {path}", "kind": "page", "label": title} for path, title in pages.items()]
    items += [{"id": f"study {one}", "kind": "study", "label": titles[one]} for one in found]
    items.append({"id": HELP, "kind": "help", "label": "Words and keys"})
    chosen = palette(items)
    asked = st.sidebar.button("Help", icon=":material/help:", key="help", type="tertiary")
    if asked or chosen == HELP:
        show_help()
    elif chosen is not None:
        kind, _, what = chosen.partition(" ")
        if kind == "study" and what in found:
            st.session_state["next_study"] = what
            st.rerun()
        if kind == "page" and what in st.session_state["pages"]:
            st.switch_page(st.session_state["pages"][what])


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
