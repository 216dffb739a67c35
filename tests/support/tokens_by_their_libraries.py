"""Writes documents with the formats' own libraries: `python -m tests.support.tokens_by_their_libraries FORMAT FOLDER`,
with the documents as JSON on standard input. A program of its own, as the packages must not meet those of Mixdesk:
`make soak` puts them into .venv/loaders."""

import json
import sys
from pathlib import Path

import numpy as np


def mds(folder: Path, documents: list[list[int]], compression: str | None = None) -> None:
    from tests.support.loaders.streaming import stand_in_for_pictures

    stand_in_for_pictures()
    from streaming import MDSWriter

    kept = {"columns": {"tokens": "ndarray:int32", "source": "str"}, "size_limit": 4096, "compression": compression}
    with MDSWriter(out=str(folder), **kept) as writer:
        for one in documents:
            writer.write({"tokens": np.array(one, np.int32), "source": "web"})


def litdata(folder: Path, documents: list[list[int]], compression: str | None = None, loader: int | None = 8) -> None:
    import torch
    from litdata import TokensLoader
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir()
    kept = {"compression": compression, "compression_level": "chunk"} if compression else {}
    loader = {} if loader is None else {"item_loader": TokensLoader(loader)}
    writer = BinaryWriter(str(folder), chunk_bytes=4096, **kept, **loader)
    for number, one in enumerate(documents):
        writer[number] = torch.tensor(one, dtype=torch.int32)
    writer.done()
    writer.merge()


WRITERS = {
    "mds": mds,
    "mds+zstd": lambda folder, documents: mds(folder, documents, "zstd:3"),
    "litdata": litdata,
    "litdata+items": lambda folder, documents: litdata(folder, documents, None, None),
    "litdata+zstd": lambda folder, documents: litdata(folder, documents, "zstd"),
}

if __name__ == "__main__":
    try:
        WRITERS[sys.argv[1]](Path(sys.argv[2]), json.load(sys.stdin))
    except ImportError as error:
        print(f"missing: {error.name}")
