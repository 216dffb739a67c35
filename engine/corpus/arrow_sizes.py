"""Own data: what Arrow files say that they unpack to, read before anything of them is unpacked.

A compressed buffer begins with its unpacked length, and readers allocate that at once: a few kilobytes can claim any
memory. pyarrow has no limit and tells no lengths, so they are read off the messages' frames, whose layout is fixed:
https://arrow.apache.org/docs/format/Columnar.html#ipc-message-format and, for the tables, Message.fbs beside it.
"""

import struct
from typing import BinaryIO

from engine.corpus.records import Unreadable

MOST = 1 << 30  # bytes of a batch and of the dictionaries that it refers to
DICTIONARY, BATCH = 2, 3  # kinds of messages
DAMAGED = "its messages are damaged"


class Table:
    """A FlatBuffers table inside a message's metadata. Raises struct.error for places outside of it."""

    def __init__(self, data: bytes, at: int):
        self.data, self.at = data, at
        self.fields = at - self.number("<i", at)

    def number(self, form: str, at: int) -> int:
        if at < 0:
            raise struct.error
        found: int = struct.unpack_from(form, self.data, at)[0]
        return found

    def place(self, field: int) -> int | None:
        """Where a field's value stands; None if it is left out."""
        known = self.number("<H", self.fields)
        offset = self.number("<H", self.fields + 4 + 2 * field) if 4 + 2 * field < known else 0
        return self.at + offset if offset else None

    def value(self, form: str, field: int) -> int:
        """A number; 0 if it is left out."""
        at = self.place(field)
        return 0 if at is None else self.number(form, at)

    def target(self, field: int) -> int:
        """Where the table or vector begins that a field refers to."""
        at = self.place(field)
        if at is None:
            raise struct.error
        return at + self.number("<I", at)


def check_unpacked(raw: BinaryIO, begins: int) -> None:
    """Raise Unreadable for a stream of messages, from a place in a file on, that unpacks to more than MOST at once.

    What is damaged in other ways is left to the reader.
    """
    size = raw.seek(0, 2)
    held: dict[int, int] = {}  # dictionary -> its bytes, unpacked
    while begins < size:
        raw.seek(begins)
        begins, unpacked = _message(raw, begins, held)
        if unpacked + sum(held.values()) > MOST:
            raise Unreadable(f"it unpacks to more than {MOST:,} bytes at once: write it in batches of fewer rows")


def _message(raw: BinaryIO, begins: int, held: dict[int, int]) -> tuple[int, int]:
    """(where the next message begins, bytes to which a batch unpacks) of the one that begins here."""
    frame, head = raw.read(8), 8
    if len(frame) == 8 and frame[:4] != b"\xff\xff\xff\xff":  # as before Arrow 0.15
        head = 4
    length = int.from_bytes(frame[head - 4 : head], "little", signed=True)
    if len(frame) < 8 or length <= 0:  # the end
        return 1 << 62, 0
    raw.seek(begins + head)
    data = raw.read(length)
    if len(data) < length:  # it was cut off: what stands before is read
        return 1 << 62, 0
    try:
        message = Table(data, struct.unpack_from("<I", data)[0])
        kind, body = message.value("<B", 1), message.value("<q", 3)
        unpacked, start = 0, begins + head + length
        if kind in (DICTIONARY, BATCH):
            inner = Table(data, message.target(2))
            batch = Table(data, inner.target(1)) if kind == DICTIONARY else inner
            unpacked = _unpacked(raw, batch, start)
            if kind == DICTIONARY:
                name, more = inner.value("<q", 0), inner.value("<B", 2)
                held[name], unpacked = unpacked + (held.get(name, 0) if more else 0), 0
    except (struct.error, OverflowError) as error:
        raise Unreadable(DAMAGED) from error
    if body < 0:
        raise Unreadable(DAMAGED)
    return start + body, unpacked


def _unpacked(raw: BinaryIO, batch: Table, start: int) -> int:
    """The bytes to which the buffers of a batch unpack, if they are compressed; its body begins at `start`."""
    if batch.place(3) is None:
        return 0
    at, total = batch.target(2), 0
    for number in range(batch.number("<I", at)):
        offset, length = struct.unpack_from("<qq", batch.data, at + 4 + 16 * number)
        if length < 0 or offset < 0:
            raise Unreadable(DAMAGED)
        raw.seek(start + offset)
        claimed = int.from_bytes(raw.read(8), "little", signed=True) if length >= 8 else 0
        total += claimed if claimed >= 0 else length  # -1: this one is not compressed
    return total
