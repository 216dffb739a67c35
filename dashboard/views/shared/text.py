"""Text on a page: as people typed it, refusals, durations, times, names of baselines."""

import re
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from dashboard.models.wording import moment

JOINER = "\u2060"  # shows as nothing, and parts what it stands in
# What becomes a link, an icon or another sign whatever is escaped: web addresses, e-mails, :names:, arrows.
MADE_OF_TEXT = re.compile(
    r"(?P<address>://|www(?=\S)|(?<=\S)@(?=\S))|(?P<name>:(?=[\w+-]+:))|(?<!\S)(?P<sign><->|->|<-|--|>=|<=|~=)(?!\S)",
    re.IGNORECASE,
)
MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~$:<>&-])")
AT_THE_START = re.compile(r"^([ \t]*)(?:(\d+)\.(?=\s|$)|(=+[ \t]*$))", re.MULTILINE)  # a list, a heading
INDENT = re.compile(r"^[ \t]+", re.MULTILINE)


def plain(text: object) -> str:
    """Text as it was typed: Streamlit would read it as Markdown, and make links of web addresses and e-mails.

    What no escape of Markdown keeps from becoming something else is parted by a character that shows as nothing.
    """
    apart = MADE_OF_TEXT.sub(
        lambda found: found[0][0] + JOINER + found[0][1:] if found["sign"] else found[0] + JOINER, str(text)
    )
    escaped = AT_THE_START.sub(starting, MARKS.sub(r"\\\1", apart))
    return INDENT.sub(lambda found: "\u00a0" * len(found[0]), escaped)


def starting(found: re.Match[str]) -> str:
    """The beginning of a line that would be a list's or a heading's, so that it is text."""
    return found[1] + (f"{found[2]}\\." if found[2] else f"\\{found[3]}")


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


def facts(rows: dict[str, str]) -> None:
    """What numbers are and where they come from: a table of two columns, whose texts wrap."""
    st.table({"number": [*map(plain, rows)], "from": [*map(plain, rows.values())]}, hide_index=True)


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
