"""Where the code lies, and how files are written atomically. Standard library only."""

import errno
import json
import os
import secrets
import shutil
import stat
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.core.errors import Problem, Unavailable

ROOM = 4_000_000  # bytes that must be free before anything is decided: what follows a decision is small
CHECKOUT = Path(__file__).parents[2]  # the working directory of every process that runs `python -m engine...`


KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
)


def special(path: Path) -> str | None:
    """What is at a path, if no regular file: a link, a pipe, a device, a folder. None for a file, and for nothing."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return next((kind for matches, kind in KINDS if matches(mode)), None)


def given_path(text: str) -> Path:
    """A path as a command's option names it: ~ is the user's folder, as in shells, which leave `--out=~/x` as it is.
    Raises ArgumentTypeError for one that is empty, as of a variable that is not set, or that is no text."""
    if not text.strip():
        raise ArgumentTypeError("the path is empty: name a file or a folder, . for this one")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f"{text!r} is no UTF-8 text: give it another name") from None
    return Path(os.path.expanduser(text))


def nearest(path: Path) -> Path:
    """What is there of a path's parents, the lowest of them: a folder, where something can be written at the path."""
    return next((one for one in path.absolute().parents if os.path.lexists(one)), path)


EXPORTS = "exports"  # of a workspace: what people take from it


def refuse_below(path: Path) -> None:
    """Raise Problem if an output lies below what is no folder, or in one that is not there: a mistyped path would make
    it. A workspace's folder for exports is made where it is asked for."""
    if not (parent := nearest(path)).is_dir():
        raise Problem(f"Cannot write {path}: {parent} is not a folder. Choose another place.")
    if parent != path.absolute().parent and not (is_workspace(parent) or is_workspace(parent.parent)):
        raise Problem(f"Cannot write {path}: there is no folder {path.parent}. Make it first, or choose another place.")


def is_workspace(folder: Path) -> bool:
    """Whether a folder is a workspace."""
    return (folder / "version").is_file() and (folder / "journal").is_dir()


def refuse_taken(path: Path, force: bool = False, into: Path | None = None) -> None:
    """Raise Problem if an output may not be written: over a file unasked, over a link, a pipe or a device ever.

    into: the folder that is made for it and others, where it is one of several files.
    """
    if kind := special(path):
        raise Problem(f"Cannot write {path}: it is {kind}, not a file. Give the name of a new file.")
    if into is None or not nearest(path).is_dir():
        refuse_below(path)
    elif not into.is_dir():
        refuse_below(into)
    refuse_own(path)
    if not force and path.exists():
        raise Problem(f"Cannot write {path}: it exists. Choose another name.")


def refuse_own(path: Path) -> None:
    """Raise Problem where an output would lie among what a workspace keeps for itself: its journals are the source of
    all else. Its folder for exports is free."""
    place = path.resolve()
    for root in place.parents:
        if is_workspace(root):
            if place.relative_to(root).parts[0] != EXPORTS:
                raise Problem(f"Cannot write {path}: it lies inside the workspace {root}. Choose a place outside.")
            return


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path in the same folder to write to: it takes the place of `path` when the block ends, and goes if it fails.

    Its name is random, so writers on several hosts never share one.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_room(folder: Path, beside: int = 0) -> None:
    """Raise Unavailable if the disk of a folder is too full to begin anything: half of it might not fit. beside: bytes
    that it takes for sure."""
    free, needed = shutil.disk_usage(folder).free, ROOM + beside
    if free < needed:
        raise Unavailable(
            f"Cannot write into {folder}: its disk is full ({free / 1e6:.1f} MB are left, and {needed / 1e6:.0f} MB "
            "are needed). Nothing was done. Free some space, then try again."
        )


def open_regular(path: Path, links: bool = True) -> BinaryIO:
    """Open a file to read. Raises OSError as `open` does, and for what is no regular file: a pipe or a device would
    wait for ever, or have no end. links: whether a link is followed; if not, it is refused as well."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return open(descriptor, "rb")


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file of text atomically, readable as `mode` says from its first byte on."""
    with (
        replacing(path) as part,
        open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file,
    ):
        file.write(text)


def write_json(path: Path, value: object, mode: int = 0o644) -> None:
    """Write a JSON file atomically. Raises ValueError for NaN and infinity, which JSON has not."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False), mode)


def clear_parts(path: Path) -> None:
    """Remove what killed writers of a file left beside it. Only for the one who alone writes it."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)
