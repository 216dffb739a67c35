"""The form of a new task: from a file, by a rule, or from a corpus' validation text."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from dashboard.server import state
from dashboard.views.measure.task_sampling import ask_sampling
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.dialogs import dialog
from dashboard.views.shared.text import plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import counted, told_apart
from engine.metrics import ITEM_METRICS
from engine.studies import tasks
from engine.tasks.cut import CUTS
from engine.tasks.files import from_bytes
from engine.tasks.generated import GENERATORS, generate
from engine.tasks.task import MOST_ITEMS, EvalTask, Sampling, check_task
from store import corpora

FILE, RULE, TEXT = "a file", "a rule", "a corpus"


@dialog("New task", width="large")
def new_task() -> None:
    """Ask for the source of the items, then add them."""
    form()


def form() -> None:
    """What the dialog holds."""
    st.markdown("A task never changes once it is added, so that all runs that measure it can be compared.")
    name = st.text_input("Name", "my-task", max_chars=64)
    source = st.segmented_control("Items from", [FILE, RULE, TEXT], default=FILE, required=True)
    make = {FILE: ask_file, RULE: ask_rule, TEXT: ask_text}[source](name)
    found = looked_at(make) if source == FILE and make else None
    titles = told_apart({one: metric.title for one, metric in ITEM_METRICS.items()})
    metrics = st.multiselect("Scored by", list(titles), format_func=titles.get, help="Default: by what the items hold.")
    for name in metrics:
        st.caption(f"{titles[name]}: {ITEM_METRICS[name].says}")
    apart = found is not None and ask_apart(found, metrics)
    sampling = ask_sampling(metrics or (found.metrics if found else []), found.sampling if found else Sampling())
    private = source != RULE and st.checkbox(
        "Private", help="None of its text is shown, on pages, in files or in answers."
    )
    unread = make is None or (source == FILE and found is None)
    if st.button("Add", type="primary", icon=":material/add:", **needs_role("operator", unread)):
        try:
            tasks.add(state.store(), make(), tasks.How(private, metrics or None, sampling, apart))
        except Problem as problem:
            refusal(problem)
            return
        st.session_state["task-shown"] = name
        st.rerun()


def looked_at(make: Callable[[], EvalTask]) -> EvalTask | None:
    """The task of a file; None, and why, for one that cannot be read."""
    try:
        found = make()
        check_task(found)
    except Problem as problem:
        refusal(problem)
        return None
    st.caption(plain(f"{counted(len(found.items), 'item')}; {found.source}."))
    return found


def ask_apart(found: EvalTask, metrics: list[str]) -> bool:
    """What has to be known of a task as it would be added, and whether answers get a blank before them."""
    asked = replace(found, metrics=metrics or found.metrics)
    apart = bool(asked.glued) and st.checkbox(
        "Put a blank between prompts and answers",
        help="Without one, a model reads the last word of a prompt and its answer as one word.",
    )
    for note in (asked.apart() if apart else asked).notes:
        st.warning(plain(note), icon=":material/rule:")
    return apart


def ask_file(name: str):
    """A file of items."""
    given = st.file_uploader("BIG-bench's JSON, or items as JSON or JSON lines", type=["json", "jsonl"])
    return None if given is None else lambda: from_bytes(given.getvalue(), name)


def ask_rule(name: str):
    """A generator, and how many items."""
    kind = st.selectbox("Rule", list(GENERATORS))
    count, seed = ask_count()
    return lambda: generate(kind, name, count, seed)


def ask_text(name: str):
    """A domain of a corpus, and the kind of question about its text."""
    known = [one for one in corpora.names(state.store()) if corpora.manifest(state.store(), one)]
    if not known:
        st.caption("No corpus is built yet.")
        return None
    left, middle, right = st.columns(3)
    corpus = left.selectbox("Corpus", known)
    manifest = corpora.manifest(state.store(), corpus) or {"domains": {}}
    domain = middle.selectbox("Domain", list(manifest["domains"]))
    kind = right.selectbox(
        "Question",
        list(CUTS),
        help="The continuation of a passage, the last word of a sentence, or the body of a function.",
    )
    count, seed = ask_count()
    return lambda: tasks.cut_from(state.store(), name, corpus, domain, kind, count, seed)


def ask_count() -> tuple[int, int]:
    """How many items, and the seed that they are drawn by."""
    left, right = st.columns(2)
    return int(left.number_input("Items", 2, MOST_ITEMS, 200)), int(right.number_input("Seed", 0, 10**6, 0))
