"""A task from a file: BIG-bench's JSON, JSON lines, or a JSON list, by what the file holds."""

import json
from pathlib import Path
from typing import Any

from engine.core.checks import once_each
from engine.core.errors import Problem
from engine.core.files import open_regular
from engine.core.system import UNREADABLE, read_fault
from engine.tasks import bigbench, lines
from engine.tasks.task import EvalTask

LARGEST = 64 << 20  # bytes of a file


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
    """What JSON or JSON lines hold. Raises Problem with the line at fault."""
    try:
        text = data.decode("utf-8-sig")
        try:
            whole = _json(text, name)
        except ValueError:
            whole = None
        if isinstance(whole, list) or (isinstance(whole, dict) and {"examples", "items", "data"} & set(whole)):
            return whole
    except UNREADABLE as error:
        raise Problem(
            f"Cannot read the task {name!r}: {read_fault(error, 'Give JSON or JSON lines, in UTF-8.')}"
        ) from error
    found = []
    for number, line in enumerate(text.split("\n"), 1):  # texts may hold other ends of lines
        if line.strip():
            try:
                found.append(_json(line, name))
            except (ValueError, RecursionError):
                raise Problem(
                    f"Cannot read the task {name!r}: line {number} is not JSON: {line.strip()[:60]!r}. Fix that line."
                ) from None
    return found


def _json(text: str, name: str) -> Any:
    """The value of JSON. Raises Problem for a field that is there twice."""
    return json.loads(text, object_pairs_hook=lambda pairs: once_each(pairs, f"the task {name!r}"))
