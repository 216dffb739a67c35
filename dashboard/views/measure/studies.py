"""Studies: the list with states and progress, and buttons for each."""

import numpy as np
import streamlit as st

from dashboard.charts import mixtures as mixture_charts
from dashboard.models import wording
from dashboard.models.cost import device_hours, hours_words
from dashboard.models.progress import Progress, progress_of
from dashboard.server import state
from dashboard.views.measure import merge_card, organise, side_by_side
from dashboard.views.measure.change_domains import change_domains
from dashboard.views.measure.new_merge import new_merge
from dashboard.views.measure.new_study import new_study
from dashboard.views.shared import tour
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.finding import asked
from dashboard.views.shared.headline import show_headline
from dashboard.views.shared.live import live
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.plot import plot
from dashboard.views.shared.progress import expected, stages
from dashboard.views.shared.refused import act, fragment, show_refusal
from dashboard.views.shared.study import named_of, too_few
from dashboard.views.shared.text import plain, refusal
from engine.core.short_names import short_count
from engine.league import FEWEST_RUNS
from engine.spec.fidelity import Fidelity
from engine.studies import lifecycle
from engine.studies.moments import moment_of
from engine.studies.points import BEST_PREDICTED
from engine.studies.training import expected_roles
from store import runs, studies

SHOWN = 6  # cards at first: a hundred of them take two seconds
INTRODUCTION = (
    "Mixdesk answers two questions: **which mixture of text domains gives a language model the lowest loss**, and "
    "**how should checkpoints be merged?** It trains many small proxy models on different mixtures, or measures many "
    "merges, and learns from them how each share or coefficient affects each loss. Move the faders to see how each "
    "loss would change, and how certain that is."
)


def render(current: str | None) -> None:
    if side_by_side.LINK in st.query_params and side_by_side.render():
        return
    head, buttons = st.columns([3, 2], vertical_alignment="bottom")
    head.title("Studies")
    with buttons:
        beginnings()
    st.markdown(INTRODUCTION + " Runs trained elsewhere can be added on *Import*.")
    found = studies.all_studies(state.store())
    if found:
        with st.container(horizontal=True):
            st.button("Take the tour", icon=":material/tour:", type="tertiary", on_click=tour.start)
            style = {"icon": ":material/compare:", "type": "tertiary"}
            if len(found) > 1 and (st.button("Compare two studies", **style) or asked("two-studies")):
                second = next(one.id for one in found if one.id != current)
                st.query_params[side_by_side.LINK] = f"{current},{second}"
                st.rerun()
    else:
        st.info("No study yet. **New study** starts one on text that is already on this machine.")
    order = organise.ask_order(found)
    live(lambda: all_cards(current, *order))
    if count := runs.corrupt_count(state.store()):
        title = f"Lines of journals that could not be read and were set aside: {count:,}"
        with st.expander(title, icon=":material/report:", key="set-aside"):
            lines = runs.corrupt_lines(state.store())
            for journal, offset, text, reason in lines:
                st.text(f"{journal}, byte {offset}: {reason}\n{text[:300]}")
            if count > len(lines):
                st.caption(f"The first {len(lines)} of them.")


@fragment
def beginnings() -> None:
    """The buttons that open the forms of new studies. A part of its own: the cards need not be drawn again for them."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("New merge", icon=":material/merge:") or asked("new-merge"):
            new_merge()
        style = {"type": "primary", "icon": ":material/add:", **needs_role("operator")}
        if st.button("New study", **style) or asked("new-study"):
            new_study()


def all_cards(current: str | None, words: str, order: str, archived: bool) -> None:
    """A card per study that is looked for, the first only where there are many."""
    found = organise.in_order(studies.all_studies(state.store()), words, order, archived)
    if words and not found:
        st.info(f"No study has {plain(words)} in its name, tags or note.")
    shown = st.session_state.setdefault("studies-shown", SHOWN)
    for study in found[:shown]:
        card(study, study.id == current)
    if len(found) > shown:
        st.caption(f"Showing {shown} of {len(found)} studies; *Find* looks through all of them.")
        st.button(f"Show {SHOWN} more", icon=":material/expand_more:", on_click=show_more)


def show_more() -> None:
    st.session_state["studies-shown"] += SHOWN


def card(study: studies.Study, is_current: bool) -> None:
    """One study: what it is, its progress, its buttons."""
    progress = progress_of(state.store(), study)
    with st.container(border=True, key=f"card-{study.id}"):
        head, buttons = st.columns([3, 2], vertical_alignment="center")
        with head:
            marks = ":material/keep: " * study.pinned + ":material/archive: " * study.archived
            st.header(marks + plain(study.name), anchor=False)
            st.caption(describe(study))
            if hours := device_hours(state.store(), study.id):
                st.caption(f"Used {plain(hours_words(hours))}.")
            organise.labels(study)
        with buttons.container(horizontal=True, horizontal_alignment="right"):
            actions(study, progress, is_current)
        show_refusal(study.id)
        for note in (study.imported or {}).get("notes", ()):
            st.caption(f":material/info: {plain(note)}")
        stages(progress)
        st.markdown(status(study, progress))
        if progress.finished or (study.kind == "mixture" and studies.league(state.store(), study.id)):
            (merge_card.answer if study.kind == "merge" else answer)(study)
        if study.state == "paused":
            st.warning("Paused. Its jobs wait at their checkpoints; **Resume** continues them.")
        elif study.state == "cancelled" and progress.busy:
            st.warning("Cancelling: running jobs save their checkpoints first. **Resume** takes it back.")
        elif study.state == "cancelled":
            st.warning("Cancelled. Its measurements are kept; **Resume** continues where it stopped.")
        elif words := expected(progress):
            st.caption(f":material/hourglass_top: {words}")
        for message in dict.fromkeys([*progress.failures, *filter(None, [study.message])]):
            refusal(message)


def status(study: studies.Study, progress: Progress) -> str:
    """What is going on, for somebody who sees it for the first time."""
    if study.kind == "merge" and study.state != "failed":
        return merge_card.status(progress)
    if study.state != "active" or progress.failures:
        return ""
    if study.imported and study.done < FEWEST_RUNS:
        return f"Too few runs to fit a surrogate; at least {FEWEST_RUNS} are needed."
    if progress.current == "Corpus" and study.spec["corpus"] == "default":
        return (
            "Collecting text that is already on this machine, from installed packages: documentation, Python, C++, "
            "JavaScript, mathematics, and **junk**, a control that a good mixture should avoid."
        )
    return {
        "Corpus": "Reading the text of each domain, dropping duplicates, and writing token shards.",
        "Proxies": "Training small models on different mixtures. *Runs* shows their training curves.",
        "Runs elsewhere": "Awaiting results of another trainer. *Runs* has the planned runs as files.",
        "Surrogates": "Fitting surrogates that predict losses from shares, and cross-validating them.",
        "Search": "Predicting the losses of a million mixtures, and averaging the best.",
        None: "Move the faders on *Explore*, compare mixtures on *Search*, download one on *Export*.",
    }[progress.current]


def answer(study: studies.Study) -> None:
    """The result of a finished study in one sentence and one bar; never a winner within noise."""
    if few := too_few(study):
        st.warning(few)
        return
    moment = moment_of(state.store(), study)
    show_moment(moment, "card")
    show_headline(moment, "card")
    if moment.search is None:
        return
    found, names = moment.search["found"], named_of(study)
    baseline, gap = next(iter(found["differences"].items()))
    shares = np.array([found["found"]["shares"], gap["baseline"]["shares"]])
    figure = mixture_charts.shares_bar([BEST_PREDICTED, baseline], names, shares)
    plot(figure, key=f"answer-{study.id}")


def describe(study: studies.Study) -> str:
    """A study's settings in one line."""
    if study.imported:
        files = " and ".join(plain(name) for name in study.imported["files"])
        return (
            f"{len(study.domains)} domains, {len(study.metrics)} metrics · {study.runs} runs imported from {files}"
            f"{spent(study)}"
        )
    if study.kind == "merge":
        return merge_card.describe(study)
    if study.external:
        size = study.spec["size"]
        each = f"{short_count(size['parameters'])} parameters and {short_count(size['tokens'])} tokens each"
        count = len(study.domains or study.spec["domains"])
        return f"{count} domains, {len(study.metrics)} metrics · {study.runs} runs by another trainer, {each}"
    fidelity = Fidelity.from_dict(study.spec["fidelity"])
    domains = f"{len(study.domains)} domains of " if study.domains else ""
    runs = ("" if study.roles else "up to ") + wording.planned_words(expected_roles(study))
    budget = f"{fidelity.tokens / 1e6:.2g} million tokens"
    return f"{domains}corpus {plain(study.spec['corpus'])} · {runs}, proxies of width {fidelity.width}, {budget} each"


def spent(study: studies.Study) -> str:
    """The cost of imported runs, as far as the file gives sizes and tokens."""
    counted, flops, tokens = runs.spent(state.store(), study.id)
    if not counted:
        return ""
    return f" · {counted} of them used {tokens / 1e6:,.1f} million tokens, about {flops:.2g} FLOPs (6 × size × tokens)"


def actions(study: studies.Study, progress: Progress, is_current: bool) -> None:
    """The buttons of a card."""
    store, allowed = state.store(), needs_role("operator")
    if not is_current and st.button("Select", key=f"select-{study.id}", icon=":material/check:"):
        st.session_state["next_study"] = study.id
        st.rerun()
    own = not study.elsewhere and study.kind != "merge"
    if (
        progress.finished
        and own
        and st.button("Change domains", key=f"change-{study.id}", icon=":material/call_split:", **allowed)
    ):
        change_domains(study)
    unfinished = not progress.finished
    if (
        study.state == "active"
        and unfinished
        and st.button("Cancel", key=f"cancel-{study.id}", icon=":material/stop_circle:", **allowed)
    ):
        act(study.id, lambda: lifecycle.cancel(store, study.id))
    pausable = study.state == "active" and unfinished
    if pausable and st.button("Pause", key=f"pause-{study.id}", icon=":material/pause_circle:", **allowed):
        act(study.id, lambda: lifecycle.pause(store, study.id))
    word = "Resume" if study.state in ("cancelled", "paused") else "Retry"
    can_resume = study.state != "active" or progress.failures
    if can_resume and st.button(word, key=f"resume-{study.id}", icon=":material/replay:", **allowed):
        act(study.id, lambda: lifecycle.resume(store, study.id))
    organise.menu(study)
