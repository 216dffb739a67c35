"""How long counting pre-tokenised text takes: `python -m benchmarks.token_files`, sparse files of Megatron's format."""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from engine.corpus.token_formats import How, counted
from engine.corpus.token_formats.megatron import HEADER, MAGIC

LENGTH = 1024  # tokens of a document


def write(prefix: Path, size: int) -> int:
    """A sparse .bin of so many bytes of 16-bit tokens, with its .idx; returns its tokens."""
    count = size // 2 // LENGTH
    lengths, places = np.full(count, LENGTH, "<i4"), np.arange(count, dtype="<i8") * 2 * LENGTH
    head = HEADER.pack(MAGIC, 1, 8, count, count + 1)
    begins = np.arange(count + 1, dtype="<i8")
    prefix.with_suffix(".idx").write_bytes(head + lengths.tobytes() + places.tobytes() + begins.tobytes())
    with open(prefix.with_suffix(".bin"), "wb") as file:
        file.truncate(2 * LENGTH * count)
    return count * LENGTH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", type=int, default=64)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="of each domain")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = [f"domain-{place}" for place in range(options.domains)]
        wanted = [write(Path(folder, name), int(options.gigabytes * 1e9)) for name in names]
        began, used = time.perf_counter(), time.process_time()
        found = [counted("megatron", [str(Path(folder, name))], How()).tokens for name in names]
        took, cpu = time.perf_counter() - began, time.process_time() - used
    assert found == wanted
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    total = sum(found)
    print(f"{len(names)} domains, {total:,} tokens: {took:.2f} s, {cpu:.2f} CPU seconds, {memory:,.0f} MiB at most")


if __name__ == "__main__":
    main()
