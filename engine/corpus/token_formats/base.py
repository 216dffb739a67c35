"""The frame of token formats: what a reader gives of a file that is read where it lies.

A format opens a file by its headers and indices alone, and reads single *units* of it: documents, or blocks of a file
that only a token divides. So any sample can be drawn without reading the rest. T tokens, N documents.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from engine.core.errors import Problem
from engine.core.files import open_regular

WIDE = np.dtype("<u4")  # holds every id
WIDTHS = {name: np.dtype(name).newbyteorder("<") for name in ("uint16", "uint32", "int32", "int64")}
LOOKS, WINDOW = 16, 1 << 16  # places of a file that are looked at, and tokens at each
HIGH = 1 << 24  # no vocabulary is larger: 16-bit tokens read as 32-bit ones are
EMPTY = 0.9  # of every second 16-bit number 0: these are 32-bit tokens
BLOCK = 1 << 14  # tokens: a unit of files that only a token divides
LONGEST = 1 << 18  # tokens of a document that are read at most: memory stays bounded


class How(NamedTuple):
    """What files do not say themselves. dtype: of WIDTHS; end: the token that ends a document; vocabulary: how many
    there are; column: that holds the tokens, where a file has several. None where it is not known."""

    dtype: str | None = None
    end: int | None = None
    vocabulary: int | None = None
    column: str | None = None


class TokenFile(Protocol):
    """A file of tokens. count: its tokens T; size: their bytes; documents: N, None where only a token in the file
    divides them; units: how many can be read one by one."""

    path: Path
    count: int
    size: int
    documents: int | None
    units: int

    def read(self, units: np.ndarray) -> Iterator[np.ndarray]:
        """The documents of some units, rising: arrays of whole numbers. Raises Problem where they are damaged."""
        ...


class Format(NamedTuple):
    """title: as people call it; ending: of the files that a folder is searched for; open: a file by its path."""

    title: str
    ending: str
    open: Callable[[Path, How], TokenFile]


@dataclass(frozen=True)
class Flat:
    """A file whose tokens (T,) stand one after another, memory-mapped. ends: where each document ends, (N,), None where
    only the token `end` says, or nothing."""

    path: Path
    tokens: np.ndarray
    ends: np.ndarray | None
    end: int | None = None

    @property
    def count(self) -> int:
        return len(self.tokens)

    @property
    def size(self) -> int:
        return int(self.tokens.nbytes)

    @property
    def documents(self) -> int | None:
        return None if self.ends is None else len(self.ends)

    @property
    def units(self) -> int:
        return -(-len(self.tokens) // BLOCK) if self.ends is None else len(self.ends)

    def read(self, units: np.ndarray) -> Iterator[np.ndarray]:
        if self.ends is None:
            for unit in units:
                yield from self._of_block(int(unit) * BLOCK)
            return
        for unit in units:
            start = int(self.ends[unit - 1]) if unit else 0
            yield np.asarray(self.tokens[start : min(int(self.ends[unit]), start + LONGEST)])

    def _of_block(self, first: int) -> Iterator[np.ndarray]:
        """The documents that begin in a block, so that each is of one block; the block itself where nothing divides."""
        beyond = min(first + BLOCK, len(self.tokens))
        if self.end is None:
            yield np.asarray(self.tokens[first:beyond])
            return
        before = np.asarray(self.tokens[max(0, first - 1) : beyond - 1])
        starts = (np.flatnonzero(before == self.end) + max(0, first - 1) + 1).tolist()
        if first == 0:
            starts = [0, *starts]
        for start, stop in itertools.pairwise([*starts, None]):
            yield np.asarray(self.tokens[start : self._end_of(start) if stop is None else min(stop, start + LONGEST)])

    def _end_of(self, start: int) -> int:
        """Where the document ends that begins there."""
        for place in range(start, start + LONGEST, BLOCK):
            found = np.flatnonzero(np.asarray(self.tokens[place : place + BLOCK]) == self.end)
            if len(found):
                return place + int(found[0]) + 1
        return min(start + LONGEST, len(self.tokens))


@dataclass(frozen=True)
class Joined:
    """Several files that one index lists, as one: the shards of a data set."""

    path: Path
    files: Sequence[TokenFile]

    @property
    def count(self) -> int:
        return sum(one.count for one in self.files)

    @property
    def size(self) -> int:
        return sum(one.size for one in self.files)

    @property
    def documents(self) -> int | None:
        counts = [one.documents for one in self.files]
        return None if None in counts else sum(filter(None, counts))

    @property
    def units(self) -> int:
        return sum(one.units for one in self.files)

    def read(self, units: np.ndarray) -> Iterator[np.ndarray]:
        edges = np.cumsum([0, *(one.units for one in self.files)])
        for one, first, beyond in zip(self.files, edges[:-1], edges[1:], strict=True):
            own = units[(units >= first) & (units < beyond)]
            if len(own):
                yield from one.read(own - first)


def head_of(path: Path, size: int) -> bytes:
    """The first bytes of a file. Raises Problem where it cannot be read."""
    try:
        with open_regular(path, links=False) as file:
            return file.read(size)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> Problem:
    """The error for a file that the system does not give."""
    return Problem(f"Cannot read {path}: {error.strerror or error}.")


def raw(path: Path, how: How, total: int | None) -> np.ndarray:
    """Tokens without a header, (T,); total: how many an index tells of. Raises Problem for another size."""
    if how.dtype not in WIDTHS:
        raise Problem(f"Cannot read {path}: it does not say how wide its tokens are. Say {' or '.join(WIDTHS)}.")
    dtype, size = WIDTHS[how.dtype], path.stat().st_size
    if total is not None:
        check_size(path, total, dtype, "its index")
    if size % dtype.itemsize:
        raise Problem(
            f"Cannot read {path}: its {size:,} bytes are not whole numbers of {dtype.itemsize}. It was cut off."
        )
    return mapped(path, dtype, 0, size // dtype.itemsize)


def check_size(path: Path, tokens: int, dtype: np.dtype, who: str) -> None:
    """Raise Problem unless a file holds exactly these tokens."""
    size, wanted = path.stat().st_size, tokens * dtype.itemsize
    if size != wanted:
        why = "It was cut off" if size < wanted else "The index is another file's, or of another width"
        raise Problem(f"Cannot read {path}: it has {size:,} bytes, and {who} tells of {wanted:,}. {why}.")


def mapped(path: Path, dtype: np.dtype, offset: int, count: int) -> np.ndarray:
    """Tokens (T,) of a file, memory-mapped; an empty file cannot be."""
    return np.memmap(path, dtype, "r", offset, (count,)) if count else np.zeros(0, dtype)


def checked(file: Flat, how: How) -> Flat:
    """The file. Raises Problem where a look at some places of it shows tokens of another width or vocabulary, or none
    that ends a document."""
    places = np.linspace(0, max(0, len(file.tokens) - WINDOW), LOOKS).astype(np.int64)
    looked = [np.asarray(file.tokens[place : place + WINDOW]) for place in dict.fromkeys(places.tolist())]
    seen = np.concatenate(looked) if len(file.tokens) else np.zeros(0, np.int64)
    if not len(seen):
        return file
    check_ids(file.path, seen, how.vocabulary)
    if seen.dtype.itemsize == 4 and int(seen.max()) >= HIGH:
        raise Problem(f"Cannot read {file.path} as uint32: it has the token {seen.max():,}. Its tokens are uint16.")
    if seen.dtype.itemsize == 2 and len(seen) > 1 and seen.any() and max(zeros(looked, 0), zeros(looked, 1)) > EMPTY:
        raise Problem(f"Cannot read {file.path} as uint16: every second number is 0. Its tokens are uint32.")
    if how.end is not None and file.ends is None and not (seen == how.end).any():
        raise Problem(
            f"Cannot read {file.path}: the token {how.end} that ends documents was not met at {len(looked)} places. "
            "Give that of its tokenizer."
        )
    return file


def check_ids(path: Path, ids: np.ndarray, vocabulary: int | None) -> None:
    """Raise Problem for tokens (T,) below 0, or beyond a vocabulary where it is known."""
    if not len(ids):
        return
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or (vocabulary is not None and high >= vocabulary):
        odd = low if low < 0 else high
        known = "" if vocabulary is None else f", and the vocabulary {vocabulary:,}"
        raise Problem(
            f"Cannot read {path}: it has the token {odd:,}{known}. Its tokens are of another width, or of another "
            "tokenizer."
        )


def zeros(looked: Sequence[np.ndarray], parity: int) -> float:
    """The part of every second number, from the first or the second on, that is 0, where not all of both are."""
    found = [one[parity::2] == 0 for one in looked if len(one) > 1 and (one[1 - parity :: 2] != 0).any()]
    return float(np.concatenate(found).mean()) if found else 0.0
