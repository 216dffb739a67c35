"""Passages of validation text, every token tinted by its loss in the measured run that is nearest the faders."""

from pathlib import Path

import numpy as np
import streamlit as st

from dashboard.components.passage import passage
from dashboard.models import wording
from dashboard.server import state
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from engine.core.short_names import told_apart
from engine.corpus import passages as kept
from engine.corpus import shelf
from engine.corpus.passages import pieces, places, tokens_of
from engine.spec.fidelity import Fidelity
from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit
from store import studies

NOTHING = (
    "Losses of single tokens are kept for the proxies that this machine trains, from this version on. None of this "
    "study's runs has them."
)


def passages(study: studies.Study, fit: Fit, aggregate: Aggregate, at: np.ndarray, giver: int | None) -> None:
    """One passage, as the run nearest the faders' mixture (D,) reads it."""
    if study.imported:
        st.info("The runs of this study were imported, so what they made of single tokens is not known.")
        return
    root = state.store().workspace.root
    there = [i for i, run in enumerate(fit.measured.ids) if kept.file_of(root, run).exists()]
    if not there:
        st.info(NOTHING)
        return
    corpus = shelf.load(state.store().workspace.corpus(study.spec["corpus"]))
    context = Fidelity.from_dict(study.spec["fidelity"]).context
    names = dict(zip(study.domains, named_of(study).domains, strict=True))
    found = places(corpus, study.domains, context)
    titles = told_apart({i: f"{names[domain]}, passage {i + 1}" for i, (domain, _) in enumerate(found)})
    chosen = st.selectbox("Passage", list(titles), format_func=titles.get, key=f"passage-{study.id}")
    words = pieces(corpus, tokens_of(corpus, [found[chosen]], context)[0])
    weights = fit.measured.weights[there]
    here, far = nearest(weights, at)
    run = fit.measured.ids[there[here]]
    bits = bits_of(root, run, chosen)
    passage(words, bits.tolist(), key="passage")
    hardness = wording.number(bits.sum() / max(1, size_of(words)))
    st.caption(
        f"Darker tokens were harder: {hardness} bits per byte here. Measured by the run {plain(run)}, the nearest of "
        f"{len(there)} to the faders: its mixture differs in {far:.0%} of the tokens. Nothing is predicted for single "
        "tokens; as the faders move, the nearest run changes."
    )


def nearest(weights: np.ndarray, at: np.ndarray) -> tuple[int, float]:
    """Which of the mixtures (R, D) is nearest a point (D,), and the share of the tokens that differs."""
    distances = np.abs(weights - at).sum(axis=1) / 2
    return int(distances.argmin()), float(distances.min())


def bits_of(root: Path, run: str, place: int) -> np.ndarray:
    """Bits (T,) of the tokens of one passage, by one run."""
    return kept.load(kept.file_of(root, run))[1][place]


def size_of(words: list[str]) -> int:
    """The bytes of all tokens but the first, which nothing predicts."""
    return len("".join(words[1:]).encode())
