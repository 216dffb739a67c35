"""Merges measured while a fader moves: asked for, waited for, and what they make of a passage."""

from dataclasses import replace

import streamlit as st

from dashboard.server import state
from dashboard.views.merges.desk import Setting, draw_again
from dashboard.views.shared.passages import ask_passage, draw_passage
from dashboard.views.shared.text import plain
from engine.core.errors import Problem
from engine.spec.study import StudySpec
from engine.studies.merges import questions as asking
from engine.studies.merges.live import Measured
from store import studies

POLL_SECONDS = 0.1  # per check for the measurement: a fader that moves meanwhile is heard in between
POLLS = 120
Live = Measured | Problem  # a merge's losses, or why it has none


def can_measure_live(study: studies.Study) -> bool:
    """Whether merges of this study are measured while a fader moves: only those of proxies."""
    return study.spec["fidelity"] is not None


def measured_now(study: studies.Study, setting: Setting, patience: float) -> Live | None:
    """The measurement of this merge, why it cannot be measured, or None while neither is known."""
    if not can_measure_live(study):
        return None
    spec = StudySpec.from_dict(study.spec)
    task = replace(asking.task_of(study, spec), merge=setting.merge.to_dict(), names=setting.names)
    try:
        return state.live().measure(task, setting.point, spec.fidelity.eval_tokens, patience)
    except Problem as problem:
        if setting.told is not None:
            setting.told.error(plain(problem), icon=":material/error:")
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


def passages(study: studies.Study, live: Live | None) -> None:
    """A passage of the validation text, as the merge at the faders reads it."""
    if not can_measure_live(study):
        st.info("Passages are tinted by merges that are measured while a fader moves. Large models are not.")
        return
    chosen, words = ask_passage(study, list(study.corpus["domains"]))
    if isinstance(live, Problem):
        st.info(plain(live))
    elif live is None:
        st.caption("Measuring this merge; the passage is tinted in a moment.")
    else:
        hardness = draw_passage(words, live.passages[chosen].astype(float))
        st.caption(f"{hardness} Measured, not predicted: by the merge at the faders, again whenever they move.")
