"""Passages of validation text, every token tinted by its loss in the measured run that is nearest the faders."""

from pathlib import Path

import numpy as np
import streamlit as st

from dashboard.server import state
from dashboard.views.shared.passages import ask_passage, draw_passage
from dashboard.views.shared.text import plain
from engine.analysis.explain import support
from engine.corpus import passages as kept
from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit
from store import studies

NOTHING = (
    "Losses of single tokens are kept for the proxies that this machine trains, from this version on. None of this "
    "study's runs has them."
)


def passages(study: studies.Study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """One passage, as the run nearest the faders' mixture (D,) reads it."""
    if study.elsewhere:
        st.info("The runs of this study were trained elsewhere, so what they made of single tokens is not known.")
        return
    root = state.store().workspace.root
    there = [i for i, run in enumerate(fit.measured.ids) if kept.file_of(root, run).exists()]
    if not there:
        st.info(NOTHING)
        return
    chosen = ask_passage(study, study.domains)
    here, far = nearest(fit.measured.weights[there], at)
    run = fit.measured.ids[there[here]]
    hardness = draw_passage(chosen.words, bits_of(root, run, chosen.place))
    st.caption(
        f"{hardness} Measured by the run {plain(run)}, the nearest of {len(there)} to the faders: its mixture differs "
        f"in {far:.0%} of the tokens. Nothing is predicted for single tokens; as the faders move, the nearest run "
        "changes."
    )


def nearest(weights: np.ndarray, at: np.ndarray) -> tuple[int, float]:
    """Which of the mixtures (R, D) is nearest a point (D,), and the fraction of the tokens that differs."""
    found = support(at[None], weights)
    return int(found.nearest[0]), float(found.distance[0])


def bits_of(root: Path, run: str, place: int) -> np.ndarray:
    """Bits (T,) of the tokens of one passage, by one run."""
    return kept.load(kept.file_of(root, run))[1][place]
