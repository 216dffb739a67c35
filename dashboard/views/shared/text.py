"""Text on a page: as people typed it, refusals, durations, times, names of baselines."""

import re
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from dashboard.models.wording import moment


def plain(text: object) -> str:
    """Text as it was typed: Streamlit would read it as Markdown, and make links of web addresses.

    These are broken by a character that shows as nothing: no escape of Markdown keeps it from becoming a link.
    """
    apart = re.sub(r"(://|www)(?=\S)", "\\1\u2060", str(text), flags=re.IGNORECASE)
    return re.sub(r"([\\`*_{}\[\]()#+!|~$:<>-])", r"\\\1", apart)


def named_as(text: str) -> str:
    """A name inside a sentence, as it was typed; marks that change the direction of writing end with it."""
    return f"\u2068{plain(text)}\u2069"


def zone() -> tzinfo:
    """The time zone of the browser that looks; UTC where it does not tell one that this machine knows."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def local(t: float) -> str:
    """A time, in seconds since 1970, in the zone of whoever looks."""
    return moment(t, zone())


def refusal(problem: object) -> None:
    """Show why something was refused."""
    st.error(plain(problem), icon=":material/error:")


def duration(seconds: float) -> str:
    """A duration in seconds as people say it."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5):.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def baseline_phrase(baseline: str) -> str:
    """A baseline as it is called within a sentence."""
    if baseline in ("natural", "uniform", "unimax"):
        return f"the {baseline} mixture"
    return baseline if baseline.endswith(" alone") or baseline.startswith("task arithmetic") else f"the {baseline}"
