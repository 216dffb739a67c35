"""A task from a file: BIG-bench's JSON, JSON lines, or a JSON list, by what the file holds. UTF-8, UTF-16 or UTF-32."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.core.checks import once_each
from engine.core.errors import Problem
from engine.core.files import open_regular
from engine.core.shown import READS
from engine.core.system import UNREADABLE, read_fault
from engine.corpus.readers import other_kind
from engine.corpus.streams import BEGIN
from engine.tasks import bigbench, lines
from engine.tasks.task import EvalTask

LARGEST = 64 << 20  # bytes of a file
TOLD = 1000  # bytes or characters of a file that tell what it is
BLANK, ENDS = re.compile(r"[ \t\r\n]*"), re.compile(r"\r\n|\r|\n")
ENCODED = "Give JSON or JSON lines, in UTF-8."
CURE = "Give JSON, or an object for each item on a line of its own; of a table, make an object of each row."


def from_file(path: Path, name: str) -> EvalTask:
    """Raises Problem for a file that cannot be read, or holds no items."""
    try:
        with open_regular(path) as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise Problem(f"Cannot read the task {path}: {read_fault(error, 'Give a file of items.')}") from error
    return from_bytes(data, name)


def from_bytes(data: bytes, name: str) -> EvalTask:
    """A task of the bytes of a file."""
    if len(data) > LARGEST:
        raise Problem(f"Cannot read the task {name!r}: it has more than {LARGEST >> 20} MB. Give fewer items.")
    value = parsed(data, name)
    if isinstance(value, dict) and "examples" in value:
        return bigbench.read(value, name)
    rows = value.get("items", value.get("data")) if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise Problem(
            f"Cannot read the task {name!r}: it is neither BIG-bench's JSON (with examples), nor a list of items, nor "
            "one item per line."
        )
    return lines.read(rows, name)


def parsed(data: bytes, name: str) -> Any:
    """What JSON, JSON lines, or JSON values one after another hold. Raises Problem with the line at fault."""
    said = f"Cannot read the task {name!r}:"
    packed = next((f"packed ({ending})" for begin, ending in BEGIN.items() if data.startswith(begin)), "")
    if what := packed or other_kind(data[:TOLD]):
        raise Problem(f"{said} it is {what}. {CURE}")
    try:
        text = data.decode(json.detect_encoding(data))
        values = list(_values(text, name))
    except UNREADABLE as error:
        raise Problem(f"{said} {read_fault(error, ENCODED)}") from error
    (whole,) = values if len(values) == 1 else (None,)
    whole_file = isinstance(whole, list) or (
        isinstance(whole, dict) and bool({"examples", "items", "data"} & set(whole))
    )
    return whole if whole_file else values


def _values(text: str, name: str) -> Iterator[Any]:
    """The JSON values of a text. Raises Problem for a field that is there twice, and where what follows is no JSON."""
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: once_each(pairs, f"the task {name!r}"), **READS)
    at = BLANK.match(text, 0).end()  # type: ignore[union-attr]  # it matches nothing, too
    begins = at
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            raise Problem(f"Cannot read the task {name!r}: {_no_json(text, at, at == begins)}") from None
        yield value
        at = BLANK.match(text, end).end()  # type: ignore[union-attr]


def _no_json(text: str, at: int, first: bool) -> str:
    """What is wrong with a text that is no JSON from a place on; first: nothing stands before it."""
    if first and "\0" in text[:TOLD]:
        return f"it holds zero bytes, as binary data does. {CURE}"
    begins = ENDS.split(text[at : at + TOLD], maxsplit=1)[0].strip()[:60]
    if first and begins[:1] not in ("{", "["):
        return f"it is no JSON; it begins with {begins!r}. {CURE}"
    return f"line {len(ENDS.findall(text, 0, at)) + 1} is not JSON: {begins!r}. Fix that line."
