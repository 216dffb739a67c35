"""Pre-tokenised files as other tools write them, by their formats' own rules: what tests of readers share."""

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import ipc

from engine.corpus.token_formats.megatron import HEADER, MAGIC

Documents = Sequence[Sequence[int]]


def megatron(prefix: Path, documents: Documents, code: int = 8, dtype: str = "<u2") -> Path:
    """As Megatron-LM's own builder writes it."""
    lengths = np.array([len(one) for one in documents], "<i4")
    places = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype("<i8") * np.dtype(dtype).itemsize
    head = HEADER.pack(MAGIC, 1, code, len(lengths), len(lengths) + 1)
    body = lengths.tobytes() + places.tobytes() + np.arange(len(lengths) + 1, dtype="<i8").tobytes()
    prefix.with_name(prefix.name + ".idx").write_bytes(head + body)
    prefix.with_name(prefix.name + ".bin").write_bytes(np.concatenate(documents).astype(dtype).tobytes())
    return prefix


def olmo(path: Path, documents: Documents) -> Path:
    path = path.with_suffix(".npy")
    np.concatenate(documents).astype("<u2").tofile(path)
    return path


def datatrove(
    path: Path, documents: Documents, dtype: str = "<u2", ends: Sequence[int] | None = None, about: str | None = None
) -> Path:
    path = path.with_suffix(".ds")
    path.write_bytes(np.concatenate(documents).astype(dtype).tobytes())
    ends = np.cumsum([len(one) for one in documents]).tolist() if ends is None else ends
    path.with_name(path.name + ".index").write_bytes(struct.pack(f"<{len(ends)}Q", *ends))
    if about is not None:
        path.with_name(path.name + ".metadata").write_text(about)
    return path


def packed(data: bytes) -> bytes:
    return pyarrow.compress(data, codec="zstd", asbytes=True)


def samples(parts: Sequence[bytes], config: bytes = b"") -> bytes:
    """A shard of MDS or litdata: a count, offsets, what the format says between, and the samples."""
    offsets = np.cumsum([0, *map(len, parts)]).astype("<u4") + 4 * (len(parts) + 2) + len(config)
    return struct.pack("<I", len(parts)) + offsets.astype("<u4").tobytes() + config + b"".join(parts)


def encoded(tokens: Sequence[int], encoding: str) -> bytes:
    """One list of tokens as an MDS column of these encodings."""
    if encoding == "bytes":
        return np.array(tokens, "<i8").tobytes()
    width = "u1" if len(tokens) < 256 else "<u2"
    shape = bytes([4 | (width == "<u2")]) + np.array([len(tokens)], width).tobytes()
    if encoding == "ndarray":
        return bytes([33]) + shape + np.array(tokens, "<i4").tobytes()
    given, _, fixed = encoding.removeprefix("ndarray:").partition(":")
    return (b"" if fixed else shape) + np.array(tokens, given).tobytes()


def mds(
    folder: Path, documents: Documents, encoding: str = "ndarray:int32", zstd: bool = False, more: bool = False
) -> Path:
    """MosaicML's MDS in two shards; more: with a column of text beside the tokens."""
    folder.mkdir(parents=True)
    half, listed = len(documents) // 2, []
    names = ["source", "tokens"] if more else ["tokens"]
    for number, part in enumerate((documents[:half], documents[half:])):
        fixed = len(part[0]) * 4 if encoding.count(":") == 2 else None
        rows = []
        for one in part:
            columns = ([b"web"] if more else []) + [encoded(one, encoding)]
            sizes = [len(data) for data, name in zip(columns, names, strict=True) if name != "tokens" or fixed is None]
            rows.append(np.array(sizes, "<u4").tobytes() + b"".join(columns))
        data, name = samples(rows, b'{"format": "mds"}'), f"shard.{number:05}.mds"
        (folder / (name + ".zstd" if zstd else name)).write_bytes(packed(data) if zstd else data)
        sizes = [None, fixed] if more else [fixed]
        encodings = ["str", encoding] if more else [encoding]
        columns = {"column_names": names, "column_encodings": encodings, "column_sizes": sizes}
        told = {"format": "mds", "version": 2, "samples": len(part), "raw_data": {"basename": name, "bytes": len(data)}}
        told |= {"compression": "zstd" if zstd else None, "zip_data": {"basename": name + ".zstd"} if zstd else None}
        listed.append(told | columns)
    (folder / "index.json").write_text(json.dumps({"version": 2, "shards": listed}))
    return folder


def litdata(folder: Path, documents: Documents, zstd: bool = False) -> Path:
    """litdata's chunks of 32-bit tokens, two of them."""
    folder.mkdir(parents=True)
    half, chunks = len(documents) // 2, []
    for number, part in enumerate((documents[:half], documents[half:])):
        rows = [np.array(one, "<i4").tobytes() for one in part]
        name = f"chunk-0-{number}{'.zstd' if zstd else ''}.bin"
        (folder / name).write_bytes(packed(samples(rows)) if zstd else samples(rows))
        told = {"chunk_bytes": sum(map(len, rows)), "chunk_size": len(part), "filename": name}
        chunks.append(told | {"dim": sum(map(len, part))})
    config = {"compression": "zstd" if zstd else None, "data_format": ["no_header_tensor:16"], "chunk_size": None}
    (folder / "index.json").write_text(json.dumps({"chunks": chunks, "config": config}))
    return folder


def arrow(folder: Path, documents: Documents) -> Path:
    """As datasets' save_to_disk writes rows of input_ids: streams, here in two batches."""
    folder.mkdir(parents=True)
    table = pyarrow.table({"input_ids": pyarrow.array(documents, pyarrow.list_(pyarrow.int32()))})
    with ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, len(documents) // 2))
    return folder


WRITERS: dict[str, Callable[[Path, Documents], Path]] = {
    "megatron": megatron,
    "olmo": olmo,
    "datatrove": datatrove,
    "mds": mds,
    "litdata": litdata,
    "arrow": arrow,
}
