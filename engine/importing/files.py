"""Read a file into a table: what it is follows from its first bytes, and how much of it there is from its own count."""

import bz2
import csv
import gzip
import lzma
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.core.errors import Problem
from engine.importing.columnar import read_parquet
from engine.importing.encodings import decoded
from engine.importing.harness_table import results_table
from engine.importing.limits import BYTES, ROWS, bounded
from engine.importing.nested import spread
from engine.importing.number_formats import written_plainly
from engine.importing.questions import Question
from engine.importing.tables import Table
from engine.importing.text_files import Columns, read_text
from engine.importing.trackers import SQLITE, read_sqlite

PARQUET = b"PAR1"
TAR = slice(257, 262)  # where an archive of tar's says what it is
PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
# What people have instead of a table -> what to do about it.
OTHER = {
    b"PK\x03\x04": "a workbook or another zip archive. Save the sheet as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "an old workbook. Save the sheet as CSV",
    b"SQLite format 3": "a database. Unpack it, or export the table of runs",
    b"\x93NUMPY": "a NumPy array, whose columns have no names. Save a table with names as CSV",
    b"\x89HDF": "an HDF5 file. Save the table as CSV or Parquet",
    b"\x80\x02": "a pickle, which can run code when it is read. Save the table as CSV or Parquet",
    b"\x80\x03": "a pickle, which can run code when it is read. Save the table as CSV or Parquet",
    b"\x80\x04": "a pickle, which can run code when it is read. Save the table as CSV or Parquet",
    b"\x80\x05": "a pickle, which can run code when it is read. Save the table as CSV or Parquet",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard. Unpack it, or pack it with gzip",
    b"FEA1": "a Feather file of the first version. Save the table as Parquet",
    b"ARROW1": "an Arrow or Feather file. Save the table as Parquet",
    b"\xff\xff\xff\xff": "a stream of Arrow's. Save the table as Parquet",
    b"ORC": "an ORC file. Save the table as Parquet",
    b"Obj\x01": "an Avro file. Save the table as Parquet",
    b"\x04\x22\x4d\x18": "packed with LZ4. Unpack it, or pack it with gzip",
    b"\xff\x06\x00\x00sNaPpY": "packed with Snappy. Unpack it, or pack it with gzip",
    b"\x1f\x9d": "packed with compress. Unpack it, or pack it with gzip",
    b"7z\xbc\xaf": "an archive of 7-Zip's. Unpack it, or pack the table alone with gzip",
    b"Rar!": "an archive of RAR's. Unpack it, or pack the table alone with gzip",
    b"%PDF": "a PDF. Give the table itself, as CSV",
    b"<": "a web page or XML. Give the table itself, as CSV",
}


def read_table(path: Path, name: str | None = None, answers: dict[str, str] | None = None) -> Table:
    """Read a CSV, JSON or Parquet file, or Trackio's database: objects inside cells spread, figures as plain numbers;
    or results of a harness.

    name: what people call it; answers: to what it may leave open (Table.asked). Raises Problem where it is not a table,
    too large a one, or has two columns of one name.
    """
    name = name or path.name
    answers = answers or {}
    columns, lines, asked, left_out = cells_of(path, name, answers)
    table = results_table(name, columns, lines)
    if table is None:
        columns = spread(name, columns, lines)
        bounded(name, len(lines), len(columns))
        table = written_plainly(Table(name, columns, lines), answers)
    notes = [f"{name} was read as {one.answer(answers)}." for one in asked]
    return replace(table, asked=(*asked, *table.asked), notes=(*notes, *left_out, *table.notes))


def cells_of(path: Path, name: str, answers: dict[str, str]) -> tuple[*Columns, list[Question], list[str]]:
    """A file's columns of raw cells, what people call its rows, what reading them left open, and what it left out.

    Raises Problem where it is not a table, has no rows, or more rows, columns, cells or bytes than can be read.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(16)
        question: Question | None = None
        left_out: list[str] = []
        if head.startswith(PARQUET):
            columns, lines = read_parquet(path, name)
        elif head.startswith(SQLITE):
            columns, lines = read_sqlite(path, name)
        else:
            text, question = decoded(_bytes(path, head, name), name, answers)
            (columns, lines), left_out = read_text(text, name)
    except (OSError, EOFError, ValueError, csv.Error, lzma.LZMAError, zlib.error, pa.ArrowException) as error:
        raise Problem(f"Cannot read {name}: {error}. Give a CSV, JSON or Parquet file.") from error
    if not 1 <= len(lines) <= ROWS:
        raise Problem(f"Cannot import {name}: it has {len(lines):,} rows, and 1 to {ROWS:,} can be read.")
    bounded(name, len(lines), len(columns))
    return columns, lines, [question] if question else [], left_out


def refuse_other(head: bytes, name: str) -> None:
    """Raise Problem for a file, or what is packed in one, that begins as another kind of file does."""
    if what := next((what for magic, what in OTHER.items() if head.startswith(magic)), None):
        raise Problem(f"Cannot read {name}: it is {what}.")


def _bytes(path: Path, head: bytes, name: str) -> bytes:
    """A text file's bytes, unpacked. Raises Problem for other kinds of files, and for too many bytes."""
    refuse_other(head, name)
    if path.suffix.lower() in (".parquet", ".pq"):
        raise Problem(f"Cannot read {name}: it is not a Parquet file, whatever its name says. Write it again.")
    opener = next((opener for magic, opener in PACKED.items() if head.startswith(magic)), None)
    with path.open("rb") if opener is None else opener(path) as file:
        data: bytes = file.read(BYTES + 1)
    if opener is not None and data.startswith(PARQUET):
        raise Problem(f"Cannot read {name}: it is a packed Parquet file. Unpack it: Parquet is packed inside.")
    if data[TAR] == b"ustar":
        raise Problem(f"Cannot read {name}: it is an archive of files. Unpack it, and give the table alone.")
    refuse_other(data[:16], name)
    if len(data) > BYTES:
        raise Problem(f"Cannot read {name}: it is larger than {BYTES >> 20} MiB of text. Keep one row per run.")
    return data
