"""Files that commands read and write: pipes are read to their end, and no output replaces what is there unasked."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.checks import once_each
from engine.core.errors import Problem
from engine.core.files import refuse_taken
from engine.core.shown import READS
from engine.core.system import UNREADABLE, read_fault

if TYPE_CHECKING:
    from engine.importing import Table

PIPED = "piped"  # the name of what came through a pipe
MOST_PIPED, PIECE = 1 << 30, 1 << 20  # bytes
STARTS = {b"PAR1": ".parquet", b"{": ".json"}  # how a file begins -> its suffix; any other is a table of text


def new_output(path: Path, force: bool = False, into: Path | None = None) -> None:
    """Raise Problem if a command may not write there; a workspace's folder for exports is made. into: the folder that
    is made for its files."""
    try:
        refuse_taken(path, force, into)
    except Problem as problem:
        if path.is_symlink() or not path.is_file():
            raise
        raise Problem(f"{str(problem).rstrip('.')}, or add --force.") from None
    if into is None:
        path.parent.mkdir(parents=True, exist_ok=True)  # missing only there: elsewhere it was refused


@contextmanager
def as_file(path: Path) -> Iterator[Path]:
    """A file itself; or, while the block lasts, one with all that comes through a pipe, with a suffix by its content.

    Raises Problem if there is nothing, a folder, or a device.
    """
    if path.is_dir():
        raise Problem(f"Cannot read {path}: it is a folder. Name a file in it.")
    if not path.exists():
        raise Problem(f"Cannot read {path}: there is no such file. Check the path.")
    if path.is_char_device() or path.is_block_device():
        raise Problem(f"Cannot read {path}: it is a device, which may have no end. Name a file, or a pipe.")
    if path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder, open(path, "rb") as pipe:
        begins = pipe.read(PIECE)
        suffix = next((end for start, end in STARTS.items() if begins.lstrip().startswith(start)), ".csv")
        with open(file := Path(folder, PIPED).with_suffix(suffix), "wb") as copy:
            copy.write(begins)
            while piece := pipe.read(PIECE):
                if copy.tell() > MOST_PIPED:
                    raise Problem(f"Cannot read {path}: more than {MOST_PIPED:,} bytes came. Write them into a file.")
                copy.write(piece)
        yield file


def plain_table(file: Path) -> "Table":
    """A table that leaves nothing open: nobody is asked here. Raises Problem for a comma, or an encoding, that may be
    read in two ways."""
    from engine.importing import read_table  # with what reads Parquet, which few commands do

    table = read_table(file)
    if table.asked:
        raise Problem(f"Cannot read {file.name}: {table.asked[0].text} Write plain numbers (1234 or 1.234), in UTF-8.")
    return table


def numbers_in(path: Path) -> dict[str, float]:
    """{name: number} of a JSON object, or of the first two columns of a CSV file. Raises Problem for anything else."""
    with as_file(path) as file:
        if file.suffix.lower() == ".json":
            try:
                found = json.loads(
                    file.read_text(), object_pairs_hook=lambda pairs: once_each(pairs, str(path)), **READS
                )
            except UNREADABLE as error:
                cure = 'Write {"domain": number, ...}.'
                raise Problem(f"Cannot read {path}: {read_fault(error, cure)}") from error
            if not isinstance(found, dict):
                raise Problem(f'Cannot read {path}: it holds no object. Write {{"domain": number, ...}}.')
            return found
        table = plain_table(file)
    if len(table.columns) < 2:
        raise Problem(f"Cannot read {path}: it has one column. Write domain,tokens.")
    names, values = list(table.columns)[:2]
    return once_each(zip(table.keys(names), table.numbers(values).tolist(), strict=True), str(path))
