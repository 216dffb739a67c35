"""Studies: the list with states and progress, and what can be done with each."""

import numpy as np
import streamlit as st

from dashboard import components
from dashboard.charts import mixtures as charts
from dashboard.models import progress as queries
from dashboard.server import state
from dashboard.views.measure.new_study import new_study
from dashboard.views.merges import card as merge_card
from dashboard.views.merges.new import new_merge
from dashboard.views.shared import study as parts
from dashboard.views.understand import changing
from dashboard.views.understand.search import aggregate_in
from engine.league import FEWEST_RUNS
from engine.spec.fidelity import Fidelity
from engine.studies import lifecycle
from store import runs, searches, studies

SHOWN = 6  # cards at first: a hundred of them take two seconds
INTRODUCTION = (
    "Mixdesk answers one question: **which mixture of text domains gives a language model the lowest loss?** "
    "It trains many small proxy models, each on another mixture, learns from them how every domain moves every "
    "loss, and lets you turn the faders and see what would become of each loss, and how sure that is. **New merge** "
    "asks the same of experts: which coefficients?"
)


def render(current: str | None) -> None:
    head, merge, button = st.columns([4, 1, 1], vertical_alignment="bottom")
    head.title("Studies")
    wanted = {"type": "primary", "icon": ":material/add:", "width": "stretch"}
    if button.button("New study", **wanted, **parts.takes("operator")):
        new_study()
    if merge.button("New merge", icon=":material/merge:", width="stretch"):
        new_merge()
    st.markdown(INTRODUCTION + " Runs that were trained elsewhere come in on the page *Import*.")
    found = studies.all_studies(state.store())
    if not found:
        st.info("No study yet. **New study** starts one on text that is already on this machine.")
    parts.live(lambda: all_cards(current))
    if lines := runs.corrupt_lines(state.store()):
        with st.expander(f"{len(lines)} journal lines could not be read and were set aside", icon=":material/report:"):
            for journal, offset, text in lines[:50]:
                st.text(f"{journal}, byte {offset}: {text[:300]}")


def all_cards(current: str | None) -> None:
    found = studies.all_studies(state.store())
    found.sort(key=lambda study: study.id != current)  # the current one first, the others as they were
    shown = st.session_state.setdefault("studies-shown", SHOWN)
    for study in found[:shown]:
        card(study, study.id == current)
    if len(found) > shown:
        st.caption(f"{shown} of {len(found)} studies are shown; the sidebar chooses among all of them.")
        st.button(f"Show {SHOWN} more", icon=":material/expand_more:", on_click=show_more)


def show_more() -> None:
    st.session_state["studies-shown"] += SHOWN


def card(study: studies.Study, is_current: bool) -> None:
    """One study: what it is, how far it is, what can be done with it."""
    progress = queries.progress(state.store(), study)
    with st.container(border=True, key=f"card-{study.id}"):
        head, buttons = st.columns([4, 2], vertical_alignment="center")
        with head:
            st.subheader(parts.plain(study.name), anchor=False)
            st.caption(describe(study))
        with buttons.container(horizontal=True, horizontal_alignment="right"):
            actions(study, progress, is_current)
        for note in (study.imported or {}).get("notes", ()):
            st.caption(f":material/info: {parts.plain(note)}")
        parts.stages(progress)
        st.markdown(happening(study, progress))
        if progress.finished:
            (merge_card.answer if study.spec.get("merge") else answer)(study)
        if study.state == "paused":
            st.warning("Paused. Its jobs wait at their checkpoints; **Resume** goes on with them.")
        elif study.state == "cancelled":
            st.warning("Cancelled. What was measured is kept; **Resume** goes on where it stopped.")
        elif words := parts.expected(progress):
            st.caption(f":material/hourglass_top: {words}")
        for message in dict.fromkeys([*progress.failures, *filter(None, [study.message])]):
            parts.refusal(message)


def happening(study: studies.Study, progress: queries.Progress) -> str:
    """What is going on, in a few words for somebody who sees it for the first time."""
    if study.spec.get("merge") and study.state != "failed":
        return merge_card.happening(progress)
    running = next((stage.name for stage in progress.stages if stage.state != "done"), None)
    if study.state != "active" or progress.failures:
        return ""
    if study.imported and study.done < FEWEST_RUNS:
        return f"Nothing can be fitted to so few runs: {FEWEST_RUNS} are the fewest."
    if running == "Corpus" and study.spec["corpus"] == "default":
        return (
            "Collecting text that is already on this machine, from the installed packages: documentation, Python, C++, "
            "JavaScript, mathematics, and **junk**, a control that a good mixture must refuse."
        )
    return {
        "Corpus": "Reading the text of each domain, dropping duplicates, cutting it into token shards.",
        "Proxies": "Training small models, each on another mixture. The page Runs shows them as they learn.",
        "Surrogates": "Learning from the runs how shares move losses, and which method to trust on them.",
        "Search": "Predicting the losses of a million mixtures, and averaging the best.",
        None: "Turn the faders on the page Explore; compare mixtures on Search; take one with you on Export.",
    }[running]


def answer(study: studies.Study) -> None:
    """The answer of a finished study, in one line and one bar, never a winner inside the noise."""
    latest = searches.of_study(state.store(), study.id)[0]
    found, whole, names = latest["found"], aggregate_in(study, latest), parts.named_of(study)
    baseline, gap = next(iter(found["differences"].items()))
    better = "**better** than" if gap["aggregate"] < 0 else "worse than"
    words = "**inside the noise** of" if gap["inside_noise"] else better
    if few := parts.too_few(study):
        st.warning(few)
        words = "predicted, from too few runs to claim anything, against"
    size = f"{parts.number(whole.sign * gap['aggregate'], '+')} ± {parts.number(1.96 * gap['aggregate_std'])}"
    st.markdown(
        f"The best mixture found is {words} {parts.the(baseline)}: {size} {parts.plain(whole.unit)} predicted (95%), "
        f"from {study.done} runs."
    )
    shares = np.array([found["found"]["shares"], gap["baseline"]["shares"]])
    figure = charts.shares_bar(["best found", baseline], names.domains, names.colours, shares)
    components.plot(figure, key=f"answer-{study.id}")


def describe(study: studies.Study) -> str:
    """A study's settings in one line."""
    if study.imported:
        files = " and ".join(parts.plain(name) for name in study.imported["files"])
        return (
            f"{len(study.domains)} domains, {len(study.metrics)} metrics · {study.runs} runs imported from {files}"
            f"{spent(study)}"
        )
    if study.spec.get("merge"):
        return merge_card.describe(study)
    fidelity = Fidelity.from_dict(study.spec["fidelity"])
    domains = f"{len(study.domains)} domains of " if study.domains else ""
    runs = study.runs or study.spec["runs"]
    budget = f"{fidelity.tokens / 1e6:.2g} million tokens"
    return f"{domains}corpus {study.spec['corpus']} · {runs} proxies of width {fidelity.width}, {budget} each"


def spent(study: studies.Study) -> str:
    """What imported runs have cost, where the file tells their sizes and tokens."""
    counted, flops, tokens = runs.spent(state.store(), study.id)
    if not counted:
        return ""
    return f" · {counted} of them took {tokens / 1e6:,.1f} million tokens, about {flops:.2g} FLOPs (6 x size x tokens)"


def actions(study: studies.Study, progress: queries.Progress, is_current: bool) -> None:
    """The buttons of a card."""
    store, may = state.store(), parts.takes("operator")
    if not is_current and st.button("Select", key=f"select-{study.id}", icon=":material/check:"):
        st.session_state["next_study"] = study.id
        st.rerun()
    own = not study.imported and not study.spec.get("merge")
    if (
        progress.finished
        and own
        and st.button("Change domains", key=f"change-{study.id}", icon=":material/call_split:", **may)
    ):
        changing.change_domains(study)
    unfinished = not progress.finished
    if (
        study.state == "active"
        and unfinished
        and st.button("Cancel", key=f"cancel-{study.id}", icon=":material/stop_circle:", **may)
    ):
        lifecycle.cancel(store, study.id)
        st.rerun()
    pausable = study.state == "active" and unfinished
    if pausable and st.button("Pause", key=f"pause-{study.id}", icon=":material/pause_circle:", **may):
        lifecycle.pause(store, study.id)
        st.rerun()
    word = "Resume" if study.state in ("cancelled", "paused") else "Retry"
    can_resume = study.state != "active" or progress.failures
    if can_resume and st.button(word, key=f"resume-{study.id}", icon=":material/replay:", **may):
        lifecycle.resume(store, study.id)
        st.rerun()
