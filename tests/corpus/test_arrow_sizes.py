"""Arrow files of a few kilobytes that claim gigabytes are refused before anything of them is unpacked."""

import io
import json
import random
import struct
import subprocess
import sys

import pyarrow as pa
import pytest
from pyarrow import ipc

from engine.corpus import arrow_sizes
from engine.corpus.arrow_sizes import check_unpacked
from engine.corpus.records import Unreadable

SIZE = 1_000_003  # bytes of one value
READ = """
import json, re, sys
from pathlib import Path
from engine.corpus.document import Tally
from engine.corpus.layouts import SourceFile
from engine.corpus.readers import of_file

found = []
for name in sys.argv[1:]:
    tally = Tally()
    size = sum(len(one.data) for one in of_file(SourceFile(Path(name), name), "text", False, tally, 0))
    found.append([size, [one["reason"] for one in tally.skipped]])
print(json.dumps(found), int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
"""


def packed(table, codec="zstd", make=ipc.new_file):
    out = io.BytesIO()
    with make(out, table.schema, options=ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table)
    return out.getvalue()


def of(values, **more):
    return pa.table({"text": pa.array(values, pa.large_string()), **more})


def bomb(form):
    """A file whose column of texts, another column, or dictionary claims 2 GB."""
    large = pa.array([b"\0" * SIZE] * 3, pa.large_binary())
    if form == "other column":
        data = packed(of(["a", "b", "c"], other=large))
    elif form == "dictionary":
        data = packed(pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int8()), large)}))
    else:
        data = packed(pa.table({"text": large}), *(("lz4", ipc.new_stream) if form == "stream" else ()))
    before, told, after = data.rpartition(struct.pack("<q", 3 * SIZE))  # the last one: the length of the values
    assert told
    return before + struct.pack("<q", 2 << 30) + after


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read where Linux tells them")
def test_what_claims_gigabytes_is_refused_before_it_is_unpacked(tmp_path):
    forms = ("texts", "other column", "dictionary", "stream")
    for form in forms:
        (tmp_path / f"{form}.arrow").write_bytes(bomb(form))
        assert (tmp_path / f"{form}.arrow").stat().st_size < 100_000
    paths = [str(tmp_path / f"{form}.arrow") for form in forms]
    done = subprocess.run([sys.executable, "-c", READ, *paths], capture_output=True, text=True)
    found, peak = done.stdout.rsplit(" ", 1)
    assert [size for size, _ in json.loads(found)] == [0] * len(forms)
    assert all("unpacks to more than 1,073,741,824 bytes" in why for _, (why,) in json.loads(found))
    assert int(peak) < 300


@pytest.mark.parametrize("make", [ipc.new_file, ipc.new_stream])
@pytest.mark.parametrize("codec", ["zstd", "lz4", None])
def test_what_is_told_is_what_unpacks(make, codec, monkeypatch):
    """To the byte: the limit is set at the largest batch, and one below."""
    table = of(["x" * 5000] * 40, number=list(range(40)))
    data = packed(table, codec, make)
    largest = sum(buffer.size for name in table.schema.names for buffer in table[name].chunk(0).buffers() if buffer)
    monkeypatch.setattr(arrow_sizes, "MOST", largest)
    check_unpacked(io.BytesIO(data), 8 if make is ipc.new_file else 0)
    monkeypatch.setattr(arrow_sizes, "MOST", largest - 1)
    if codec:
        with pytest.raises(Unreadable, match="batches of fewer rows"):
            check_unpacked(io.BytesIO(data), 8 if make is ipc.new_file else 0)
    else:  # as large as the file
        check_unpacked(io.BytesIO(data), 8 if make is ipc.new_file else 0)


def test_any_bytes_end_with_a_reason_at_most():
    data, draw, refused = packed(of(["some text"] * 50), make=ipc.new_stream), random.Random(1), 0
    for _ in range(500):
        changed = bytearray(data[: draw.choice([len(data), draw.randrange(len(data))])])
        for _ in range(draw.randrange(4)):
            if changed:
                changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            check_unpacked(io.BytesIO(bytes(changed)), 0)
        except Unreadable:
            refused += 1
    assert refused > 20
