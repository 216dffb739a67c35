"""How long finding domains in a column takes: `python -m benchmarks.domain_columns`, a Parquet file of 2 GB."""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from engine.corpus.domain_columns import labels_in
from engine.corpus.layouts import SourceFile

ROWS, TEXT, VALUES = 25_000, 2000, 64  # of a group, letters of a text, domains


def write(path: Path, groups: int) -> np.ndarray:
    """A file of texts with a column of domains; how many rows each has (VALUES,)."""
    rng, counts, file = np.random.default_rng(0), np.zeros(VALUES, int), None
    letters = rng.integers(97, 123, 2_000_000, dtype=np.uint8).tobytes().decode()
    for _ in range(groups):
        labels, starts = rng.integers(0, VALUES, ROWS), rng.integers(0, len(letters) - TEXT, ROWS)
        counts += np.bincount(labels, minlength=VALUES)
        texts = [letters[start : start + TEXT] for start in starts]
        table = pa.table({"text": texts, "source": [f"d{label}" for label in labels]})
        file = file or parquet.ParquetWriter(path, table.schema, compression="none", use_dictionary=["source"])
        file.write_table(table)
    file.close()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=40, help="of 50 MB each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "all.parquet")
        wanted = write(path, options.groups)
        began, used = time.perf_counter(), time.process_time()
        found = labels_in(SourceFile(path, path.name), ["source"])
        took, cpu, size = time.perf_counter() - began, time.process_time() - used, path.stat().st_size
    assert [found[(f"d{value}",)] for value in range(VALUES)] == wanted.tolist()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{size / 1e9:.2f} GB, {VALUES} domains: {took:.2f} s, {cpu:.2f} CPU seconds, {memory:,.0f} MiB at most")


if __name__ == "__main__":
    main()
