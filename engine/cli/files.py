"""Files that commands read and write: pipes are read to their end, and no output replaces what is there unasked."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.core.errors import Problem
from engine.core.files import refuse_taken

PIPED = "piped"  # the name of what came through a pipe
MOST_PIPED, PIECE = 1 << 30, 1 << 20  # bytes
STARTS = {b"PAR1": ".parquet", b"{": ".json"}  # how a file begins -> its suffix; any other is a table of text


def new_output(path: Path, force: bool = False) -> None:
    """Raise Problem if a command may not write there."""
    try:
        refuse_taken(path, force)
    except Problem as problem:
        if path.is_symlink() or not path.is_file():
            raise
        raise Problem(f"{str(problem).rstrip('.')}, or add --force.") from None


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
