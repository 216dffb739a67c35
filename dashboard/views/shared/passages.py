"""A passage of the validation text of a study, chosen by its domain and drawn token by token."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from dashboard.components.passage import passage
from dashboard.server import state
from dashboard.views.shared.units import reading
from engine.core.short_names import short_names, told_apart
from engine.corpus.passages import pieces, places, tokens_of
from engine.spec.fidelity import Fidelity
from engine.studies.corpora import opened
from store import studies


@dataclass(frozen=True)
class Passage:
    """One of a corpus' passages: which, of whose validation text, and the text of each of its T + 1 tokens."""

    place: int
    domain: str
    words: list[str]


def ask_passage(study: studies.Study, domains: list[str]) -> Passage:
    """One of the passages of these domains. Raises Problem for a private corpus."""
    corpus = opened(state.store(), study.spec["corpus"])
    context = Fidelity.from_dict(study.spec["fidelity"]).context
    names = dict(zip(domains, short_names(domains), strict=True))
    found = places(corpus, domains, context)
    titles = told_apart({i: f"{names[domain]}, passage {i + 1}" for i, (domain, _) in enumerate(found)})
    chosen = st.selectbox("Passage", list(titles), format_func=titles.get, key=f"passage-{study.id}")
    words = pieces(corpus, tokens_of(corpus, [found[chosen]], context)[0])
    return Passage(chosen, found[chosen][0], words)


def draw_passage(words: list[str], bits: np.ndarray) -> str:
    """Draw the text of T + 1 tokens on grounds by their bits (T,); returns how hard it was, in words."""
    passage(words, bits.tolist(), key="passage")
    read = reading()
    return f"Darker tokens were harder: {read.words(bits.sum() / max(1, size_of(words)))} {read.unit} here."


def size_of(words: list[str]) -> int:
    """The bytes of all tokens but the first, which nothing predicts."""
    return len("".join(words[1:]).encode())
