"""How messages show a value: short, whatever it is, and a number that is too large for 64 bits as it was written."""

import math
import re
from typing import Any

LONGEST = 80  # characters of a value in a message
DIGITS = 300  # of a whole number: more are beyond the largest float
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I)
BITS = 2**64
MOST = 2000  # characters of a whole message
LONG = 200  # of one value in it: a name
PATH = 700  # of a path in it, which is shown whole: two of them leave room for the sentence
END = 300  # of a longer one that are shown on both sides
NAME = 255  # of one part of a path, as systems allow
FOLDERS = 2  # fewer slashes stand in text, too
# A value in a message: in quotes, or without a blank. An apostrophe within a word begins none.
QUOTED = rf"'(?:[^'\\]|\\.){{{LONG},}}'|\"(?:[^\"\\]|\\.){{{LONG},}}\""
VALUE = re.compile(rf"(?<!\w)(?:{QUOTED})(?!\w)|(?<!\S)\S{{{2 * LONG},}}", re.S)
TOO_LARGE = "too large for a number of 64 bits"


class Huge(float):
    """An infinity that keeps the text of the number that it was: 1e400. Messages show that text, and why it is none."""

    text: str

    def __new__(cls, text: str) -> "Huge":
        made = super().__new__(cls, -math.inf if text.lstrip().startswith("-") else math.inf)
        made.text = text
        return made

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # of a copy
        return (self.text,)

    def __repr__(self) -> str:
        return f"{short(self.text)} ({TOO_LARGE})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)


def number(text: str) -> float:
    """What a number's text is, for readers of JSON and TOML. Raises ValueError for what is none."""
    found = float(text)
    return Huge(text) if is_huge(text, found) else found


def whole(text: str) -> float:
    """The same of a whole number."""
    return int(text) if len(text) <= DIGITS else Huge(text)


READS: Any = {"parse_float": number, "parse_int": whole}  # for json.loads


def is_huge(text: str, found: float) -> bool:
    """Whether a text is of a number that became an infinity."""
    return math.isinf(found) and "n" not in text.lower()


def huge_text(value: object) -> str | None:
    """The text of a number that is too large for a float, also where it is a text; None for all else."""
    if isinstance(value, Huge):
        return short(value.text)
    if isinstance(value, str) and NUMBER.fullmatch(text := value.strip()) and math.isinf(float(text)):
        return short(text)
    return None


def huge_in(value: object) -> Huge | None:
    """The first such number in lists and tables, None where there is none."""
    if isinstance(value, dict | list | tuple):
        inside = value.values() if isinstance(value, dict) else value
        return next((found for one in inside if (found := huge_in(one)) is not None), None)
    return value if isinstance(value, Huge) else None


def short(text: str) -> str:
    """A text as a message shows it: its first characters, and how many there are, where it is long; of a path also its
    last ones, as people copy it, and several begin alike."""
    if len(text) <= LONGEST or (len(text) <= PATH and is_path(text)):
        return text
    begins, ends = (text[:END], text[-END:]) if is_path(text) else (text[:LONGEST], "")
    return f"{begins}...{ends} ({len(text):,} characters)"


def is_path(text: str) -> bool:
    """Whether a text is a path or an address of several folders, in quotes or not."""
    inner = text[1:-1] if text[:1] in ("'", '"') else text
    parts = inner.split("/")
    return len(parts) > FOLDERS and max(map(len, parts)) <= NAME and not any(one in inner for one in "'\"\n")


def bounded(message: str) -> str:
    """A message in which no value is long, and that is none itself, whatever was quoted in it: it keeps its end, where
    the cure stands."""
    if len(message) <= LONG:
        return message
    message = VALUE.sub(lambda found: short(found[0]), message)
    if len(message) <= MOST:
        return message
    left = len(message) - MOST + 200
    return f"{message[: MOST - 800]} ... ({left:,} characters left out) ... {message[-600:]}"


def shown(value: object) -> str:
    """A value as a message shows it: not longer than a line."""
    if isinstance(value, str):
        if len(value) <= LONGEST or is_path(value):
            return short(repr(value))
        return f"{value[:LONGEST]!r}... ({len(value):,} characters)"
    if isinstance(value, int) and not -BITS < value < BITS:
        digits = int(value.bit_length() * math.log10(2)) + 1
        # Python tells no more than 4,300 of them.
        text = short(str(value)) if digits < MOST else f"a whole number of about {digits:,} digits"
        return f"{text} ({TOO_LARGE})"
    return repr(value) if isinstance(value, Huge) else short(repr(value))


def storable(text: str) -> str:
    """Text without what no UTF-8 can hold: halves of surrogate pairs are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
