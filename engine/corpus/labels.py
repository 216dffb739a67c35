"""Own data: fields in which the records of one file name domains, so that nobody takes it for one domain unaware.

They are named, and followed where somebody says which of them tells the domain (domain_columns.py).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.core.short_names import listed

LABEL = re.compile(
    r"(\w+_)?(domain|sub_?set|set|source|data_?set|corpus|collection|category)(_?(name|id|label))?", re.I
)
MOST, LONGEST = 64, 80  # values of a field, characters of a value: with more it names no domains
DEEPEST = 3  # objects inside objects
FEWEST = 4  # records for each value: with fewer it names the records
NAMED = 5


Label = tuple[str, ...]  # a value of each column that says the domain


class Labels:
    """The fields named like domains that records of a file bear, and what stands in them."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.closed: set[str] = set()  # fields that hold too many different values, or long ones

    def see(self, record: dict[str, Any]) -> None:
        """Count what one record says."""
        for name, value in labels(record):
            self.count(name, value)

    def count(self, name: str, value: str) -> None:
        """Count one text of a field."""
        if name in self.closed:
            return
        counts = self.counts.setdefault(name, Counter())
        counts[value] += 1
        if len(counts) > MOST or len(value) > LONGEST:
            self.closed.add(name)
            del self.counts[name]

    def sentences(self) -> Iterator[str]:
        """A sentence for each field that tells several domains apart."""
        for name, counts in self.counts.items():
            if len(counts) > 1 and counts.total() >= FEWEST * len(counts):
                first = listed([repr(value) for value, _ in counts.most_common()], NAMED)
                yield f"its records name {len(counts)} domains in {name!r} ({first}), and all are taken for one"


def labels(record: dict[str, Any], before: str = "", depth: int = DEEPEST) -> Iterator[tuple[str, str]]:
    """(field, text) of each field of a record, or of an object in it, that is named like a domain."""
    for name, value in record.items():
        if isinstance(value, str):
            if is_label(name):
                yield before + name, value
        elif isinstance(value, dict) and depth > 1:
            yield from labels(value, f"{before}{name}.", depth - 1)


def is_label(name: str) -> bool:
    """Whether a field is named like a domain."""
    return len(name) <= LONGEST and LABEL.fullmatch(name) is not None


def label_of(record: Mapping[str, Any], columns: Sequence[str]) -> Label | None:
    """What a record says in the columns; None where it says nothing in one. `meta.source` is a field of an object."""
    found = []
    for column in columns:
        outer, _, inner = column.partition(".")
        value = record.get(column, record.get(outer) if inner else None)
        if isinstance(value, dict):
            value = value.get(inner)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            return None
        found.append(str(value))
    return tuple(found)
