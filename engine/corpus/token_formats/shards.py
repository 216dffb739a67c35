"""What MDS and litdata share: data sets whose index.json lists shards, each a count, offsets and samples one after
another, as 32-bit numbers; a shard may be packed by zstd. N samples."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.core.files import open_regular
from engine.corpus.streams import zstd
from engine.corpus.token_formats.base import unreadable

LARGEST_INDEX = 1 << 28  # bytes of an index.json that are read
LARGEST = 1 << 30  # bytes of a shard that is unpacked: its index says how many, and no more are taken


def index_of(path: Path) -> dict[str, Any]:
    """An index.json. Raises Problem for one that is damaged, or larger than any."""
    path = path / "index.json" if path.is_dir() else path
    try:
        with open_regular(path, links=False) as file:
            text = file.read(LARGEST_INDEX + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        found = json.loads(text) if len(text) <= LARGEST_INDEX else None
    except ValueError as error:
        raise Problem(f"Cannot read {path}: it is damaged ({error}).") from error
    if not isinstance(found, dict):
        raise Problem(f"Cannot read {path}: it is not an index of shards.")
    return found


def beside(index: Path, name: Any) -> Path:
    """A file that an index names. Raises Problem for a name that leads elsewhere, and for what is not there."""
    folder = index if index.is_dir() else index.parent
    if not isinstance(name, str) or not name or Path(name).name != name or "\0" in name:
        raise Problem(f"Cannot read {index}: it names {name!r:.80} for a shard, which is not a file beside it.")
    if not (folder / name).is_file() or (folder / name).is_symlink():
        raise Problem(f"Cannot read {index}: there is no {name} beside it. Part of the data set is missing.")
    return folder / name


@dataclass(frozen=True)
class Shard:
    """A file of samples behind an index: its path, whether it is packed, its bytes unpacked, its samples, tokens."""

    path: Path
    packed: bool
    bytes: int
    documents: int
    count: int

    @property
    def units(self) -> int:
        """Its samples: each can be read by itself."""
        return self.documents

    def opened(self) -> tuple[np.ndarray, np.ndarray]:
        """Its bytes, (bytes,) uint8, and where each sample begins and the last one ends, (N + 1,)."""
        data = contents_of(self.path, self.packed, self.bytes)
        return data, offsets_of(self.path, data, self.documents, self.bytes)


def contents_of(path: Path, packed: bool, size: int, most: int | None = None) -> np.ndarray:
    """The bytes of a shard, (size,) uint8: memory-mapped, or unpacked; most: only the first of these.

    Raises Problem for another size than the index tells of, and for a packed shard that is larger than any.
    """
    if not packed:
        if path.stat().st_size != size:
            why = "It was cut off" if path.stat().st_size < size else "The index is another's"
            raise Problem(
                f"Cannot read {path}: it has {path.stat().st_size:,} bytes, and its index tells of {size:,}. {why}."
            )
        return np.memmap(path, np.uint8, "r") if size else np.zeros(0, np.uint8)
    if size > LARGEST:
        raise Problem(f"Cannot read {path}: unpacked it has {size:,} bytes, and at most {LARGEST:,} are unpacked.")
    wanted = size + 1 if most is None else min(most, size)
    try:
        with open_regular(path, links=False) as file:
            data = zstd(file).read(wanted)
    except OSError as error:
        raise Problem(f"Cannot read {path}: it cannot be unpacked ({error}). It was cut off, or is damaged.") from error
    if len(data) != (size if most is None else wanted):
        raise Problem(f"Cannot read {path}: unpacked it has not the {size:,} bytes of its index. It is damaged.")
    return np.frombuffer(data, np.uint8)


def offsets_of(path: Path, data: np.ndarray, samples: int, size: int) -> np.ndarray:
    """(N + 1,) where each sample of a shard begins, and the last one ends. Raises Problem where they do not fit."""
    first = 4 * (samples + 2)
    if len(data) < first or int(data[:4].view("<u4")[0]) != samples:
        raise Problem(f"Cannot read {path}: it does not hold the {samples:,} samples of its index. It is another file.")
    found = data[4:first].view("<u4").astype(np.int64)
    if found[0] < first or found[-1] != size or (np.diff(found) < 0).any():
        raise Problem(f"Cannot read {path}: its samples do not fill its {size:,} bytes. It is damaged.")
    return found


def whole(value: Any, path: Path, what: str) -> int:
    """A count of an index. Raises Problem for what is none."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        raise Problem(f"Cannot read {path}: {what} is {value!r:.80}, and must be a number. The index is damaged.")
    return value
