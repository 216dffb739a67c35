"""Own data: a file as a stream of UTF-8 bytes, whatever it is packed and marked with.

Only regular files are opened, and no link is followed. UTF-16 and UTF-32 are read where a mark at the beginning says
so. A file that cannot be unpacked to its end gives what stands before the fault, and says so.
"""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import BinaryIO

from engine.core.files import open_regular

BLOCK = 1 << 18  # bytes read at a time: so much of a fault's neighbourhood may be lost
MARKS = {  # the longer first: UTF-32's begins as UTF-16's does
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def zstd(raw: BinaryIO) -> BinaryIO:
    """What is inside a .zst file."""
    import pyarrow

    return pyarrow.input_stream(raw, compression="zstd")


# How packed files begin, whatever their names say.
BEGIN = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\x00": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}
PACKED = {".gz": lambda raw: gzip.GzipFile(fileobj=raw), ".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile, ".zst": zstd}


def packing_of(raw: BinaryIO, path: Path) -> tuple[str, str]:
    """(what a file is packed with, by its first bytes, as names end, "" if with nothing; why it cannot be read where
    its name says that it is packed, and it is not)."""
    head = raw.read(6)
    raw.seek(0)
    found, named = next((name for magic, name in BEGIN.items() if head.startswith(magic)), ""), path.suffix.lower()
    if found or named not in PACKED or not head:
        return found, ""
    return "", f"its name ends in {named}, and it is not packed so: name it as what it is, or copy it again"


def opened(path: Path) -> BinaryIO:
    """A file of the corpus, to read. Raises OSError for what is no regular file, links included."""
    return open_regular(path, links=False)


class Unpacked(io.RawIOBase):
    """What is inside a file, as UTF-8 bytes without a mark.

    fault: why it ends early; "" while nothing is wrong. A unit that UTF-16 does not allow becomes bytes that UTF-8
    does not allow, so that it costs its line as any bad byte does.
    """

    def __init__(self, raw: BinaryIO, path: Path):
        packing, named = packing_of(raw, path)
        self.inner = PACKED.get(packing, lambda raw: raw)(raw)
        self.decoder: codecs.IncrementalDecoder | None = None
        self.begun, self.some = False, False
        self.ahead = b""
        self.fault = named

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if not self.begun:
            self._begin()
        while not self.ahead and (block := self._block()):
            self.ahead = self._recoded(block)
        if not self.ahead:
            self.ahead = self._rest()
        count = min(len(buffer), len(self.ahead))
        buffer[:count], self.ahead = self.ahead[:count], self.ahead[count:]
        return count

    def _block(self) -> bytes:
        """The next bytes inside; none at the end, and where it cannot be read on."""
        if self.fault:
            return b""
        try:
            block = self.inner.read1(BLOCK)
            self.some |= bool(block)
            return block
        except (OSError, EOFError, zlib.error, lzma.LZMAError, MemoryError) as error:  # pyarrow's are OSErrors
            reason = str(error).rstrip(".") or type(error).__name__
            kept = "; what comes before is kept" if self.some else ""
            self.fault = f"it cannot be read {'to its end ' if self.some else ''}({reason}){kept}"
            return b""

    def _begin(self) -> None:
        self.begun = True
        head = b""
        while len(head) < 4 and (block := self._block()):
            head += block
        coding = next((name for mark, name in MARKS.items() if head.startswith(mark)), None)
        if coding:
            self.decoder = codecs.getincrementaldecoder(coding)("surrogatepass")
        self.ahead = self._recoded(head.removeprefix(codecs.BOM_UTF8))

    def _recoded(self, data: bytes, final: bool = False) -> bytes:
        return self.decoder.decode(data, final).encode("utf-8", "surrogatepass") if self.decoder else data

    def _rest(self) -> bytes:
        """What the decoder still holds at the end."""
        try:
            return self._recoded(b"", final=True)
        except UnicodeDecodeError:
            self.fault = self.fault or "it ends in the middle of a character; what comes before is kept"
            self.decoder = None
            return b""


def stream_of(raw: BinaryIO, path: Path) -> tuple[io.BufferedReader, Unpacked]:
    """(a buffered stream of a file's UTF-8 bytes, where its fault stands once it was read)."""
    inside = Unpacked(raw, path)
    return io.BufferedReader(inside, BLOCK), inside
