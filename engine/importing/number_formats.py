"""Figures as people and spreadsheets write them: decimal commas, grouped thousands, percent signs."""

import math
import re
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.importing.names import kind_of
from engine.importing.questions import Question
from engine.importing.tables import Table, number_of, text_of

FIGURE = re.compile(
    r"[+-]?(\d*[.,]?\d+|\d+[.,]|\d{1,3}([.,'\u00a0\u202f ])\d{3}(\2\d{3})*([.,]\d+)?)(e[+-]?\d+)?\s*%?", re.I
)
GROUPED = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}(\{mark}\d{{3}})+") for mark in ",."}
SHORT = re.compile(r"(\d+(?:\.\d+)?)\s*([kmbgt])", re.I)
STEP = re.compile(  # ckpt-100, step1000, step1000-tokens4B
    r"(?:ckpt|checkpoint|(?:global_?)?step|iter(?:ation)?|epoch)s?[-_= ]?(\d+(?:\.\d+)?)([km]?)"
    r"(?:[-_]tokens?\d+(?:\.\d+)?[kmbgt]?)?",
    re.I,
)
# Figures that are no numbers here: 1/3, 250 ‰, 4.2B, 30 pct, ~0.3, 0.3 ± 0.01, $3
UNREAD = re.compile(
    r"[~≈<>≤≥$€£'=(]?\s*[+-]?(\d[\d.,]*|[.,]\d+|[½⅓⅔¼¾⅕⅛])\s*"
    r"(/\s*\d[\d.,]*|[‰‱%]|[a-z]{1,7}\.?|±.*|\+/-.*|\([\d.,± ]+\))?",
    re.I,
)
DIGITS = re.compile(r"[\d.,\uff0c\uff0e]")
NO_FIGURE = re.compile(r"\d[-:/]\d\d?[-:/T]\d|[a-z]+[\d.]+|.{25,}", re.I | re.S)  # dates, times, v1.2
THOUSANDS = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
SPACES = str.maketrans("", "", "'\u00a0\u202f ")
MARKS = {
    ",": "a comma is the decimal mark: 1,234 is a little over one",
    ".": "commas group thousands: 1,234 is over a thousand",
}


def written_plainly(table: Table, answers: dict[str, str]) -> Table:
    """The table with its figures as plain numbers, notes on what was read how, and what has to be asked.

    Only columns of text that are figures for the most part are touched, and a cell that is none keeps its own words.
    Raises Problem for a column that writes its decimals both ways, or percent signs in some cells only.
    """
    odd = {one: cells for one, cells in table.columns.items() if _is_odd(table, one)}
    marks, asked = _marks(table, odd, answers)
    percents = [one for one in odd if _is_percent(table, one)]
    plain = dict(table.columns)
    for one, mark in marks.items():
        plain[one] = [_plain(cell, mark, one in percents) for cell in table.columns[one]]
    plain |= {one: _in_full(cells) for one, cells in plain.items() if kind_of(one) in ("size", "budget")}
    plain |= {one: _as_steps(cells) for one, cells in plain.items() if kind_of(one) == "step"}
    commas = [one for one, mark in marks.items() if mark == ","]
    notes = [f"Read with a decimal comma: {listed(commas)}."] if commas else []
    notes += [f"Percent signs, read as fractions of one: {listed(percents)}."] if percents else []
    same = {one: table.loose(one) for one, cells in plain.items() if cells is table.columns[one]}
    return Table(table.name, plain, table.lines, tuple(notes), tuple(asked), _numbers=same)


def _marks(table: Table, odd: dict[str, list[Any]], answers: dict[str, str]) -> tuple[dict[str, str], list[Question]]:
    """The decimal mark of each odd column: by its own cells, else by the table's other columns, else asked."""
    found = {one: _mark_of(table, one) for one in odd}
    known = {mark for mark in found.values() if mark}
    marks = {one: mark for one, mark in found.items() if mark}
    if known == {","}:
        marks |= {one: "," for one, cells in table.columns.items() if one not in odd and _is_grouped(cells)}
    doubtful = [one for one, mark in found.items() if mark is None]
    if not doubtful:
        return marks, []
    if len(known) == 1:
        return marks | dict.fromkeys(doubtful, known.pop()), []
    if not known and any(_has_point(cells) for one, cells in table.columns.items() if one not in odd):
        return marks | dict.fromkeys(doubtful, "."), []
    question = Question("decimal", f"What is the comma in {doubtful[0]!r} of {table.name}?", MARKS)
    return marks | dict.fromkeys(doubtful, question.answer(answers)), [question]


def _is_odd(table: Table, column: str) -> bool:
    """Whether a column is mostly figures, some of them no plain numbers."""
    cells = table.columns[column]
    strange = [cells[place] for place in np.flatnonzero(np.isinf(table.loose(column)))]
    figures = sum(isinstance(cell, str) and FIGURE.fullmatch(cell.strip()) is not None for cell in strange)
    return figures > 0 and 2 * figures >= len(strange) and 2 * (len(cells) - len(strange) + figures) > len(cells)


def _is_grouped(cells: list[Any]) -> bool:
    """Whether every cell is a whole number in groups of three behind points, as 1.234 is beside decimal commas."""
    texts = [cell.strip() for cell in cells if isinstance(cell, str) and not math.isnan(number_of(cell))]
    return bool(texts) and all(GROUPED["."].fullmatch(text) for text in texts)


def _has_point(cells: list[Any]) -> bool:
    return any(
        isinstance(cell, float) or (isinstance(cell, str) and re.fullmatch(r"-?\d+\.\d+", cell)) for cell in cells
    )


def _mark_of(table: Table, column: str) -> str | None:
    """The decimal mark that a column's own cells prove, None where all of them can be read both ways."""
    proof: dict[str, int] = {}
    cells = table.columns[column]
    for place, cell in enumerate(cells):
        text = cell.strip(" %+-").translate(SPACES) if isinstance(cell, str) else ""
        if not FIGURE.fullmatch(text):
            continue
        for mark, other in (",.", ".,"):
            last = text.rfind(mark) > text.rfind(other) >= 0  # 1.234,5
            single = mark in text and other not in text and not GROUPED[mark].fullmatch(text)  # 0,5
            if last or single or text.count(other) > 1:
                proof.setdefault(mark, place)
    if len(proof) > 1:
        early, late = sorted(proof.values())
        raise Problem(
            f"Cannot import {table.row(late)}, column {column!r}: it holds {str(cells[late])!r}, and "
            f"{table.row(early)} {str(cells[early])!r}: two decimal marks. Write them all in one way."
        )
    if proof:
        return next(iter(proof))
    return None if any(isinstance(cell, str) and "," in cell for cell in cells) else "."


def _is_percent(table: Table, column: str) -> bool:
    """Whether an odd column's cells have percent signs. Raises Problem where only some have."""
    cells = table.columns[column]
    signed = [isinstance(cell, str) and cell.strip().endswith("%") for cell in cells]
    for place, (cell, sign) in enumerate(zip(cells, signed, strict=True)):
        if any(signed) and not sign and number_of(cell) != 0 and not math.isnan(number_of(cell)):
            raise Problem(
                f"Cannot import {table.row(place)}, column {column!r}: {str(cell)!r} has no percent sign, and "
                "others in its column have. Write them all in one way."
            )
    return any(signed)


def _plain(cell: Any, mark: str, percent: bool) -> Any:
    """A cell as a number; missing ones and numbers stay as they are."""
    if not isinstance(cell, str) or math.isnan(number_of(cell)) or not FIGURE.fullmatch(cell.strip()):
        return cell
    text = cell.strip().removesuffix("%").translate(SPACES)
    other = "." if mark == "," else ","
    number = number_of(text.replace(other, "").replace(mark, "."))
    if math.isinf(number):  # too large: it is refused as it was written
        return cell
    return number / 100 if percent else number


def _in_full(cells: list[Any]) -> list[Any]:
    """Sizes and budgets as numbers where they are written short: 122M, 2.5B; other cells as they are."""
    found = [SHORT.fullmatch(cell.strip()) if isinstance(cell, str) else None for cell in cells]
    return [float(one[1]) * THOUSANDS[one[2].lower()] if one else cell for one, cell in zip(found, cells, strict=True)]


def _as_steps(cells: list[Any]) -> list[Any]:
    """Steps as numbers where each is written behind a word, and some repeat: ckpt-100; other cells as they are."""
    texts = [cell.strip() for cell in cells if isinstance(cell, str) and cell.strip()]
    found = [STEP.fullmatch(text) for text in texts]
    if not all(found) or len(set(texts)) == len(texts):
        return cells
    known = {
        text: float(one[1]) * THOUSANDS.get(one[2].lower(), 1) for text, one in zip(texts, found, strict=True) if one
    }
    return [known.get(cell.strip(), cell) if isinstance(cell, str) else cell for cell in cells]


def unread_figure(table: Table, column: str) -> int | None:
    """The first row of a column whose cells are mostly figures that are not read as numbers; None for other columns."""
    there = [(place, cell.strip()) for place, cell in enumerate(table.columns[column]) if isinstance(cell, str)]
    odd = [place for place, text in there if math.isinf(number_of(text)) and _may_be_figure(text)]
    filled = sum(bool(text_of(cell)) for cell in table.columns[column])
    return odd[0] if odd and 2 * len(odd) > filled else None


def _may_be_figure(text: str) -> bool:
    """Whether people would take a text for a number: by how such are written, or as most of it is digits."""
    mostly = 2 * len(DIGITS.findall(text)) > len(text) and not NO_FIGURE.search(text)
    return mostly or UNREAD.fullmatch(text) is not None
