"""Merges measured while a fader moves: asked for, waited for, and what they make of a passage."""

from dataclasses import replace

import streamlit as st

from dashboard.server import state
from dashboard.views.merges.desk import Setting, draw_again
from dashboard.views.shared.passages import Passage, ask_passage, draw_passage
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.spec.study import StudySpec
from engine.spec.tasks import Merging
from engine.studies.corpora import opened
from engine.studies.merges import questions
from engine.studies.merges.live import Measured
from store import studies

POLL_SECONDS = 0.1  # per check for the measurement: a fader that moves meanwhile is heard in between
POLLS = 120
SAMPLE_SECONDS = 5.0
QUALITY = 1.5  # bits per byte: about where words hold together
Live = Measured | Problem  # a merge's losses, or why it has none


def can_measure_live(study: studies.Study) -> bool:
    """Whether merges of this study are measured while a fader moves: only those of proxies."""
    return study.spec["fidelity"] is not None


def task_at(study: studies.Study, setting: Setting) -> Merging:
    """The study's merges, by the method at the faders."""
    task = questions.task_of(study, StudySpec.from_dict(study.spec))
    return replace(task, merge=setting.merge.to_dict(), names=setting.names)


def measured_now(study: studies.Study, setting: Setting, patience: float) -> Live | None:
    """The measurement of this merge, why it cannot be measured, or None while neither is known."""
    if not can_measure_live(study):
        return None
    tokens = StudySpec.from_dict(study.spec).fidelity.eval_tokens
    try:
        return state.live().measure(task_at(study, setting), setting.point, tokens, patience)
    except Problem as problem:
        if setting.messages is not None:
            setting.messages.error(plain(problem), icon=":material/error:")
        return problem


def wait_for(study: studies.Study, setting: Setting) -> None:
    """Wait for the measurement, then draw it; faders that move meanwhile are heard."""
    if not can_measure_live(study):
        return
    place = st.empty()
    for _ in range(POLLS):
        place.caption("Measuring this merge…")
        found = measured_now(study, setting, POLL_SECONDS)
        if isinstance(found, Problem):
            place.caption(f":material/info: {plain(found)}")
            return
        if found is not None:
            draw_again()
    with place.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "This measurement is taking longer than usual because the cores are busy. It continues in the background."
        )
        st.button("Check again", icon=":material/refresh:", key="check-again")


def passages(study: studies.Study, setting: Setting, live: Live | None) -> None:
    """A passage of the validation text, as the merge at the faders reads it."""
    if not can_measure_live(study):
        st.info("Passages are tinted by merges that are measured while a fader moves. Large models are not.")
        return
    chosen = ask_passage(study, list(study.corpus["domains"]))
    if isinstance(live, Problem):
        st.info(plain(live))
    elif live is None:
        st.caption("Measuring this merge; the passage is tinted in a moment.")
    else:
        hardness = draw_passage(chosen.words, live.passages[chosen.place].astype(float))
        st.caption(f"{hardness} Measured, not predicted: by the merge at the faders, again whenever they move.")
        sampled(study, setting, chosen, live)


def sampled(study: studies.Study, setting: Setting, passage: Passage, live: Measured) -> None:
    """How the merge at the faders goes on after the first half of a passage, if it is good enough for that to say
    anything."""
    place = [one.domain for one in study.objectives].index(passage.domain)
    loss, read = live.losses[place], reading()
    if loss > QUALITY:
        st.caption(
            "A merge continues the text only where its loss on the domain is at most "
            f"{read.words(QUALITY)} {read.unit}: what worse models write is noise. This one has {read.words(loss)}."
        )
        return
    where = (passage.place, setting.point.tolist())
    seed, last = st.session_state.get(f"sampled-{study.id}", (0, None))
    if st.button("Continue the text", icon=":material/edit:", key=f"write-{study.id}"):
        seed, last = st.session_state[f"sampled-{study.id}"] = seed + 1, where
    if where != last:
        return
    tokens = state.live().sample(task_at(study, setting), setting.point, passage.place, seed, SAMPLE_SECONDS)
    if tokens is None:
        st.caption("The cores are busy. Press the button again in a moment.")
        return
    st.text(opened(state.store(), study.spec["corpus"]).decode(tokens))
    st.caption(f"After the first half of the passage, by this merge: drawn from its predictions, draw {seed}.")
