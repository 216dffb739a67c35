"""Objects inside cells (structs of Parquet and JSON, or their text in a CSV file), spread over columns of their own."""

import ast
import json
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

from engine.core.checks import once_each
from engine.core.errors import Problem
from engine.core.shown import DIGITS, READS, Huge
from engine.importing.limits import JSON_BYTES, TEXT, bounded
from engine.importing.tables import text_of

DEEPEST = 8
NAMED = {"nan": None, "inf": math.inf}  # as Python prints them
LONG = re.compile(rf"(?<![\w.'\"])\d{{{DIGITS + 1},}}(?![\w.'\"])")  # more than Python reads as a whole number
PAIR = re.compile(r"\s*([^\W\d][^:=,;|{}\[\]]*)[:=]\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?%?)\s*", re.I)
PAIRS = re.compile(rf"(?:{PAIR.pattern}[,;|])+{PAIR.pattern}", re.I)  # web:0.3,code:0.7
SPACED = re.compile(r"\s+(?=[^\W\d][^\s:=]*[:=]\s*[+-]?[\d.])")  # web=0.3 code=0.7
PRINTED = re.compile(r"\b(?:np|numpy)\.(?:float|int)\d*\(([^()]*)\)")  # as NumPy prints its numbers
BEGIN = {"{", "[", " "}
WRAPPED = {"value", "desc"}  # how Weights & Biases stores a setting


def spread(name: str, columns: dict[str, list[Any]], lines: Sequence[int], depth: int = 0) -> dict[str, list[Any]]:
    """Columns in which every object has become a column per key, called `column.key`, in the objects' place.

    A list of pairs (name, number) is an object too. Raises Problem for a cell without an object in a column of them,
    for one of too much text, and where there would be more cells than can be read.
    """
    if depth > DEEPEST:
        raise Problem(
            f"Cannot import {name}: column {next(iter(columns))!r} is nested too deep. Give shares and metrics."
        )
    found: dict[str, list[Any]] = {}
    for column, cells in columns.items():
        _check_texts(name, column, cells, lines)
        objects = _objects(name, column, cells, lines)
        if objects is None:
            found[column] = cells
            continue
        keys = dict.fromkeys(key for one in {id(one): one for one in objects}.values() for key in one)
        bounded(f"{name}, column {column!r}", len(objects), len(keys))
        if set(keys) <= WRAPPED and "value" in keys:
            inner = {column: [one.get("value") for one in objects]}
        else:
            inner = {f"{column}.{key}": [one.get(key) for one in objects] for key in keys}
        for one, values in spread(name, inner, lines, depth + 1).items() if inner else ():
            if one in found or (one in columns and one != column):
                raise Problem(f"Cannot import {name}: two of its columns are called {one!r}. Rename one.")
            found[one] = values
    return found


def _objects(name: str, column: str, cells: list[Any], lines: Sequence[int]) -> list[dict[str, Any]] | None:
    """A column's cells as objects, empty where a cell is; None where it is no column of objects."""
    texts = {cell for cell in cells if isinstance(cell, str)}  # few, where millions of cells refer to them
    may_be = list(filter(_may_be_object, texts))
    if not may_be and not any(isinstance(cell, (dict, list)) for cell in cells):
        return None
    if sum(map(len, may_be)) > JSON_BYTES:
        raise Problem(
            f"Cannot import {name}: column {column!r} holds more than {JSON_BYTES >> 20} MiB of objects. Leave it out."
        )
    known = {text: _object(text) for text in texts}
    read = [known[cell] if isinstance(cell, str) else _object(cell) for cell in cells]
    there = sum(one is not None for one in read)
    empty = [one is None and not text_of(cell) for one, cell in zip(read, cells, strict=True)]
    if 2 * there <= len(cells) - sum(empty):
        return None
    for place, (one, nothing) in enumerate(zip(read, empty, strict=True)):
        if one is None and not nothing:
            raise Problem(
                f"Cannot import row {lines[place]} of {name}, column {column!r}: it holds "
                f"{text_of(cells[place])[:40]!r}, and the other cells hold objects of names and values. Fix it, or "
                "leave the row out."
            )
    return [one or {} for one in read]


def _check_texts(name: str, column: str, cells: list[Any], lines: Sequence[int]) -> None:
    """Raise Problem for a cell that holds more text than a cell of a table of runs has."""
    for place, cell in enumerate(cells):
        if (count := _letters(cell)) > TEXT:
            raise Problem(
                f"Cannot import row {lines[place]} of {name}, column {column!r}: it holds {count:,} letters, and "
                f"{TEXT:,} can be read. Leave that column out."
            )


def _letters(cell: Any) -> int:
    """How many letters a cell holds, in lists within it too; an object's fields are cells of their own."""
    if isinstance(cell, str):
        return len(cell)
    return sum(map(_letters, cell)) if isinstance(cell, (list, tuple)) else 0


def _may_be_object(text: str) -> bool:
    return text[:1] in BEGIN or PAIRS.fullmatch(_separated(text)) is not None


def _separated(text: str) -> str:
    """Pairs with commas between them, where blanks alone stand there."""
    return text if re.search("[,;|]", text) else SPACED.sub(",", text)


def _object(cell: Any) -> dict[str, Any] | None:
    """A cell as an object, None where it is none."""
    if isinstance(cell, str):
        text = _separated(cell.strip())
        if PAIRS.fullmatch(text):
            pairs = [(one[1].strip(), one[2]) for one in PAIR.finditer(text)]
            return dict(pairs) if len(dict(pairs)) == len(pairs) else None
        cell = _parsed(text) if text[:1] + text[-1:] in ("{}", "[]") else None
    if isinstance(cell, dict):
        return {str(key): value for key, value in cell.items()}
    if isinstance(cell, list) and cell:
        pairs = [pair for one in cell if (pair := _pair(one)) is not None]
        if len(dict(pairs)) == len(cell):
            return dict(pairs)
    return None


def _parsed(text: str) -> Any:
    """The value of JSON, or of Python as a program prints it; None where it is neither, or names something twice."""
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: once_each(pairs, "a cell"), **READS)
    except Problem:
        return None
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # Python warns of odd text that is none of its own
            source = LONG.sub(r"\g<0>.", PRINTED.sub(r"\1", text))
            return ast.literal_eval(_Numbers(source).visit(ast.parse(source, mode="eval")))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # TypeError: {{}}, a set of dicts
        return None


class _Numbers(ast.NodeTransformer):
    """Makes of Python's numbers what READS makes of JSON's: one that is too large keeps its text, nan is missing."""

    def __init__(self, source: str):
        self.source = source

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(NAMED[node.id]) if node.id in NAMED else node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, float) and math.isinf(node.value):
            return ast.Constant(Huge(str(ast.get_source_segment(self.source, node)).rstrip(".")))
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        inner = self.visit(node.operand)
        if isinstance(inner, ast.Constant) and inner.value is None:
            return inner
        if isinstance(node.op, ast.USub) and isinstance(inner, ast.Constant) and isinstance(inner.value, float):
            return ast.Constant(Huge(f"-{inner.value.text}") if isinstance(inner.value, Huge) else -inner.value)
        return node


def _pair(one: Any) -> tuple[str, object] | None:
    """A name and its number: ("web", 0.3), or {"name": "web", "weight": 0.3}."""
    values = list(one.values()) if isinstance(one, dict) else one if isinstance(one, (list, tuple)) else []
    names = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return (names[0], numbers[0]) if len(values) == 2 and len(names) == len(numbers) == 1 else None
