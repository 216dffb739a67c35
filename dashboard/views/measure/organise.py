"""Organising studies: search and sort the list; label, duplicate, archive and delete one."""

from dataclasses import replace

import numpy as np
import streamlit as st

from dashboard.server import state
from dashboard.views.measure.new_merge import new_merge
from dashboard.views.measure.new_study import new_study
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.dialogs import dialog
from dashboard.views.shared.refused import act
from dashboard.views.shared.text import named_as, plain
from engine.core.short_names import listed
from engine.spec.statistics import ordered
from engine.spec.study import StudySpec
from engine.studies import housekeeping
from engine.studies.housekeeping import LONGEST
from engine.studies.lifecycle import choose_mean
from engine.studies.means import mean_of
from engine.studies.moments import search_in_use
from store import studies

NEWEST, NAME, BEST = "newest", "name", "best"
ORDERS = {NEWEST: "Newest first", NAME: "By name", BEST: "Best first"}


def ask_order(found: list[studies.Study]) -> tuple[str, str, bool]:
    """What to look for, the order, and whether archived studies are shown; kept in the link."""
    if len(found) < 2 and not any(one.archived for one in found):
        return "", NEWEST, False
    look, order, hidden = st.columns([3, 1.4, 1.4], vertical_alignment="bottom")
    words = look.text_input(
        "Find", placeholder="name, tag or note", icon=":material/search:", key="find", bind="query-params"
    )
    chosen = order.selectbox(
        "Order",
        list(ORDERS),
        format_func=ORDERS.get,
        key="order",
        bind="query-params",
        help="Pinned studies come first. Best: by how much the answer is predicted to beat the study's first baseline, "
        "in the unit of each study.",
    )
    count = sum(one.archived for one in found)
    shown = bool(count) and hidden.toggle(f"Archived ({count})", key="archived", bind="query-params")
    return words or "", chosen or NEWEST, shown


def in_order(found: list[studies.Study], words: str, order: str, archived: bool) -> list[studies.Study]:
    """The studies that have all the words, pinned ones first, in the order chosen: whatever runs meanwhile."""
    wanted = words.casefold().split()
    kept = [one for one in found if archived or not one.archived]
    kept = [one for one in kept if all(word in search_text(one) for word in wanted)]
    if order == NAME:
        kept.sort(key=lambda one: (one.name.casefold(), one.id))
    elif order == BEST:
        kept = [kept[k] for k in ordered(np.array([gap(one) for one in kept]))]
    return sorted(kept, key=lambda one: not one.pinned)


def search_text(study: studies.Study) -> str:
    """All that a search looks through."""
    return " ".join([study.name, study.id, study.note, *study.tags]).casefold()


def gap(study: studies.Study) -> float:
    """The predicted difference to the first baseline by the search in use: below 0 it is better; infinite without."""
    store = state.store()
    found = store.remembered(("search in use", study.id), lambda: search_in_use(store, study))
    if found is None or not found["found"].get("differences"):
        return float("inf")
    return next(iter(found["found"]["differences"].values()))["aggregate"]


def labels(study: studies.Study) -> None:
    """The tags and the note of a study."""
    if study.tags:
        st.markdown(" ".join(f":gray-badge[{plain(tag)}]" for tag in study.tags))
    if study.note:
        st.text(study.note)


def menu(study: studies.Study) -> None:
    """What can be done with a study beside running it."""

    def change(**labels) -> None:
        act(study.id, lambda: housekeeping.label(state.store(), study, **labels))

    means = {}
    if study.kind == "mixture" and study.coordinates:
        relative = mean_of(study).relative
        title = "Plain means" if relative else "Means relative to the natural mixture"
        means[title] = lambda: act(study.id, lambda: choose_mean(state.store(), study, not relative))
    acts = {
        "Unpin" if study.pinned else "Pin": lambda: change(pinned=not study.pinned),
        "Rename, tag, note": lambda: edit(study),
        "Duplicate": lambda: duplicate(study),
        **means,
        "Unarchive" if study.archived else "Archive": lambda: change(archived=not study.archived),
        "Delete": lambda: delete(study),
    }
    if study.imported is not None:  # its runs come from files, which the form does not ask for
        del acts["Duplicate"]
    chosen = st.menu_button("More", list(acts), key=f"more-{study.id}", **needs_role("operator"))
    if chosen in acts:
        acts[chosen]()


def duplicate(study: studies.Study) -> None:
    """Open the form of a new study with this one's settings."""
    ending = " (copy)"
    spec = StudySpec.from_dict(study.spec)
    spec = replace(spec, name=study.name[: LONGEST["name"] - len(ending)] + ending)
    (new_merge if study.kind == "merge" else new_study)(spec)


@dialog("Rename, tag, note")
def edit(study: studies.Study) -> None:
    """The name, tags and note of a study."""
    name = st.text_input("Name", study.name, max_chars=LONGEST["name"])
    known = {tag for one in studies.all_studies(state.store()) for tag in one.tags}
    tags = st.multiselect(
        "Tags",
        sorted(known),
        default=list(study.tags),
        accept_new_options=True,
        placeholder="choose, or type a new one",
    )
    note = st.text_area("Note", study.note, max_chars=LONGEST["note"])
    if st.button("Save", type="primary", **needs_role("operator")):
        housekeeping.label(state.store(), study, name=name, tags=tags, note=note.strip())
        st.rerun()


@dialog("Delete the study?")
def delete(study: studies.Study) -> None:
    """Say what goes with it, ask for its name, delete it."""
    found = housekeeping.dependents(state.store(), study)
    st.markdown(
        f"**{named_as(study.name)}** is deleted for good, and with it {found.in_words}. The journal keeps who deleted "
        "it, and what was decided before. To hide it only, archive it."
    )
    if found.merges:
        st.warning(
            f"Merges are compared with it, in {listed([plain(one) for one in found.merges])}: delete that first."
        )
    called = st.text_input("Type its name to confirm", placeholder=study.name)
    if st.button("Delete", type="primary", icon=":material/delete:", key="delete-it", **needs_role("operator")):
        housekeeping.delete(state.store(), study, called)
        st.rerun()
