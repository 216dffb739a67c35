"""Megatron-LM's files: PREFIX.bin holds the tokens; PREFIX.idx says their type, the length of each sequence, and which
begin documents (megatron/core/datasets/indexed_dataset.py). Read so by NeMo and GPT-NeoX, too."""

import struct
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.corpus.token_formats.base import Flat, Format, How, check_size, head_of, mapped

MAGIC = b"MMIDIDX\x00\x00"  # how an .idx begins
HEADER = struct.Struct("<9sQBQQ")  # that, version, type, sequences, documents + 1
TYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}  # the codes of whole numbers


def opened(path: Path, how: How) -> Flat:
    """PREFIX.bin with its PREFIX.idx. Raises Problem where they do not belong together."""
    base = path.with_suffix("") if path.suffix in (".bin", ".idx") else path
    data, index = (base.with_name(base.name + suffix) for suffix in (".bin", ".idx"))
    for one in (data, index):
        if not one.is_file():
            raise Problem(f"Cannot read {base}: there is no {one.name} beside it. Give the prefix of both files.")
    head = head_of(index, HEADER.size)
    if len(head) < HEADER.size or not head.startswith(MAGIC):
        raise Problem(f"Cannot read {index}: it does not begin as an index of Megatron-LM. It is another file, or cut.")
    _, version, code, sequences, starts = HEADER.unpack(head)
    if version != 1 or code not in TYPES:
        raise Problem(f"Cannot read {index}: its version is {version} and its type {code}; known are 1 and {[*TYPES]}.")
    wanted, size = HEADER.size + 12 * sequences + 8 * starts, index.stat().st_size
    if size < wanted:
        raise Problem(
            f"Cannot read {index}: it has {size:,} bytes, and its header tells of {wanted:,}. It was cut off."
        )
    numbers = np.memmap(index, np.uint8, "r")
    lengths = numbers[HEADER.size : HEADER.size + 4 * sequences].view("<i4")
    first = HEADER.size + 12 * sequences
    begins = numbers[first : first + 8 * starts].view("<i8")
    dtype = np.dtype(TYPES[code])
    total = int(lengths.sum(dtype=np.int64))
    check_size(data, total, dtype, f"its index {index.name}")
    ends = np.cumsum(lengths, dtype=np.int64) if len(lengths) else np.zeros(0, np.int64)
    if len(begins) and (begins[0] != 0 or begins[-1] != sequences or (np.diff(begins) < 0).any()):
        raise Problem(f"Cannot read {index}: its documents do not cover its {sequences:,} sequences. It is damaged.")
    ends = ends[begins[1:] - 1] if len(begins) > 1 else ends
    return Flat(data, mapped(data, dtype, 0, total), ends)


FORMAT = Format("Megatron-LM", ".idx", opened)
