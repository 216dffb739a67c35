"""Own data: documents out of the files of a domain.

Everything is streamed: no line, field or document makes memory grow without bound. What is wrong with a line costs
that line; a file that cannot be read to its end gives what stands before. Both are named in the tally; a domain where
nothing could be read is a Problem.
"""

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from engine.core.errors import Problem
from engine.corpus.document import (
    PIECE_BYTES,
    Document,
    Tally,
    Written,
    character_edge,
    documents_of,
    pieces,
    salted_hash,
)
from engine.corpus.fields import Fields
from engine.corpus.json_records import json_texts
from engine.corpus.layouts import PLAIN, SourceFile, kind_of
from engine.corpus.records import BINARY, NO_TEXT, NOT_UTF8, Faults, Unreadable, csv_texts
from engine.corpus.streams import opened, stream_of
from engine.corpus.tables import arrow_texts, parquet_texts

FEW_FILES = 20  # a domain of fewer text files is split by pieces of them, not by whole files
SMALL_PIECE = 16_384  # bytes of such a piece
TABLES = {".parquet": parquet_texts, ".arrow": arrow_texts, ".feather": arrow_texts, ".ipc": arrow_texts}
OTHER = {  # how files begin that are no text
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"PK\x03\x04": "a zip archive or a workbook",
    b"\xd0\xcf\x11\xe0": "an old workbook or document",
    b"SQLite format 3": "a database",
    b"%PDF-": "a PDF",
    b"\x89HDF": "an HDF5 file",
    b"FEA1": "a Feather file of the first version",
    b"\x93NUMPY": "a NumPy array",
}
TAR = slice(257, 262)  # where a tar archive says that it is one
OTHER_FIELDS = re.compile("its (fields|columns): '")  # in the reason why a file gave no text
DELIMITERS = {".csv": ",", ".tsv": "\t"}
UNITS = {".jsonl": "line", ".ndjson": "line", ".json": "record", **dict.fromkeys(PLAIN, "line")}  # others: rows


def documents(domain: str, files: list[SourceFile], fields: Fields, tally: Tally) -> Iterator[Document]:
    """The documents of a domain's files, files in the order of a hash of their names.

    Raises Problem at the end when no file gave any text.
    """
    tally.listed = sum(file.size for file in files)
    tally.files = len(files)
    whole_files = sum(kind_of(file.path) in PLAIN for file in files) >= FEW_FILES
    done = 0
    some = False
    for file in sorted(files, key=lambda file: salted_hash("sample", file.name)):
        tally.files_begun += 1
        for number, document in enumerate(of_file(file, fields.of(file.only), whole_files, tally, done)):
            if not number:
                some = True
                tally.gave_text(file.name)
            yield document
        done += file.size
        tally.read = done
    if not some:
        first = tally.skipped[0] if tally.skipped else {"path": files[0].name, "reason": "it is empty"}
        none = "its one file gave no text" if len(files) == 1 else f"none of its {len(files):,} files gave any text"
        named = " If another field holds the text, name that one." if OTHER_FIELDS.search(first["reason"]) else ""
        raise Problem(f"Cannot use the domain {domain!r}: {none}. {first['path']}: {first['reason']}.{named}")


def of_file(file: SourceFile, fields: Fields, whole_files: bool, tally: Tally, done: int) -> Iterator[Document]:
    """The documents of one file; `tally.read` follows the place in it, from `done` bytes on.

    What is wrong with it, or with lines of it, is told in the tally.
    """
    kind = kind_of(file.path)
    faults = Faults(UNITS.get(kind, "row"))
    some = False
    try:
        with opened(file.path) as raw:
            for document, place in placed_documents(file, kind, raw, fields, whole_files, tally, faults):
                some = True
                tally.read = done + place
                yield document
    except Unreadable as error:
        tally.skip(file.name, str(error))
    except OSError as error:
        tally.skip(file.name, error.strerror or str(error))
    else:
        if not some and not faults.counts:
            tally.skip(file.name, "it is empty: it holds no text")
    finally:
        faults.tell(file.name, tally)


def placed_documents(
    file: SourceFile, kind: str, raw: BinaryIO, fields: Fields, whole_files: bool, tally: Tally, faults: Faults
) -> Iterator[tuple[Document, int]]:
    """(document, bytes of the file read so far) of one file. Raises Unreadable where it cannot be read on."""
    if kind in TABLES:
        if other := other_kind(raw.read(4)) if kind != ".parquet" else "":
            raise Unreadable(f"it is {other}: write it again as Arrow IPC")
        raw.seek(0)
        for number, (text, progress) in enumerate(TABLES[kind](raw, fields, faults)):
            for document in documents_of(f"{file.name}#{number}", text, file.side, tally):
                yield document, int(progress * file.size)
        return
    stream, inside = stream_of(raw, file.path)
    if other := other_kind(stream.peek(1)):
        raise Unreadable(f"it is {other}, whatever its name says")
    if kind in PLAIN:
        limit = PIECE_BYTES if whole_files else SMALL_PIECE
        for number, piece in enumerate(filter(None, text_pieces(stream, limit, faults))):
            tally.cut += number == 1
            yield Document(file.name if whole_files else f"{file.name}#{number}", piece, file.side), raw.tell()
    else:
        for number, text in enumerate(record_texts(kind, stream, fields, faults)):
            if not text.text:  # of another domain
                continue
            for document in documents_of(f"{file.name}#{number}", text, file.side, tally):
                yield document, raw.tell()
    if inside.fault:
        raise Unreadable(inside.fault)


def other_kind(head: bytes) -> str:
    """What a file is that begins so, where that is no text; else ""."""
    if head[TAR] == b"ustar":
        return "a tar archive"
    return next((what for magic, what in OTHER.items() if head.startswith(magic)), "")


def record_texts(kind: str, stream: io.BufferedReader, fields: Fields, faults: Faults) -> Iterator[Written]:
    """The texts of a file of records."""
    if kind in DELIMITERS:
        return csv_texts(stream, fields, DELIMITERS[kind], faults)
    return json_texts(stream, fields, faults, kind)


def text_pieces(stream: io.BufferedReader, limit: int, faults: Faults) -> Iterator[bytes]:
    """Plain text in pieces of at most `limit` bytes, cut at lines where there are any, without its bad lines."""
    rest = stream.read(PIECE_BYTES)
    check_text(rest)
    number = 1
    while block := stream.read(PIECE_BYTES) if rest else b"":
        *whole, rest = pieces(rest + block, limit)
        for piece in whole:
            yield without_bad_lines(piece, faults, number)
            number += piece.count(b"\n")
    for piece in pieces(rest, limit):
        yield without_bad_lines(piece, faults, number)
        number += piece.count(b"\n")


def check_text(head: bytes) -> None:
    """Raise Unreadable if more than half of a file's first lines are not text: then the file is something else."""
    if len(head) == PIECE_BYTES:
        head = head[: character_edge(head, PIECE_BYTES - 4)]  # it may end within a character
    written = [line for line in head.splitlines() if line.strip()]
    bad = [(fault, line) for line in written if (fault := line_fault(line))]
    if 2 * len(bad) <= len(written):
        return
    fault, line = bad[0]
    if fault == NOT_UTF8:
        byte = next(ord(letter) - 0xDC00 for letter in line.decode("utf-8", "surrogateescape") if NO_TEXT.match(letter))
        fault = f"{fault} (byte 0x{byte:02x})"
    raise Unreadable(f"{fault} in more than half of its first lines: convert it to UTF-8 text")


def line_fault(line: bytes) -> str:
    """Why a line is not text; "" if it is."""
    if b"\0" in line:
        return BINARY
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return NOT_UTF8
    return ""


def without_bad_lines(piece: bytes, faults: Faults, number: int) -> bytes:
    """A piece of text without the lines that are not text, which are counted from line `number` on."""
    if not line_fault(piece):
        return piece
    kept = []
    for place, line in enumerate(piece.splitlines(keepends=True)):
        if fault := line_fault(line):
            faults.add(fault, number + place)
        else:
            kept.append(line)
    return b"".join(kept)
