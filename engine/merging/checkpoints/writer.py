"""Writes a checkpoint piece by piece into safetensors shards; atomically.

It is built in a hidden folder beside its destination, and the shards' headers are written last: leftovers of a killed
process cannot be loaded, and are removed when the next checkpoint is written there. Pieces are written, not mapped:
filling fresh pages of a mapped file takes nine times the CPU time of writing them.
"""

import errno
import json
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.jobs.parts import WHOLE, part_of, placed
from engine.merging.checkpoints.files import INDEX
from engine.merging.checkpoints.reader import CODES

SHARD_BYTES = 5_000_000_000
ALIGNMENT = 8


class NotFinite(Problem):
    """Values that the output dtype cannot represent."""


@dataclass(frozen=True)
class Slot:
    """A tensor to be written: its name, dtype and shape."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * self.dtype.itemsize


class Writer:
    """Open shards whose tensors are filled in any order, piece by piece, with `put`."""

    def __init__(self, folder: Path, slots: list[Slot], metadata: dict[str, str], single: bool, shard_bytes: int):
        self.shards: dict[str, str] = {}  # tensor -> file name
        self._places: dict[str, tuple[int, int, Slot]] = {}  # descriptor, offset of the first byte
        self._headers: dict[int, bytes] = {}  # descriptor of an open shard -> its header
        self._piece = torch.empty(0, dtype=torch.uint8)
        groups = split(slots, shard_bytes)
        self.names = ["model.safetensors"]
        if len(groups) > 1 and not single:
            self.names = [f"model-{n:05d}-of-{len(groups):05d}.safetensors" for n in range(1, len(groups) + 1)]
        else:
            groups = [slots]
        for name, group in zip(self.names, groups, strict=True):
            self._reserve(folder / name, group, metadata)
            self.shards |= {slot.name: name for slot in group}

    def _reserve(self, file: Path, group: list[Slot], metadata: dict[str, str]) -> None:
        """Reserve a shard's disk space now, so that a full disk fails before the merge."""
        header, end = {"__metadata__": {"format": "pt", **metadata}}, 0
        for slot in group:
            offsets = [end, end + slot.bytes]
            header[slot.name] = {"dtype": CODES[slot.dtype], "shape": list(slot.shape), "data_offsets": offsets}
            end = offsets[1]
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % ALIGNMENT)
        start = 8 + len(text)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        self._headers[descriptor] = struct.pack("<Q", len(text)) + text
        reserve(descriptor, start + end)
        for slot in group:
            self._places[slot.name] = (descriptor, start + header[slot.name]["data_offsets"][0], slot)

    def put(self, name: str, first: int, values: Tensor) -> None:
        """Write elements `first`, ... of a tensor: values (len,) of any dtype, cast to the tensor's own.

        Raises NotFinite for NaN and infinity, before or after the cast.
        """
        descriptor, begin, slot = self._places[name]
        piece = values if values.dtype == slot.dtype and values.is_contiguous() else self._cast(values, slot.dtype)
        if not finite(piece):
            raise NotFinite(unfit(values, slot))
        write_at(descriptor, memoryview(piece.view(torch.uint8).numpy()), begin + first * slot.dtype.itemsize)

    def _cast(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """Values of another dtype, in a buffer that the next call overwrites."""
        size = len(values) * dtype.itemsize
        if len(self._piece) < size:
            self._piece = torch.empty(size, dtype=torch.uint8)
        return self._piece[:size].view(dtype).copy_(values)

    def finish(self) -> None:
        """Write the headers: from here on the shards can be read."""
        for descriptor, header in self._headers.items():
            write_at(descriptor, memoryview(header), 0)

    def close(self) -> None:
        for descriptor in self._headers:
            os.close(descriptor)

    def index(self) -> dict:
        """The index file's content for several shards."""
        total = sum(slot.bytes for _, _, slot in self._places.values())
        return {"metadata": {"total_size": total}, "weight_map": self.shards}


def reserve(descriptor: int, size: int) -> None:
    """Set a file's size, and reserve its disk space if the system can (macOS cannot)."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def write_at(descriptor: int, left: memoryview, at: int) -> None:
    """Write all bytes at an offset."""
    while left:
        written = os.pwrite(descriptor, left, at)
        left, at = left[written:], at + written


def finite(values: Tensor) -> bool:
    """Whether all values (len,) are finite numbers. A sum keeps NaN and infinity, but overflows in 16 bits."""
    if not values.is_floating_point() or not len(values):
        return True
    seen = values.aminmax() if values.itemsize == 2 else [values.sum()]
    return all(math.isfinite(one) for one in seen)


def unfit(values: Tensor, slot: Slot) -> str:
    """The error for values that are not finite in a slot's dtype."""
    if not torch.isfinite(values).all():
        return f"Cannot write {slot.name!r}: values in it are not finite (NaN or infinity). Change weights or knobs."
    kind = str(slot.dtype).removeprefix("torch.")
    largest, most = float(values.abs().max()), torch.finfo(slot.dtype).max
    return (
        f"Cannot write {slot.name!r} as {kind}: it has values up to {largest:.3g}, and {kind} ends at {most:.5g}. "
        "Write bfloat16 or float32 (out_dtype), or use smaller weights."
    )


def split(slots: list[Slot], most: int) -> list[list[Slot]]:
    """Shards of at most `most` bytes, in order; a larger tensor has its own shard."""
    groups, room = [[]], most
    for slot in slots:
        if groups[-1] and slot.bytes > room:
            groups.append([])
            room = most
        groups[-1].append(slot)
        room -= slot.bytes
    return groups


@contextmanager
def writing(
    out: Path, slots: list[Slot], others: dict[str, bytes], metadata: dict[str, str], shard_bytes: int = SHARD_BYTES
) -> Iterator[Writer]:
    """Fill a checkpoint inside the block; it appears at `out` afterwards, atomically.

    out: a folder, or a file that ends in .safetensors; others: further files of the folder, name -> bytes. Raises
    Problem if `out` exists or appears meanwhile, is not writable, or does not fit on the disk.
    """
    if os.path.lexists(out):
        raise Problem(f"Cannot write {out}: it exists. Choose another place, or remove it.")
    single = out.suffix == ".safetensors"
    try:
        with part_of(out) as part:
            whole = part / WHOLE
            whole.mkdir()
            writer = Writer(whole, slots, metadata, single, shard_bytes)
            try:
                yield writer
                writer.finish()
            finally:
                writer.close()
            if not single:
                if len(writer.names) > 1:
                    (whole / INDEX).write_text(json.dumps(writer.index(), indent=2))
                for name, content in others.items():
                    (whole / name).parent.mkdir(parents=True, exist_ok=True)
                    (whole / name).write_bytes(content)
            placed(whole / "model.safetensors" if single else whole, out)
    except OSError as error:
        raise Problem(f"Cannot write {out}: {reason(error, slots)} Nothing was left there.") from error


def reason(error: OSError, slots: list[Slot]) -> str:
    """Why writing failed, and what to do about it."""
    why = f"{error.strerror or error}."
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
        if error.filename2:  # the move failed
            return "something appeared there meanwhile. Choose another place, or remove that."
        return f"{error.filename} is not a folder. Choose another place."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{why} It takes {sum(slot.bytes for slot in slots):,} bytes. Free disk space, or choose another place."
    return f"{why} Choose a place where you may write."
