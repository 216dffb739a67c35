"""Texts of settings that people write: bounded before they are parsed, so that no few kilobytes take minutes."""

import re
import tomllib
from pathlib import Path
from typing import Any

from engine.core.shown import DIGITS, TOO_LARGE, number, short

LARGEST = 4 << 20  # bytes; studies, constraints and merges of every tensor of 64 experts are shorter
PARTS = 16  # of a dotted key; a study's have three
LONG_NUMBER = re.compile(rf"(?<![\w.])[+-]?\d[\d_]{{{DIGITS},}}(?![\w.])")
# Strings and comments, which may hold any number of dots; one without an end goes on to the end of its line or text.
BESIDE_KEYS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)|\'\'\'(?:[^\']|\'(?!\'\'))*+(?:\'\'\'|\Z)'
    r'|"(?:[^"\\\n]|\\.)*+"?|\'[^\'\n]*+\'?|#[^\n]*+',
    re.DOTALL,
)


def text_of(path: Path) -> str:
    """The text of a file or pipe. Raises OSError as `open` does, and ValueError for what is larger than LARGEST, or no
    text."""
    with open(path, "rb") as file:
        found = file.read(LARGEST + 1)
    if len(found) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST:,} bytes")
    return found.decode()


def toml(text: str) -> dict[str, Any]:
    """What a TOML text holds. Raises ValueError for what is no TOML, for keys of more than PARTS parts, as a reader
    takes the square of their number, and for whole numbers of hundreds of digits."""
    bare = BESIDE_KEYS.sub(lambda found: "" if found[0][0] == "#" else "x", text).replace(" ", "").replace("\t", "")
    if (most := max((one.count(".") for one in re.findall(r"[\w.-]+", bare)), default=0)) >= PARTS:
        raise ValueError(f"a key has {most + 1:,} parts, and at most {PARTS} are read")
    if found := LONG_NUMBER.search(bare):
        raise ValueError(f"{short(found[0])} is {TOO_LARGE}")
    return tomllib.loads(text, parse_float=number)
