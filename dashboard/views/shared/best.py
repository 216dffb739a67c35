"""The best mixture for a target, worked out once: moving a domain's fader asks for it again and again."""

import streamlit as st

from engine.spec.frame import Frame
from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit
from engine.studies.targets import best_at
from engine.surrogates.prediction import Prediction
from store import studies


def text_of(study: studies.Study) -> str:
    """What a frame depends on, beside the target: the study's settings, text and prior. For the keys of caches."""
    return repr((study.corpus, study.imported and study.imported.get("prior"), study.spec))


def best_for(
    study: studies.Study, frame: Frame, fit: Fit, aggregate: Aggregate, runs: str, place: tuple[float | None, ...]
) -> Prediction:
    """`best_at`, once for the same runs (by their fingerprint), surrogate, text, priorities and place: the tokens of
    the target, and where it has one its size."""
    key = (study.id, text_of(study), runs, fit.name, place, tuple(aggregate.weights.tolist()))
    return _best(frame, fit, aggregate, key)


@st.cache_data(max_entries=64, show_spinner=False)
def _best(_frame: Frame, _fit: Fit, _aggregate: Aggregate, key: tuple) -> Prediction:
    """Streamlit knows an answer by `key` alone."""
    return best_at(_frame, _fit, _aggregate)
