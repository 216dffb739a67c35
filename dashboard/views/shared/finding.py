"""What the palette (Ctrl+K) finds: pages, actions, studies, the study's candidates and runs, words; and going there."""

from typing import NamedTuple

import streamlit as st

from dashboard.components.palette import HELP, palette
from dashboard.models.glossary import GLOSSARY
from dashboard.server import state
from dashboard.views.shared import tour
from engine.core.short_names import told_apart
from store import reviews, studies

ASKED = "action-asked"  # in the session: the action that the page which does it is to do


class Action(NamedTuple):
    """What can be done from anywhere: its words, the path of the page that does it, and parameters of its link."""

    words: str
    page: str
    query: tuple[tuple[str, str], ...] = ()


ACTIONS = {
    "new-study": Action("New study", "studies"),
    "new-merge": Action("New merge", "studies"),
    "two-studies": Action("Compare two studies", "studies"),
    "new-corpus": Action("New corpus", "corpus"),
    "import": Action("Import runs", "import"),
    "nominate": Action("Nominate the faders' point", "explore"),
    "propose": Action("Propose next runs", "next-runs"),
    "confirm": Action("Confirm in larger models", "confirm"),
    "vote": Action("Vote on candidates", "candidates", (("vote", "next"),)),
    "export": Action("Export a recipe", "export"),
    "token": Action("Make an API token", "tokens"),
}
TOUR = "tour"


def asked(action: str) -> bool:
    """Whether the palette asked for this action; once, by the page that does it."""
    if st.session_state.get(ASKED) != action:
        return False
    del st.session_state[ASKED]
    return True


def found_by_letters(pages: dict[str, str], study: studies.Study | None) -> list[dict[str, str]]:
    """All but the runs, which are known by their numbers. pages: path -> title."""
    store = state.store()
    titles = told_apart({one.id: one.name for one in studies.all_studies(store)})
    there = reviews.of_study(store, study.id) if study else []
    named = told_apart({one.id: one.frozen["name"] for one in there})
    items = [{"id": f"page {path}", "kind": "page", "label": title} for path, title in pages.items()]
    items += [{"id": f"do {name}", "kind": "do", "label": one.words} for name, one in ACTIONS.items()]
    items.append({"id": f"do {TOUR}", "kind": "do", "label": "Take the tour"})
    items.append({"id": HELP, "kind": "help", "label": "Words and keys"})
    items += [{"id": f"study {one}", "kind": "study", "label": title} for one, title in titles.items()]
    items += [{"id": f"candidate {one}", "kind": "candidate", "label": name} for one, name in named.items()]
    return items + [{"id": f"word {word}", "kind": "word", "label": word} for word in GLOSSARY]


def listen(pages: dict[str, str], study: studies.Study | None) -> str | None:
    """The palette; goes where it is asked to. Returns the word to look up, "" for all of them, None for none."""
    chosen = palette(found_by_letters(pages, study), study.runs if study else 0)
    if chosen is None:
        return None
    kind, _, what = chosen.partition(" ")
    if kind in (HELP, "word"):
        return what
    go(kind, what, study)
    return None


def go(kind: str, what: str, study: studies.Study | None) -> None:
    """To a page, a study, a candidate or a run of this study, or the page that does something."""
    own = {"study": study.id} if study else {}
    if kind == "study":
        st.session_state["next_study"] = what
        st.rerun()
    elif kind == "do" and what == TOUR:
        tour.start()
        st.rerun()
    elif kind == "do" and what in ACTIONS:
        st.session_state[ASKED] = what
        open_page(ACTIONS[what].page, own | dict(ACTIONS[what].query))
    elif kind in ("candidate", "run"):
        open_page(f"{kind}s", {**own, kind: what})
    elif kind == "page":
        open_page(what, None)


def open_page(path: str, query: dict[str, str] | None) -> None:
    """The page of that path, where there is one."""
    if path in st.session_state["pages"]:
        st.switch_page(st.session_state["pages"][path], query_params=query)
