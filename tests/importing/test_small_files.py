"""Files of a few kilobytes that stand for gigabytes are refused, or read, in little memory."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

MOST = 450 << 20  # bytes of memory beside what the libraries take
LONG, ROWS = "x" * 30_000_000, 60
PEAKS = """
import json, re, sys
from pathlib import Path
from engine.core.errors import Problem
from engine.importing.files import read_table

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10

for name in sys.argv[1:]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak()
    try:
        read_table(Path(name))
        said = "read"
    except Problem as problem:
        said = str(problem)
    print(json.dumps([name, peak() - before, said]))
"""


def referred(text, count=ROWS):
    """A column of references to one text."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))


def lists(kind):
    """One row with references to a long text, in a column of a nested type."""
    texts = referred(LONG)
    if kind == "list":
        return pa.ListArray.from_arrays([0, ROWS], texts)
    if kind == "struct":
        return pa.StructArray.from_arrays([texts], ["a"])
    keys = pa.array([f"k{i}" for i in range(ROWS)])
    return pa.MapArray.from_arrays([0, ROWS], keys, texts)


def delta(column, path):
    parquet.write_table(
        pa.table({"a": column}), path, use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY", compression="zstd"
    )


def plain(columns, path):
    parquet.write_table(pa.table(columns), path, compression="zstd")


def text(path, content):
    path.write_bytes(gzip.compress(content.encode(), 1))


# Name -> how it is written, and what is said of it.
FILES = {
    "text.parquet": (lambda path: plain({"a": referred(LONG)}, path), "holds 30,000,000 letters"),
    "bytes.parquet": (lambda path: plain({"a": referred(LONG.encode())}, path), "30,000,000 letters"),
    "view.parquet": (lambda path: plain({"a": pa.array([LONG] * ROWS, pa.string_view())}, path), "30,000,000 letters"),
    "list.parquet": (lambda path: plain({"a": lists("list")}, path), "1,800,000,000 letters"),
    "struct.parquet": (lambda path: plain({"a": lists("struct")}, path), "30,000,000 letters"),
    "map.parquet": (lambda path: plain({"a": lists("map")}, path), "letters"),
    "width.parquet": (lambda path: plain({"a": pa.array([bytes(9_000_000)] * 99, pa.binary(9_000_000))}, path), "256"),
    "delta.parquet": (lambda path: delta(pa.array([LONG[:2_000_000]] * 50), path), "2,000,000 letters|256 MiB"),
    "delta_list.parquet": (lambda path: delta(pa.array([[LONG[:2_000_000]] * 200]), path), "delta encoding"),
    "references.parquet": (lambda path: plain({"a": referred("y" * 100_000, 200_000)}, path), "read"),
    "objects.parquet": (
        lambda path: plain({"a": referred(json.dumps({f"k{i}": i for i in range(5000)}), 20_000)}, path),
        "100,000,000 cells",
    ),
    "keys.json.gz": (lambda path: text(path, json.dumps([{f"k{i}": 1} for i in range(9000)])), "81,000,000 cells"),
    "inner.json.gz": (
        lambda path: text(path, json.dumps([{"c": {f"k{i}": 1}} for i in range(9000)])),
        "81,000,000 cells",
    ),
    "empty.json.gz": (lambda path: text(path, f"[{'{},' * 20_000_000}{{}}]"), "more values than"),
    "cell.csv.gz": (lambda path: text(path, f"a,b\n1,{'z' * 200_000}\n"), "more than 131,072 letters"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read where Linux tells them")
@pytest.mark.slow
def test_files_of_a_few_kilobytes_never_take_gigabytes(tmp_path):
    for name, (write, _) in FILES.items():
        write(tmp_path / name)
        assert (tmp_path / name).stat().st_size < 1_000_000, name
    names = [str(tmp_path / name) for name in FILES]
    done = subprocess.run([sys.executable, "-c", PEAKS, *names], capture_output=True, text=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(FILES), done.stderr[-2000:]
    for name, peak, said in found:
        wanted = FILES[name.rsplit("/", 1)[1]][1]
        assert peak < MOST, (name, peak >> 20, said)
        assert any(one in said for one in wanted.split("|")), (name, said)
