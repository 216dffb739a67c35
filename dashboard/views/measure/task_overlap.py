"""On the page Tasks: items that stand in training text, by domain; scores and gains without them."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.models.wording import gain_words
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.progress import under_way
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import counted, listed
from engine.spec.kinds.overlap import TaskOverlap
from engine.studies import overlap, tasks
from engine.studies.task_scores import Scored
from engine.tasks import shelf
from engine.tasks.task import EvalTask
from store import jobs, studies

ACTS = "overlap"


def ask(study: studies.Study, task: str) -> tuple[TaskOverlap | None, bool]:
    """What stands in training text, and whether scores without it are asked for."""
    store = state.store()
    there = overlap.counted(store, study).get(task)
    with st.expander("Items that stand in training text", icon=":material/content_copy:"):
        show_refusal(ACTS)
        if there is None:
            count(study)
            return None, False
        table(study, task, there)
    if not there.standing:
        return there, False
    said = f"Scores without the {counted(len(there.standing), 'item')} that stand in training text"
    return there, st.toggle(said, key=f"without-{task}")


def count(study: studies.Study) -> None:
    """The button that counts, or how far that is."""
    store = state.store()
    if under_way(jobs.of_study(store, study.id), "overlap", "Looking for items in training text"):
        return
    st.caption("Whether these items stand in the text that the models were trained on was not counted yet.")
    if st.button("Count", key="count-overlap", icon=":material/search:", **needs_role("operator")):
        act(ACTS, lambda: overlap.queue_overlap(store, study))


def table(study: studies.Study, task: str, there: TaskOverlap) -> None:
    """How many items stand in each domain, and the numbers of those that may be named."""
    rows = [
        {"domain": domain, "items": len(places), "with their answer": len(there.answered[domain])}
        for domain, places in there.domains.items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    short = f"; {counted(len(there.untold), 'item')} cannot be told, being too short" if there.untold else ""
    st.caption(
        f"{len(there.standing)} of {counted(there.items, 'item')} have 48 bytes in a row, or all of them, in common "
        f"with the training text of a domain, case and blanks aside. A common phrase counts, too{short}."
    )
    store = state.store()
    whole = shelf.load(store.workspace.root, task)
    if tasks.is_private(store, whole) or overlap.corpus_is_private(store, study):
        st.caption(":material/lock: Which items these are is private, as the task or the corpus is.")
    elif there.standing:
        st.caption(f"Items {listed([str(place + 1) for place in there.standing], 50)}.")
    if there.standing:
        clean(study, task)


def clean(study: studies.Study, task: str) -> None:
    """The form that makes a task without the items that stand in training text."""
    with st.popover("Make a task without them"):
        name = st.text_input("Name", value=f"{task}-clean", key=f"clean-name-{task}")
        st.caption("A task never changes; a new study can measure the new one.")
        if st.button("Add", key=f"clean-{task}", icon=":material/add:", **needs_role("operator")):
            act(ACTS, lambda: overlap.cleaned(state.store(), study, task, name))


def loaded(one: Scored) -> EvalTask:
    return shelf.load(state.store().workspace.root, str(one.objective.task))


def without(one: Scored, there: TaskOverlap | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Values and errors (R,) without the items that stand in training text; says how many runs lack them."""
    if there is None:
        return None
    values, errors = overlap.without(state.store(), loaded(one), one, there)
    if lost := int((np.isfinite(one.values) & ~np.isfinite(values)).sum()):
        st.caption(f"{counted(lost, 'run')} kept no scores of single items by this metric, or too few items are left.")
    return values, errors


def best_gain(one: Scored, there: TaskOverlap | None) -> None:
    """What is left of the best run's gain over the first baseline."""
    if there is not None and there.standing:
        say(one, lambda: overlap.best_gain(state.store(), loaded(one), one, there), "The best run")


def gain(one: Scored, there: TaskOverlap, run: str, reference: str) -> None:
    """What is left of a run's gain over another one."""
    say(one, lambda: overlap.gain(state.store(), loaded(one), one.objective, there, run, reference))


def say(one: Scored, ask_for, name: str | None = None) -> None:
    """A gain in a sentence, or why it is not known."""
    try:
        found = ask_for()
    except Problem as problem:
        st.caption(plain(problem))
        return
    if found is None:
        return
    run = plain(found.run) if name is None else f"{name} ({plain(found.run)})"
    words = (
        f"{plain(one.objective.metric)}: {gain_words(found, reading(one.objective.unit), run, plain(found.reference))}"
    )
    if found.verdict == overlap.VANISHES:
        st.warning(words, icon=":material/warning:")
    else:
        st.caption(words)
