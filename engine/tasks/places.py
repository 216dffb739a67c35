"""Which choices of multiple-choice rows are right: by their text, their letter, or their place from 0.

A file writes its answers in one way. `"answer": 2` beside the choices "1", "2", "3" may be a place or a text: what all
answers of the file can be read as decides, and where that is both, nobody can tell.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.core.errors import Problem

Answer = str | int


@dataclass(frozen=True)
class Asked:
    """The choices of a row, what it calls them (its own letters or numbers, if any), and its right answers."""

    choices: list[str]
    letters: list[str]
    answers: list[Answer]


def by_text(answer: Answer, choices: Sequence[str]) -> int | None:
    """The place of the choice that reads so."""
    return choices.index(str(answer)) if str(answer) in choices else None


def by_letter(answer: Answer, choices: Sequence[str]) -> int | None:
    """The place of the choice of a letter: A is the first."""
    letter = answer if isinstance(answer, str) and len(answer) == 1 else ""
    return _inside(ord(letter) - ord("A"), choices) if letter else None


def by_place(answer: Answer, choices: Sequence[str]) -> int | None:
    """The choice at a place from 0."""
    return (
        _inside(int(answer), choices) if isinstance(answer, int) or (answer.isdecimal() and len(answer) < 4) else None
    )


def _inside(place: int, choices: Sequence[str]) -> int | None:
    return place if 0 <= place < len(choices) else None


Reading = Callable[[Answer, Sequence[str]], int | None]
# By the type of an answer: its readings, the likeliest first, and those of which none is likelier than the others.
READINGS: dict[type, tuple[Reading, ...]] = {str: (by_text, by_letter, by_place), int: (by_place, by_text)}
ALIKE: dict[type, tuple[Reading, ...]] = {str: (by_text, by_letter), int: (by_place, by_text)}


def right_choices(rows: Sequence[Asked], name: str) -> list[set[int]]:
    """The places of the right choices of each row. Raises Problem, with its number, for an answer that is none of a
    row's choices, or may be two of them."""
    found: list[set[int]] = [
        {row.letters.index(str(one)) for one in row.answers if _is_named(row, one)} for row in rows
    ]
    for kind, readings in READINGS.items():
        asked = [(k, one) for k, row in enumerate(rows) for one in row.answers if type(one) is kind]
        asked = [(k, one) for k, one in asked if not _is_named(rows[k], one)]
        fitting = [one for one in readings if all(one(answer, rows[k].choices) is not None for k, answer in asked)]
        for k, answer in asked:
            places = {one: one(answer, rows[k].choices) for one in fitting or readings}
            found[k].add(_only(places, ALIKE[kind] if fitting else readings, f"{answer!r:.60} of row {k + 1}", name))
    return found


def _is_named(row: Asked, answer: Answer) -> bool:
    """Whether a row itself calls one of its choices so."""
    return str(answer) in row.letters and row.letters.index(str(answer)) < len(row.choices)


def _only(places: dict[Reading, int | None], alike: Sequence[Reading], answer: str, name: str) -> int:
    """The choice that an answer stands for, by its likeliest reading; alike: readings that must not differ."""
    there = [place for place in places.values() if place is not None]
    if not there:
        raise Problem(
            f"Cannot read {name}: the answer {answer} is none of its choices, nor the letter or the place (from 0) of "
            "one."
        )
    if len({places.get(one) for one in alike} - {None}) > 1:
        raise Problem(
            f"Cannot read {name}: the answer {answer} may be the choice that reads so, or another one by its letter or "
            "its place (from 0). Where choices are numbers, write letters; where they are letters, places."
        )
    return there[0]
