"""Own data: text out of .txt, .md, .jsonl, .csv and .parquet files, packed with gzip or zstd or not.

Everything is streamed: no line, field or document makes memory grow without bound. A file that cannot be read
to its end is skipped and named in the tally, and what was read before stays; a domain where nothing could be
read is a Problem.
"""

import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from engine.core.errors import Problem
from engine.corpus.document import PIECE_BYTES, Document, Tally, pieces, salted_hash
from engine.corpus.layouts import SourceFile, kind_of

TEXT = "text"  # the column, unless another is asked for
MOST_LINE = 16_000_000  # bytes of a line of .jsonl or .csv
FEW_FILES = 20  # a domain of fewer text files is split by pieces of them, not by whole files
SMALL_PIECE = 16_384  # bytes of such a piece


class Unreadable(Exception):
    """A file cannot be read any further; the message says why."""


def documents(domain: str, files: list[SourceFile], column: str, tally: Tally) -> Iterator[Document]:
    """The documents of a domain's files, files in the order of a hash of their names.

    Raises Problem at the end when no file gave any text.
    """
    tally.listed = sum(file.path.stat().st_size for file in files)
    whole_files = sum(kind_of(file.path) in (".txt", ".md") for file in files) >= FEW_FILES
    done = 0
    some = False
    for file in sorted(files, key=lambda file: salted_hash("sample", file.name)):
        try:
            for document in of_file(file, column, whole_files, tally, done):
                some = True
                yield document
        except UnicodeDecodeError as error:
            tally.skip(file.name, f"not UTF-8 (byte 0x{error.object[error.start]:02x}): convert it to UTF-8")
        except (Unreadable, OSError, EOFError, zlib.error, csv.Error) as error:
            tally.skip(file.name, str(error) or "it ends too early")
        done += file.path.stat().st_size
        tally.read = done
    if not some:
        first = tally.skipped[0] if tally.skipped else {"path": files[0].name, "reason": "it is empty"}
        raise Problem(
            f"Cannot use the domain {domain!r}: none of its {len(files)} files gave any text. "
            f"{first['path']}: {first['reason']}. Fix it, or leave the domain out."
        )


def of_file(file: SourceFile, column: str, whole_files: bool, tally: Tally, done: int) -> Iterator[Document]:
    """The documents of one file; `tally.read` follows the place in it, from `done` bytes on."""
    kind = kind_of(file.path)
    if kind == ".parquet":
        for number, (text, progress) in enumerate(parquet_texts(file.path, column)):
            tally.read = done + int(progress * file.path.stat().st_size)
            yield from record(file, number, text, tally)
        return
    with open(file.path, "rb") as raw:
        stream = unpacked(raw, file.path)
        if kind in (".txt", ".md"):
            limit = PIECE_BYTES if whole_files else SMALL_PIECE
            for number, piece in enumerate(filter(None, text_pieces(stream, limit))):
                tally.read = done + raw.tell()
                tally.cut += number == 1
                yield Document(file.name if whole_files else f"{file.name}#{number}", piece, file.side)
            return
        texts = jsonl_texts(stream, column, file.name, tally) if kind == ".jsonl" else csv_texts(stream, column)
        for number, text in enumerate(texts):
            tally.read = done + raw.tell()
            yield from record(file, number, text, tally)


def record(file: SourceFile, number: int, text: str, tally: Tally) -> Iterator[Document]:
    """One record as a document, or as pieces of one group if it is very long."""
    data = text.encode("utf-8", "replace")  # JSON can hold half a surrogate pair, which no UTF-8 can
    tally.cut += len(data) > PIECE_BYTES
    for piece in pieces(data):
        yield Document(f"{file.name}#{number}", piece, file.side)


def unpacked(raw: BinaryIO, path: Path) -> BinaryIO:
    """The stream inside a .gz or .zst file; others as they are."""
    if path.suffix.lower() == ".gz":
        return gzip.GzipFile(fileobj=raw)
    if path.suffix.lower() == ".zst":
        import pyarrow

        return io.BufferedReader(pyarrow.input_stream(raw, compression="zstd"), PIECE_BYTES)
    return raw


def text_pieces(stream: BinaryIO, limit: int) -> Iterator[bytes]:
    """Plain text in pieces of at most `limit` bytes, cut at lines where there are any."""
    rest = stream.read(PIECE_BYTES).removeprefix(b"\xef\xbb\xbf")
    while block := stream.read(PIECE_BYTES) if rest else b"":
        *whole, rest = pieces(rest + block, limit)
        yield from map(checked, whole)
    yield from map(checked, pieces(rest, limit))


def checked(data: bytes) -> bytes:
    """The bytes, if they are UTF-8 text. Raises Unreadable or UnicodeDecodeError."""
    if b"\0" in data:
        raise Unreadable("binary data or UTF-16 (it has zero bytes): convert it to UTF-8 text")
    data.decode("utf-8")
    return data


def lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Lines with their ends; None in place of a line that is too long."""
    while line := stream.readline(MOST_LINE):
        if len(line) < MOST_LINE or line.endswith(b"\n"):
            yield line
            continue
        while (more := stream.readline(MOST_LINE)) and not more.endswith(b"\n"):
            pass
        yield None


def jsonl_texts(stream: BinaryIO, column: str, name: str, tally: Tally) -> Iterator[str]:
    """The text of each line's object. Bad lines are passed over and counted by reason."""
    faults: Counter[str] = Counter()
    first: dict[str, int] = {}
    try:
        for number, line in enumerate(lines(stream), 1):
            if line is not None and not line.strip(b"\xef\xbb\xbf \t\r\n"):
                continue
            text, fault = json_text(line, column)
            if fault:
                faults[fault] += 1
                first.setdefault(fault, number)
            elif text:
                yield text
    finally:
        for fault, count in faults.items():
            tally.skip(name, f"{count:,} of its lines: {fault} (first: line {first[fault]:,})")


def json_text(line: bytes | None, column: str) -> tuple[str, str]:
    """(text, "") of a line, or ("", why not)."""
    if line is None:
        return "", f"longer than {MOST_LINE:,} bytes"
    if b"\0" in line:
        return "", "binary data (zero bytes)"
    try:
        value = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except UnicodeDecodeError:
        return "", "not UTF-8"
    except (ValueError, RecursionError):
        return "", "not JSON"
    if not isinstance(value, dict):
        return "", f"not an object but {type(value).__name__}"
    if not isinstance(value.get(column), str):
        there = ", ".join(map(repr, list(value)[:8])) or "none"
        return "", f"no text in {column!r}; its fields: {there}"
    return value[column], ""


def csv_texts(stream: BinaryIO, column: str) -> Iterator[str]:
    """The text of each row, by the header's name of the column."""
    csv.field_size_limit(MOST_LINE)

    def decoded() -> Iterator[str]:
        for line in lines(stream):
            if line is None:
                raise Unreadable(f"a line is longer than {MOST_LINE:,} bytes")
            yield checked(line).decode("utf-8-sig")

    rows = csv.reader(decoded())
    place = column_place(next(rows, []), column)
    for row in rows:
        if len(row) > place and row[place]:
            yield row[place]


def column_place(names: list[str], column: str) -> int:
    """A column's index. Raises Unreadable, naming the existing ones, if it is missing."""
    if column not in names:
        there = ", ".join(repr(name[:40]) for name in names[:8]) or "none"
        raise Unreadable(f"it has no column {column!r}; its columns: {there}")
    return names.index(column)


def parquet_texts(path: Path, column: str) -> Iterator[tuple[str, float]]:
    """(text, share of the file's rows read so far) of each row."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            column_place(file.schema_arrow.names, column)
            kind = file.schema_arrow.field(column).type
            if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
                raise Unreadable(f"its column {column!r} holds {kind}, not text")
            done = 0
            for batch in file.iter_batches(batch_size=256, columns=[column]):
                for text in batch.column(0):
                    done += 1
                    if text.as_py():
                        yield text.as_py(), done / file.metadata.num_rows
    except pyarrow.ArrowException as error:
        raise Unreadable(str(error).split("\n")[0]) from error
