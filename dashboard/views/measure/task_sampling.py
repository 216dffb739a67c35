"""In the form of a new task: how models write answers, how many are drawn, and what scores them."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard.server import state
from engine.core.short_names import told_apart
from engine.metrics.verifiers import VERIFIERS, programs_in
from engine.tasks.task import MOST_SAMPLES, MOST_TOKENS, TEMPERATURES, WRITTEN, Sampling

LINES = {"\n": "the end of a line", "\n\n": "a blank line"}  # what cannot be typed into a field


def ask_sampling(metrics: Sequence[str], usual: Sampling) -> dict[str, Any]:
    """The settings of answers that models write, where a metric asks for such; usual: as the items have them."""
    if not WRITTEN & {*metrics}:
        return {}
    found: dict[str, Any] = {}
    left, middle, right = st.columns(3)
    said = "After so many tokens an answer is cut, or at a text that ends it."
    found["most_tokens"] = int(left.number_input("Tokens of an answer", 1, MOST_TOKENS, usual.most_tokens, help=said))
    found["stop"] = ask_stops(usual)
    if "best_of_n" not in metrics:
        return found
    found["samples"] = int(middle.number_input("Answers drawn (n)", 1, MOST_SAMPLES, usual.samples))
    low, high = TEMPERATURES
    found["temperature"] = right.number_input("Temperature", low, high, usual.temperature, 0.1)
    return found | {"verifier": ask_verifier(usual)}


def ask_stops(usual: Sampling) -> list[str]:
    """The texts that end an answer: ends of lines, and what is typed in."""
    titles = [LINES.get(text, text) for text in usual.stop]
    ends = list(dict.fromkeys([*LINES.values(), *titles]))
    found: list[str] = st.multiselect(
        "Texts that end an answer",
        ends,
        default=titles,
        accept_new_options=True,
        placeholder="none: choose, or type one",
        help="What a model writes is read up to the first of them. None: as many tokens as an answer may have.",
    )
    texts = {title: text for text, title in LINES.items()}
    return [texts.get(title, title) for title in found]


def ask_verifier(usual: Sampling) -> str:
    """What scores a drawn answer: a rule of ours, or a program that stands in the workspace already."""
    programs = [name for name in programs_in(state.store().workspace.root) if name not in VERIFIERS]
    verifiers = [*VERIFIERS, *programs]
    start = verifiers.index(usual.verifier) if usual.verifier in verifiers else 0
    titles = told_apart(
        {name: name.replace("_", " ") if name in VERIFIERS else f"{name} (program)" for name in verifiers}
    )
    found: str = st.selectbox(
        "Scored by the verifier",
        verifiers,
        start,
        format_func=titles.get,
        help="A rule, or a reward program in the folder verifiers/ of the workspace. It runs on the server, within "
        "limits of time, memory and output; only whoever has that folder can put one there, and only an operator can "
        "choose it.",
    )
    return found
