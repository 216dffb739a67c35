"""Writes a checkpoint piece by piece into safetensors shards; it appears whole or not at all.

Pieces are written, not mapped: filling fresh pages of a mapped file costs nine times the CPU seconds of writing them.
"""

import json
import math
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import Problem
from engine.merging.checkpoints import CODES, INDEX

SHARD_BYTES = 5_000_000_000
ALIGNMENT = 8


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
        self._descriptors: list[int] = []
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
        """Write a shard's header and take its room on the disk now, before anything is merged in vain."""
        header, end = {"__metadata__": {"format": "pt", **metadata}}, 0
        for slot in group:
            offsets = [end, end + slot.bytes]
            header[slot.name] = {"dtype": CODES[slot.dtype], "shape": list(slot.shape), "data_offsets": offsets}
            end = offsets[1]
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % ALIGNMENT)
        start = 8 + len(text)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        self._descriptors.append(descriptor)
        os.write(descriptor, struct.pack("<Q", len(text)) + text)
        if end:
            os.posix_fallocate(descriptor, start, end)
        for slot in group:
            self._places[slot.name] = (descriptor, start + header[slot.name]["data_offsets"][0], slot)

    def put(self, name: str, first: int, values: Tensor) -> None:
        """Write elements `first`, ... of a tensor: values (len,) of any dtype, cast to the tensor's own."""
        descriptor, begin, slot = self._places[name]
        size = len(values) * slot.dtype.itemsize
        if len(self._piece) < size:
            self._piece = torch.empty(size, dtype=torch.uint8)
        self._piece[:size].view(slot.dtype).copy_(values)
        left, at = memoryview(self._piece[:size].numpy()), begin + first * slot.dtype.itemsize
        while left:
            written = os.pwrite(descriptor, left, at)
            left, at = left[written:], at + written

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    def index(self) -> dict:
        """What the index file of several shards says."""
        total = sum(slot.bytes for _, _, slot in self._places.values())
        return {"metadata": {"total_size": total}, "weight_map": self.shards}


def split(slots: list[Slot], most: int) -> list[list[Slot]]:
    """Shards of at most `most` bytes, in order; a tensor that is larger has one of its own."""
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
    """Fill a checkpoint inside the block; it stands at `out` afterwards, or nothing does.

    out: a folder, or a file that ends in .safetensors; others: further files of the folder, name -> bytes. Raises
    Problem where `out` exists, and where the disk has no room.
    """
    if out.exists():
        raise Problem(f"Cannot write {out}: it exists. Choose another place, or remove it.")
    single = out.suffix == ".safetensors"
    part = out.with_name(f".{out.name}.part-{os.getpid()}")
    try:
        part.mkdir(parents=True)
        writer = Writer(part, slots, metadata, single, shard_bytes)
        try:
            yield writer
        finally:
            writer.close()
        if single:
            os.replace(part / "model.safetensors", out)
            return
        if len(writer.names) > 1:
            (part / INDEX).write_text(json.dumps(writer.index(), indent=2))
        for name, content in others.items():
            (part / name).write_bytes(content)
        os.replace(part, out)
    except OSError as error:
        needed = sum(slot.bytes for slot in slots)
        raise Problem(
            f"Cannot write {out}: {error.strerror or error}. It takes {needed:,} bytes. Free disk space, or choose "
            "another place. Nothing was left there."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
