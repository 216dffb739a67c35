"""Where lists of objects stand inside a JSON value, for messages that name their places."""

from collections.abc import Callable, Iterator
from typing import Any

DEEPEST = 8  # objects within objects that are looked into
LONGEST = 200  # characters of a place


def is_table(value: Any) -> bool:
    """Whether a value is a list that begins with an object."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def lists_in(value: dict[str, Any], wanted: Callable[[Any], bool] = is_table, path: str = "") -> Iterator[str]:
    """The places of wanted lists, as data.train, in their order."""
    for key, one in value.items():
        place = f"{path}{key}"[:LONGEST]
        if wanted(one):
            yield place
        elif isinstance(one, dict) and place.count(".") < DEEPEST:
            yield from lists_in(one, wanted, f"{place}.")
