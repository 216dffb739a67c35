"""Words on a page: people's text as it is written, refusals, durations, names of baselines."""

import re

import streamlit as st


def plain(text: object) -> str:
    """People's words and paths as they are written: Streamlit reads its texts as Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~$:<>-])", r"\\\1", str(text))


def named_as(text: str) -> str:
    """A name inside a sentence: as it is written, and marks that turn the direction of writing end with it."""
    return f"\u2068{plain(text)}\u2069"


def refusal(problem: object) -> None:
    """Show why something cannot be done."""
    st.error(plain(problem), icon=":material/error:")


def duration(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5):.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def baseline_phrase(baseline: str) -> str:
    """A baseline as a sentence names it."""
    return f"the {baseline} mixture" if baseline in ("natural", "uniform", "unimax") else f"the {baseline}"
