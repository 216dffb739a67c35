"""What stands around the line that names a table's columns: comments above it, titles, units and second lines of names
below. Comments are read over where nothing else can be meant; all else is named."""

import csv
import math
import re
from collections import Counter
from collections.abc import Sequence

from engine.core.errors import Problem
from engine.core.short_names import counted, listed
from engine.importing.tables import MISSING, number_of

MARK = "#"
FIGURE = re.compile(r"[+-]?[.,]?\d")  # how a number begins, however it is written
MOST = 3  # lines under the header that hold no numbers: units, and names of more levels
SEPARATORS = ",;\t|"


def separator_of(header: str) -> str:
    """The separator that gives a line the most cells; one inside quotes separates nothing."""
    return max(SEPARATORS, key=lambda one: len(_cells(header, one)))


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def uncommented(text: str, name: str) -> tuple[str, list[str]]:
    """(the text with its first lines left empty where they are comments, so that all others keep their numbers; notes
    on that). A last comment that has a cell for each of a line of values names their columns, as NumPy writes it.

    Raises Problem where comments stand above values, and none of them names columns.
    """
    if not text.lstrip().startswith(MARK):
        return text, []
    head, place = [], 0
    while text.startswith((MARK, " ", "\t", "\r", "\n"), place) and place < len(text):
        end = text.find("\n", place) + 1 or len(text)
        line = text[place:end]
        if line.strip() and not line.lstrip().startswith(MARK):
            break
        head.append(line)
        place = end
    first = text[place:].partition("\n")[0]
    comments = [number for number, line in enumerate(head, 1) if line.strip()]
    if not _holds_values(first):
        return "\n" * len(head) + text[place:], [_left_out(comments, name)]
    named = head[comments[-1] - 1].strip()
    separator = separator_of(first)
    bare = named.lstrip(MARK).strip()
    names = _cells(bare if _cells(bare, separator)[0:1] != [""] else named, separator)
    if len(names) != len(_cells(first, separator)):
        raise Problem(
            f"Cannot import {name}: its first {counted(len(comments), 'line')} with text begin with '{MARK}', and line "
            f"{len(head) + 1} holds values ({first[:40]!r}), so no line names the columns. Put a line of names above "
            "the values."
        )
    notes = [_left_out(comments[:-1], name)] if len(comments) > 1 else []
    kept = bare if bare and not bare.startswith(separator) else named
    if kept != named:
        notes.append(f"Line {comments[-1]} of {name} begins with '{MARK}', and names the columns.")
    return "\n" * (comments[-1] - 1) + kept + "\n" * (len(head) - comments[-1] + 1) + text[place:], notes


def _holds_values(line: str) -> bool:
    """Whether a line holds numbers, and is no JSON."""
    cells = _cells(line, separator_of(line))
    return line.lstrip()[:1] not in ("{", "[") and any(math.isfinite(number_of(one)) for one in cells)


def _left_out(lines: list[int], name: str) -> str:
    span = f"Line {lines[0]}" if len(lines) == 1 else f"Lines {lines[0]} to {lines[-1]}"
    begin = "begins" if len(lines) == 1 else "begin"
    return f"{span} of {name} {begin} with '{MARK}': left out as comments."


def refuse_commented(rows: list[list[str]], places: list[int], name: str) -> None:
    """Raise Problem for rows that begin as a comment does where most others do not: a run that somebody has taken out,
    or one that is called so."""
    marked = [place for row, place in zip(rows, places, strict=True) if row[0].lstrip().startswith(MARK)]
    if marked and 2 * len(marked) <= len(rows):
        lines = f"line {marked[0]}" if len(marked) == 1 else f"lines {listed(list(map(str, marked)), 6)}"
        raise Problem(
            f"Cannot import {lines} of {name}: '{MARK}' stands in front of the first cell, and not in most other rows. "
            f"Remove what is a comment; where it belongs to a name, write that without '{MARK}'."
        )


def refuse_second_header(names: Sequence[str], rows: list[list[str]], places: list[int], name: str) -> None:
    """Raise Problem for lines under the header that hold no numbers where all lines below do: units, more names, or the
    names themselves under a title."""
    without = rows[: MOST + 1]
    count = next((k for k, row in enumerate(without) if any(map(FIGURE.match, map(str.strip, row)))), len(without))
    body = [row for row in rows[count:] if len(row) == len(names)]
    if not 0 < count <= MOST or len(body) < 2:
        return
    figures = [i for i in range(len(names)) if _are_figures([row[i] for row in body])]
    first = rows[0] if len(rows[0]) == len(names) else []
    said = [first[i].strip() for i in figures if first and not _is_missing(first[i])]
    others = [cell for i, cell in enumerate(first) if i not in figures and cell.strip()]
    if len(figures) < 2 or not said or (len(said) == 1 and others):
        return
    lines = f"line {places[0]} holds" if count == 1 else f"lines {places[0]} to {places[count - 1]} hold"
    shown = listed([repr(one[:40]) for one in said], 4)
    times = Counter(names)
    several = [i for i in figures if (times[names[i]] > 1 if names[i] else any(names[:i]))]
    shared = (several or figures)[0]
    above = next((one for one in names[shared::-1] if one), "")
    cure = _cure(names, places[0], f"{above}/{first[shared].strip()}"[:80])
    raise Problem(f"Cannot import {name}: {lines} no numbers ({shown}), and the lines below do. {cure}")


def _cure(names: Sequence[str], second: int, joined: str) -> str:
    """What to do about a second line of words, by what stands in the first. joined: a name made of both."""
    there = [one for one in names if one.strip()]
    if len(there) < 2:
        return f"Line 1 looks like a title: remove what is above line {second}, which names the columns."
    if len(set(there)) < len(names):
        return f"Several lines name the columns: write one that names each by itself, such as {joined!r}."
    return "Remove it if it holds units, or a run without values. If it holds names, write one line of names."


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _are_figures(cells: list[str]) -> bool:
    """Whether cells are numbers or missing, and some are numbers."""
    there = [cell.strip() for cell in cells if not _is_missing(cell)]
    return bool(there) and all(map(FIGURE.match, there))
