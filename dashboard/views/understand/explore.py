"""Explore a mixture study: faders with live predictions; the charts below them are in details.py."""

import numpy as np
import streamlit as st

from dashboard.server import state
from dashboard.views.shared.faders import position
from dashboard.views.shared.headline import show_headline
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.predicted import compared
from dashboard.views.shared.refused import fragment
from dashboard.views.shared.sidebar import ask_moment
from dashboard.views.shared.size import best_at_size, fit_at_size
from dashboard.views.shared.study import named_of, study_of
from dashboard.views.shared.take_desk import take_desk
from dashboard.views.shared.target import Target, best_there, repetition, target_fader
from dashboard.views.shared.text import plain
from dashboard.views.understand.desk import controls, desk_beside_meters, key_of, legend, note_outside, start_of
from dashboard.views.understand.details import details
from dashboard.views.understand.text_form import text_form
from engine.space.baselines import epochs
from engine.spec.frame import Frame
from engine.studies.fits import Fit
from engine.studies.measured import frame_of_study
from engine.studies.points import named_points
from engine.studies.repeating import beyond, epochs_read
from engine.studies.targets import fit_at
from store import studies


def render(name: str | None) -> None:
    st.title("Explore")
    if (study := study_of(name)) is None:
        return
    moment = ask_moment(study)
    study, fit, aggregate = moment.study, moment.fit, moment.aggregate
    if fit is None:
        return
    show_moment(moment, "explore")
    show_headline(moment, "explore")
    points = named_points(moment)

    @fragment
    def desk_and_predictions():
        giver, reference = controls(study, points)
        at = position(study, key_of(study), start_of(study, points))
        mixture = np.array(at.values) / sum(at.values)
        top, below = st.container(key="mixdesk-top"), st.container()  # filled when the real run is known
        frame = frame_of_study(study)
        target = target_fader(study, frame)
        repetition(study, frame, named_of(study), mixture, target, aggregate)
        note_beyond(study, frame, fit, mixture, target)
        text_form(study, frame, named_of(study), target)
        sized = target.size and fit_at_size(study, fit, target.size)
        there = sized or fit_at(study, frame, fit, target.tokens)
        elsewhere = sized.surrogate.beyond if sized else there is not fit
        with top:
            one = compared(there, aggregate, mixture, (reference, points[reference]), elsewhere)
            desk_beside_meters(moment, there, at, one, giver)
        with below:
            note_outside(study, frame, mixture)
            legend(moment, there, one, elsewhere)
        if sized:
            best_at_size(study, named_of(study), sized, aggregate, target.size, target.tokens)
        else:
            best_there(study, frame, named_of(study), (fit, there), aggregate, target)
        with st.container(horizontal=True):
            nominate(study, {"the faders": mixture}, "explore", fit.name, aggregate)
            take_desk(study, fit.name, aggregate)
        details(study, there, aggregate, mixture, giver, target.tokens)

    desk_and_predictions()


def note_beyond(study: studies.Study, frame: Frame, fit: Fit, at: np.ndarray, target: Target) -> None:
    """Which domains the faders' mixture (D,) reads more often than any run did, where that moves the prediction."""
    if not fit.surrogate.sees_repetition or frame.pools is None or not frame.budget:
        return
    there = epochs(at, frame.pools.tokens, target.tokens)
    if warning := beyond(named_of(study).coordinates, there, epochs_read(state.store(), study, frame)):
        st.caption(f":material/explore: {plain(warning)}")
