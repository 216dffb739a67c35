"""MosaicML's MDS: index.json lists shards of samples with columns, one of tokens (streaming/base/format/mds).

Of a sample stand first the sizes of its columns without a fixed one, as 32-bit numbers, then the columns by name. A
column `ndarray` writes its type and shape before its values, as far as its encoding does not say them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.corpus.token_formats.base import LONGEST, WIDTHS, Format, How, Joined
from engine.corpus.token_formats.shards import Shard, beside, contents_of, index_of, offsets_of, whole

COLUMNS = ("tokens", "input_ids")  # what the column of tokens is usually called
CODES = {8: "u1", 9: "i1", 16: "<u2", 17: "<i2", 32: "<u4", 33: "<i4", 64: "<u8", 65: "<i8"}  # of whole numbers
NAMES = {"uint8": 8, "int8": 9, "uint16": 16, "int16": 17, "uint32": 32, "int32": 33, "uint64": 64, "int64": 65}
SHAPES = ("u1", "<u2", "<u4")  # the types of a shape, by how many tokens it tells of


@dataclass(frozen=True)
class Column:
    """Where tokens stand in a sample. place: of the column; sizes: of all columns in bytes, None where samples say
    them; dtype: of the tokens, None where samples say it; shaped: whether samples say their shape."""

    place: int
    sizes: tuple[int | None, ...]
    dtype: np.dtype | None
    shaped: bool

    @property
    def heads(self) -> int:
        """The bytes in which a sample says the sizes of its columns."""
        return 4 * self.sizes.count(None)

    def tokens_in(self, data: np.ndarray) -> np.ndarray:
        """The tokens of a column's bytes. Raises ValueError where they are none."""
        dtype, at = self.dtype, 0
        if dtype is None:
            dtype, at = np.dtype(CODES[int(data[0])]), 1
        if self.shaped:
            axes, kind = divmod(int(data[at]), 4)
            shape = data[at + 1 : at + 1 + axes * (1 << kind)].view(f"<u{1 << kind}")
            at += 1 + axes * (1 << kind)
            if axes != 1 or int(shape[0]) * dtype.itemsize != len(data) - at:
                raise ValueError("its tokens are not one list")
        return data[at:].view(dtype)

    def counts(self, sizes: np.ndarray) -> np.ndarray:
        """(N,) tokens in columns of so many bytes (N,)."""
        assert self.dtype is not None
        if not self.shaped:
            return sizes // self.dtype.itemsize
        found = np.zeros(len(sizes), np.int64)
        for kind in reversed(SHAPES):
            width = np.dtype(kind).itemsize
            fits = (sizes - 1 - width) // self.dtype.itemsize
            found = np.where(fits < 256**width, fits, found)
        return found


@dataclass(frozen=True)
class ColumnShard(Shard):
    """A shard. column: where the tokens stand in its samples."""

    column: Column

    @property
    def size(self) -> int:
        return self.bytes

    def read(self, units: np.ndarray) -> Iterator[np.ndarray]:
        data, offsets = self.opened()
        sizes = sizes_of(data, offsets[:-1], self.column)
        starts = offsets[:-1] + self.column.heads + sizes[:, : self.column.place].sum(axis=1)
        for unit in units:
            own = data[starts[unit] : starts[unit] + sizes[unit, self.column.place]]
            try:
                yield self.column.tokens_in(own)[:LONGEST]
            except (ValueError, KeyError, IndexError) as error:
                raise Problem(f"Cannot read {self.path}: sample {unit} is damaged ({error}).") from error


def sizes_of(data: np.ndarray, starts: np.ndarray, column: Column) -> np.ndarray:
    """(N, columns) bytes of each column of samples that begin there."""
    fixed = np.array([0 if size is None else size for size in column.sizes], np.int64)
    found = np.repeat(fixed[None], len(starts), axis=0)
    if column.heads:
        heads = data[starts[:, None] + np.arange(column.heads)]  # (N, 4 variable columns)
        found[:, [size is None for size in column.sizes]] = np.ascontiguousarray(heads).view("<u4")
    return found


def opened(path: Path, how: How) -> Joined:
    """The shards of an index.json. Raises Problem where it is none of tokens."""
    shards = index_of(path).get("shards")
    if not isinstance(shards, list) or not all(isinstance(one, dict) for one in shards):
        raise Problem(f"Cannot read {path}: it is not an index of MosaicML's streaming. Is it one of litdata's?")
    return Joined(path, [shard_of(path, one, how) for one in shards])


def shard_of(index: Path, told: dict[str, Any], how: How) -> ColumnShard:
    """One shard as its index tells of it, with its tokens counted: from the index where all samples are of one length,
    else from their sizes."""
    if told.get("format") != "mds" or told.get("version") != 2:
        raise Problem(f"Cannot read {index}: a shard is of {told.get('format')!r}, version {told.get('version')!r}.")
    column = column_of(index, told, how)
    about, packing = told.get("raw_data"), str(told.get("compression") or "")
    size = whole(about.get("bytes") if isinstance(about, dict) else None, index, "a shard's size")
    samples = whole(told.get("samples"), index, "a shard's number of samples")
    folder = index if index.is_dir() else index.parent
    name = about.get("basename") if isinstance(about, dict) else None
    packed = bool(packing) and not (isinstance(name, str) and (folder / name).is_file())
    if packed and packing.partition(":")[0] != "zstd":
        raise Problem(f"Cannot read {index}: its shards are packed by {packing!r}. Known is zstd.")
    zipped = told.get("zip_data")
    path = beside(index, zipped.get("basename") if packed and isinstance(zipped, dict) else name)
    fixed = column.sizes[column.place]
    if fixed is not None and not column.shaped and column.dtype is not None:
        return ColumnShard(path, packed, size, samples, samples * (fixed // column.dtype.itemsize), column)
    alone = column.heads == 4 and column.dtype is not None  # then the offsets alone tell
    data = contents_of(path, packed, size, 4 * (samples + 2) if alone and packed else None)
    offsets = offsets_of(path, data, samples, size)
    if alone:
        own = np.diff(offsets) - 4 - sum(one for one in column.sizes if one is not None)
        return ColumnShard(path, packed, size, samples, int(column.counts(own).sum()), column)
    one = ColumnShard(path, packed, size, samples, 0, column)
    count = sum(len(tokens) for tokens in one.read(np.arange(samples)))
    return ColumnShard(path, packed, size, samples, count, column)


def column_of(index: Path, told: dict[str, Any], how: How) -> Column:
    """Where a shard's tokens stand. Raises Problem where no column holds tokens."""
    names, encodings, sizes = (told.get(f"column_{what}") for what in ("names", "encodings", "sizes"))
    if not all(isinstance(one, list) for one in (names, encodings, sizes)) or not len(names) == len(encodings) == len(
        sizes
    ):
        raise Problem(f"Cannot read {index}: it does not say the columns of its samples. It is damaged.")
    name = how.column or next((one for one in COLUMNS if one in names), None)
    if name not in names:
        raise Problem(
            f"Cannot read {index}: its samples have {listed([str(one) for one in names])}, and no column "
            f"{name or ' or '.join(COLUMNS)}. Say which holds the tokens."
        )
    place = names.index(name)
    kind, _, rest = str(encodings[place]).partition(":")
    given, _, shape = rest.partition(":")
    fixed = tuple(None if size is None else whole(size, index, "a column's size") for size in sizes)
    if kind == "bytes":
        if how.dtype not in WIDTHS:
            raise Problem(f"Cannot read {index}: it does not say how wide its tokens are. Say {' or '.join(WIDTHS)}.")
        return Column(place, fixed, WIDTHS[how.dtype], False)
    if kind != "ndarray" or (given and given not in NAMES):
        raise Problem(
            f"Cannot read {index}: its column {name!r} is {encodings[place]!r}, and tokens are whole numbers."
        )
    return Column(place, fixed, np.dtype(CODES[NAMES[given]]) if given else None, not shape)


FORMAT = Format("MosaicML MDS", "index.json", opened)
