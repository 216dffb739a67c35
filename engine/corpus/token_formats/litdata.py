"""litdata's chunks, as litgpt writes them: index.json lists chunks of 1-D tensors (litdata/streaming/writer.py)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.corpus.token_formats.base import LONGEST, Format, How, Joined
from engine.corpus.token_formats.shards import Shard, beside, contents_of, index_of, offsets_of, whole

# The numbers by which a data_format names whole numbers (litdata/constants.py), of tensors and of NumPy's arrays.
TENSORS = {11: "u1", 12: "i1", 13: "<i2", 14: "<i2", 15: "<i4", 16: "<i4", 17: "<i8", 18: "<i8", 20: "<u2"}
ARRAYS = {0: "i1", 1: "<i2", 2: "<i4", 3: "<i8", 4: "u1", 5: "<u2", 6: "<u4", 7: "<u8"}
WHOLE = (None, "chunk")  # what is packed together: other levels have frames of their own inside a chunk
KINDS = {"no_header_tensor": TENSORS, "no_header_numpy": ARRAYS}


@dataclass(frozen=True)
class Chunk(Shard):
    """A chunk. dtype: of its tokens; head: bytes in which each item says its size, where chunks were not written for a
    TokensLoader."""

    dtype: np.dtype
    head: int

    @property
    def size(self) -> int:
        return self.count * self.dtype.itemsize

    def read(self, units: np.ndarray) -> Iterator[np.ndarray]:
        data, offsets = self.opened()
        for unit in units:
            own = data[offsets[unit] + self.head : offsets[unit + 1]]
            if len(own) % self.dtype.itemsize:
                raise Problem(f"Cannot read {self.path}: item {unit} does not hold whole tokens. It is damaged.")
            yield own.view(self.dtype)[:LONGEST]


def opened(path: Path, how: How) -> Joined:
    """The chunks of an index.json. Raises Problem where it is none of tokens."""
    index = index_of(path)
    config, chunks = index.get("config"), index.get("chunks")
    if not isinstance(config, dict) or not isinstance(chunks, list) or not all(isinstance(one, dict) for one in chunks):
        raise Problem(f"Cannot read {path}: it is not an index of litdata. Is it one of MosaicML's (mds)?")
    formats = config.get("data_format")
    kind, _, number = str((formats or [""])[0]).partition(":") if isinstance(formats, list) else ("", "", "")
    dtype = KINDS.get(kind, {}).get(int(number) if number.isdecimal() else -1)
    if dtype is None or len(formats) != 1:
        raise Problem(
            f"Cannot read {path}: its items are {formats!r:.120}, and tokens are one array of whole numbers each "
            "(no_header_tensor, no_header_numpy)."
        )
    packing = config.get("compression")
    level = config.get("compression_level")
    if config.get("encryption") or str(packing).partition(":")[0] not in ("None", "zstd") or level not in WHOLE:
        raise Problem(
            f"Cannot read {path}: its chunks are packed by {packing!r} ({level or 'whole'}), or encrypted. Known is "
            "zstd of whole chunks (compression_level chunk)."
        )
    return Joined(path, [chunk_of(path, one, np.dtype(dtype), packing is not None) for one in chunks])


def chunk_of(index: Path, told: dict, dtype: np.dtype, packed: bool) -> Chunk:
    """One chunk as its index tells of it."""
    path = beside(index, told.get("filename"))
    items = whole(told.get("chunk_size"), index, f"the chunk_size of {path.name}")
    size, first = whole(told.get("chunk_bytes"), index, f"the chunk_bytes of {path.name}"), 4 * (items + 2)
    if not counts_head(path, packed, size, first):
        size += first
    offsets_of(path, contents_of(path, packed, size, first), items, size)
    head = 4 if told.get("dim") is None else 0
    return Chunk(path, packed, size, items, (size - first - head * items) // dtype.itemsize, dtype, head)


def counts_head(path: Path, packed: bool, size: int, first: int) -> bool:
    """Whether chunk_bytes (size) tells of the whole chunk, as later versions write it, or of its items alone, which
    begin at `first`: the end of the last one says it."""
    if not packed:
        return path.stat().st_size == size
    end = contents_of(path, packed, size + first, first)[-4:]
    return int(end.view("<u4")[0]) == size


FORMAT = Format("litdata", "index.json", opened)
