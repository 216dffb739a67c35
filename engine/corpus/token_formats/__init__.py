"""Pre-tokenised text of other tools, read where it lies: nothing is copied but what a sample takes.

Each format is a file here and a line in the table. Sizes come from headers and indices; links, pipes and devices are
neither followed nor opened, and no pickle is read.
"""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.core.errors import Problem
from engine.corpus.layouts import real_folder
from engine.corpus.token_formats import arrow, datatrove, litdata, mds, megatron, olmo
from engine.corpus.token_formats.base import Format, How, TokenFile

FORMATS: dict[str, Format] = {
    "megatron": megatron.FORMAT,
    "olmo": olmo.FORMAT,
    "datatrove": datatrove.FORMAT,
    "mds": mds.FORMAT,
    "litdata": litdata.FORMAT,
    "arrow": arrow.FORMAT,
}


class Counted(NamedTuple):
    """What a domain has: files, their tokens and bytes, and documents, None where that takes reading all tokens."""

    files: int
    tokens: int
    bytes: int
    documents: int | None


def files_of(format: str, patterns: Sequence[str]) -> list[Path]:
    """The files of a domain: of paths, patterns such as /data/web-*.npy, and folders. Links in folders are passed over;
    one that is named itself is followed. Raises Problem where one fits nothing, and for an unknown format."""
    if format not in FORMATS:
        raise Problem(f"Cannot read {format!r}: the formats are {', '.join(FORMATS)}.")
    found: list[Path] = []
    for pattern in patterns:
        place = Path(pattern).expanduser() if "\0" not in pattern else Path()
        if place.is_dir():
            fitting = list(below(place.resolve(), FORMATS[format].ending))
        elif glob.has_magic(pattern):
            fitting = [
                one.parent.resolve() / one.name
                for one in map(Path, sorted(glob.glob(str(place), recursive=True)))
                if one.is_file() and not one.is_symlink()
            ]
        else:
            fitting = [place.resolve()]
        if not fitting:
            raise Problem(f"Cannot find {pattern!r}: no file of {format} is there. Check the path.")
        found += fitting
    if format == "megatron":  # both files of a pair fit a pattern
        found = [one.with_suffix("") if one.suffix in (".bin", ".idx") else one for one in found]
    return list(dict.fromkeys(found))


def below(folder: Path, ending: str) -> Iterator[Path]:
    """The files below a folder whose names end so, by name; hidden ones and links are passed over."""
    for place in sorted(folder.iterdir()):
        if place.name.startswith("."):
            continue
        if real_folder(place):
            yield from below(place, ending)
        elif place.name.endswith(ending) and place.is_file() and not place.is_symlink():
            yield place


def opened(format: str, patterns: Sequence[str], how: How) -> Iterator[TokenFile]:
    """A domain's files one by one. Raises Problem for one that cannot be read."""
    for path in files_of(format, patterns):
        yield FORMATS[format].open(path, how)


def counted(format: str, patterns: Sequence[str], how: How) -> Counted:
    """What a domain's files hold, by their headers and indices. Raises Problem for one that cannot be read."""
    files = tokens = size = 0
    documents: int | None = 0
    for one in opened(format, patterns, how):
        files, tokens, size = files + 1, tokens + one.count, size + one.size
        documents = None if documents is None or one.documents is None else documents + one.documents
    return Counted(files, tokens, size, documents)
