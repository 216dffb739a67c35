"""A document on its way into a corpus, and the tally of its domain's reading."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.corpus.dedup import plain

PIECE_BYTES = 1_000_000  # longer documents are cut: memory stays bounded whatever comes
SKIPS_NAMED = 100  # of skipped files, so many are named in the manifest; all are counted


class Written(NamedTuple):
    """A text as a file holds it. context: the ranges of its characters, in order, that are read and never predicted."""

    text: str
    context: tuple[tuple[int, int], ...] = ()


class Document(NamedTuple):
    """One text: UTF-8 bytes, the group it is split with, and its side where the data came already split.

    group: documents with the same group go to the same side (a file, or a record of a file).
    side: "train", "valid", or "" where the hash of the group decides.
    context: the ranges of its bytes, in order, that are read and never predicted: what is said to a model.
    """

    group: str
    data: bytes
    side: str = ""
    context: tuple[tuple[int, int], ...] = ()

    def first(self, size: int) -> bytes:
        """As much of its data as fits into `size` bytes."""
        return self.data[: character_edge(self.data, size)]

    def compared(self, data: bytes) -> bytes:
        """What of its data is compared with other documents': blanks do not count."""
        return plain(data)


@dataclass
class Tally:
    """Counts from reading one domain. Sizes are bytes as stored, before cleaning or unpacking.

    listed: of everything there is to read (None: unknown); read: of what was read so far.
    """

    listed: int | None = 0
    read: int = 0
    whole: bool = False  # everything was read: the cap was not reached
    sampled: bool = False  # only some of what there is was drawn, at random
    available_tokens: int | None = None  # of pre-tokenised files: what there is, by their headers
    files: int = 0  # of own data: all that belong to the domain
    files_begun: int = 0
    files_with_text: int = 0
    files_read: list[str] = field(default_factory=list)  # the first of those that gave text
    cut: int = 0  # documents cut into pieces
    filtered: int = 0  # files left out because they are not clean text: minified, generated, full of digits
    repeated_blocks: int = 0
    conversations: int = 0  # documents that a template wrote
    skipped_count: int = 0
    skipped: list[dict] = field(default_factory=list)  # the first of them: {"path", "reason", "lines"}
    noticed: list[dict] = field(default_factory=list)  # of files that are read: {"path", "reason"}

    def skip(self, path: str, reason: str, lines: int | None = None) -> None:
        """Note that a file, or so many of its lines, could not be used."""
        self.skipped_count += 1
        if len(self.skipped) < SKIPS_NAMED:
            skip = {"path": printable(path), "reason": printable(reason)}
            self.skipped.append(skip if lines is None else {**skip, "lines": lines})

    def notice(self, path: str, reason: str) -> None:
        """Note something about a file that is read all the same."""
        if len(self.noticed) < SKIPS_NAMED:
            self.noticed.append({"path": printable(path), "reason": printable(reason)})

    def gave_text(self, path: str) -> None:
        """Note that a file is being read and holds text."""
        self.files_with_text += 1
        if len(self.files_read) < SKIPS_NAMED:
            self.files_read.append(printable(path))


def printable(text: str) -> str:
    """Text that can be stored and shown: bytes that are not UTF-8, in a file's name or in it, are written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def salted_hash(salt: str, text: str) -> int:
    """A 63-bit hash. Sampling and splitting take a salt each: sharing one biases the split."""
    data = text.encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(data, digest_size=8, salt=salt.encode()).digest()
    return int.from_bytes(digest, "little") >> 1


def character_edge(data: bytes, end: int) -> int:
    """The last place at or before `end` where UTF-8 bytes can be cut without breaking a character."""
    while 0 < end < len(data) and data[end] & 0xC0 == 0x80:
        end -= 1
    return end


def in_bytes(written: Written) -> tuple[tuple[int, int], ...]:
    """The ranges of a text that are context, in its UTF-8 bytes."""
    found, at, done = [], 0, 0
    for start, end in written.context:
        begin = at + len(written.text[done:start].encode("utf-8", "replace"))
        at = begin + len(written.text[start:end].encode("utf-8", "replace"))
        found.append((begin, at))
        done = end
    return tuple(found)


def documents_of(group: str, written: Written, side: str, tally: Tally) -> Iterator[Document]:
    """One text as a document, or as pieces of one group if it is very long. A conversation is not cut."""
    data = written.text.encode("utf-8", "replace")  # JSON can hold half a surrogate pair, which no UTF-8 can
    if written.context:
        tally.conversations += 1
        yield Document(group, data, side, in_bytes(written))
        return
    tally.cut += len(data) > PIECE_BYTES
    for piece in pieces(data):
        yield Document(group, piece, side)


def pieces(data: bytes, limit: int = PIECE_BYTES) -> Iterator[bytes]:
    """UTF-8 bytes in pieces of at most `limit` bytes, cut after a line if there is one, else a character."""
    start = 0
    while len(data) - start > limit:
        end = data.rfind(b"\n", start, start + limit) + 1
        if end <= start:
            end = character_edge(data, start + limit)
        yield data[start:end]
        start = end
    yield data[start:]
