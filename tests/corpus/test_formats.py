"""Own data in every format, packing and coding: all that is found is read, or named with the reason."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.core.errors import Problem
from engine.corpus import readers
from engine.corpus.document import Tally
from engine.corpus.fields import Fields
from engine.corpus.layouts import SourceFile

TEXTS = ["one\ntwo", 'drei, "vier"', "fünf 漢字", "x" * 2000]


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKINGS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".ZST": zstd}
LINES = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in TEXTS)
QUOTED = ['"' + text.replace('"', '""') + '"' for text in TEXTS]
WRITTEN = {
    ".jsonl": LINES,
    ".NDJSON": LINES.replace("\n", "\r\n"),
    ".json": LINES,
    ".array.json": json.dumps([{"text": text} for text in TEXTS], indent=1),
    ".pretty.json": "".join(json.dumps({"text": text}, indent=2) + "\n" for text in TEXTS),
    ".commas.JSONL": ",\n".join(json.dumps({"text": text}) for text in TEXTS),
    ".indented.jsonl": json.dumps([{"text": text} for text in TEXTS], indent=1),
    ".around.json": json.dumps({"version": 1, "data": [{"text": text} for text in TEXTS]}, indent=1),
    ".around.ndjson": json.dumps({"rows": [{"text": text} for text in TEXTS], "next": None}),
    ".csv": "id,text\r\n" + "".join(f"1,{text}\r\n" for text in QUOTED),
    ".tsv": "id\ttext\n" + "".join(f"1\t{text}\n" for text in QUOTED),
}


def read(path, column="text"):
    """The documents of one file, as text, and the tally."""
    tally = Tally()
    found = readers.documents("d", [SourceFile(path, path.name)], Fields(column), tally)
    return [document.data.decode() for document in found], tally


def test_one_object_over_several_lines_is_a_record(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"id": 7, "text": "good", "meta": {"by": "x"}}, indent=4))
    assert read(tmp_path / "a.json")[0] == ["good"]
    (tmp_path / "b.json").write_text(json.dumps({"messages": [{"role": "assistant", "content": "good"}]}, indent=4))
    assert "good" in read(tmp_path / "b.json")[0][0]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"train": [{"text": "a"}], "test": [{"text": "b"}]}, r"several lists of records \('train', 'test'\)"),
        ({"data": {"train": [{"text": "a"}]}}, "records stand further in, under 'data.train': write each such list"),
        ({"v": 1, "d": {"a": [{"text": "a"}], "b": [{"text": "b"}]}}, "further in, under 'd.a', 'd.b'"),
        ({"rows": {"train": ["a"]}}, "no text in 'text'; its fields: 'rows'"),
        ({"text": {"0": "a", "1": "b"}}, "as where pandas writes a table by its columns"),
        ({"text": {"x": "a"}}, "'text' holds no text but dict"),
        ({"id": 1, "spans": [{"from": 3}], "content": "a"}, "no text in 'text'; its fields: 'id', 'spans', 'content'"),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_other_objects_are_named_as_what_they_are(tmp_path, value, why, indent):
    (tmp_path / "a.json").write_text(json.dumps(value, indent=indent))
    with pytest.raises(Problem, match=why):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("indent", [None, 1])
def test_an_object_that_is_too_long_to_be_held_gives_its_records(tmp_path, indent):
    long = [{"text": f"{n} " + "x" * 900_000} for n in range(40)]
    (tmp_path / "a.json").write_text(json.dumps({"version": 1, "tags": ["a"], "data": long, "end": {}}, indent=indent))
    found, tally = read(tmp_path / "a.json")
    assert found == [one["text"] for one in long] and tally.skipped == []
    (tmp_path / "b.json").write_text(json.dumps({"train": long, "test": long[:1]}, indent=indent))
    found, tally = read(tmp_path / "b.json")
    assert found == [one["text"] for one in long] and "of which 'test' is not read" in tally.skipped[0]["reason"]


def test_a_bad_first_line_costs_that_line_and_no_more(tmp_path):
    (tmp_path / "a.jsonl").write_text('\n{"text": "bad\n' + LINES)
    found, tally = read(tmp_path / "a.jsonl")
    assert found == TEXTS and tally.skipped[0]["reason"] == "1 of its lines: not JSON (first: line 2)"
    (tmp_path / "b.json").write_text(json.dumps({"text": "good"}, indent=1) + "\n{")
    found, tally = read(tmp_path / "b.json")
    assert found == ["good"] and "not JSON after its first 1 records" in tally.skipped[0]["reason"]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("kind", WRITTEN)
def test_records_in_every_kind_packing_and_coding(tmp_path, kind, coding, packing):
    path = tmp_path / f"odd{kind}{packing}"
    path.write_bytes(PACKINGS[packing](WRITTEN[kind].encode(coding)))
    found, tally = read(path)
    assert found == TEXTS and tally.skipped == [] and tally.files_read == [path.name]


FORMS = {
    "string": pa.array(TEXTS),
    "large": pa.array(TEXTS, pa.large_string()),
    "view": pa.array(TEXTS, pa.string_view()),
    "binary": pa.array([text.encode() for text in TEXTS]),
    "binary_view": pa.array([text.encode() for text in TEXTS], pa.binary_view()),
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "list": pa.array([text.split("\n") for text in TEXTS]),
    "large_list": pa.array([text.split("\n") for text in TEXTS], pa.large_list(pa.string())),
    "list_of_views": pa.array([text.split("\n") for text in TEXTS], pa.list_(pa.string_view())),
}
ONLY_ARROW = {
    "list_view": pa.array([text.split("\n") for text in TEXTS], pa.list_view(pa.string())),
    "fixed_list": pa.array([[text] for text in TEXTS], pa.list_(pa.string(), 1)),
}


def arrow(table, make=pa.ipc.new_file):
    sink = pa.BufferOutputStream()
    with make(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("form", FORMS)
def test_columns_of_parquet(tmp_path, form):
    pq.write_table(pa.table({"id": [1, 2, 3, 4], "text": FORMS[form]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0] == TEXTS


@pytest.mark.parametrize("form", [*FORMS, *ONLY_ARROW])
@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
def test_columns_of_arrow_files_and_streams(tmp_path, form, make):
    (tmp_path / "a.arrow").write_bytes(arrow(pa.table({"text": (FORMS | ONLY_ARROW)[form]}), make))
    found, tally = read(tmp_path / "a.arrow")
    assert found == TEXTS and tally.skipped == []


@pytest.mark.parametrize(
    ("name", "column", "why"),
    [
        ("a.parquet", pa.array([{"text": "a"}]), "holds struct<text: string>, not text"),
        ("a.arrow", pa.array([[["a"]]]), "not text"),
        ("a.feather", pa.array([1]), "holds int64, not text"),
    ],
)
def test_columns_that_hold_no_text_are_named(tmp_path, name, column, why):
    table = pa.table({"text": column})
    (tmp_path / name).write_bytes(arrow(table))
    if name.endswith(".parquet"):
        pq.write_table(table, tmp_path / name)
    with pytest.raises(Problem, match=why):
        read(tmp_path / name)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("first", ["", "sep={}\r\n", '"sep={}"\n'])
def test_a_table_of_text_may_have_any_usual_delimiter(tmp_path, delimiter, first):
    rows = [f"id{delimiter}text", f'1{delimiter}"a, b"', "2", f"3{delimiter}c"]
    (tmp_path / "a.csv").write_text(first.format(delimiter) + "\n".join(rows))
    found, tally = read(tmp_path / "a.csv")
    assert found == ["a, b", "c"]
    assert f"too few columns (first: row {3 + bool(first)})" in tally.skipped[0]["reason"]


def tar(text: bytes) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        entry = tarfile.TarInfo("a.jsonl")
        entry.size = len(text)
        file.addfile(entry, io.BytesIO(text))
    return archive.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.txt", tar(LINES.encode()), "a tar archive"),
        ("a.jsonl.gz", gzip.compress(tar(LINES.encode()), mtime=0), "a tar archive"),
        ("a.jsonl", b"PK\x03\x04" + bytes(40), "a zip archive"),
        ("a.feather", b"FEA1" + bytes(40), "Feather file of the first version"),
        ("a.arrow", b"PAR1" + bytes(40), "a Parquet file"),
    ],
)
def test_what_a_name_does_not_say_is_named(tmp_path, name, data, why):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Problem, match=why):
        read(tmp_path / name)


BAD = b"bad \xff byte"


def bad_string(kind):
    """A column of a kind whose second value is not UTF-8."""
    return pa.array([b"good", BAD, b"also"]).cast(pa.large_binary()).view(pa.large_string()).cast(kind, safe=False)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"good\n" + BAD + b"\nalso\n", "1 of its lines: not UTF-8 (first: line 2)"),
        (
            "a.md.gz",
            gzip.compress(b"good\r\n" + BAD + b"\r\nalso\r\n", mtime=0),
            "1 of its lines: not UTF-8 (first: line 2)",
        ),
        ("a.txt", b"good\nz\0z\nalso\n", "1 of its lines: zero bytes"),
        ("a.ndjson", b'{"text": "good"}\n{"text": "' + BAD + b'"}\n{"text": "also"}', "1 of its lines: not UTF-8"),
        ("a.json", b'[{"text": "good"}, {"text": "' + BAD + b'"}, {"text": "also"}]', "1 of its records: not UTF-8"),
        ("a.json", b'[{"text": "good"}, 12, {"text": "also"}]', "1 of its records: not an object but int"),
        ("a.json", b'[{"text": "good"},{"text":"also"}, {"te', "not JSON after its first 2 records"),
        ("a.json", b'[{"text": "good"},{"text":"also"}] {}', "after its array of 2 records more text"),
        ("a.csv", b'text\ngood\n"' + BAD + b'\nmore"\nalso\n', "1 of its rows: not UTF-8 (first: row 3)"),
        ("a.tsv", b"id\ttext\n1\tgood\n2\n3\talso\n", "1 of its rows: too few columns"),
        ("a.csv", b'text\ngood\n"open" x\nalso\n', "1 of its rows: no row of a table"),
        ("a.jsonl", b'{"text": "good"}\n{"text": null}\n{"text": "also"}\n', "1 of its lines: empty"),
        ("a.txt", "good\nz\ud800z\nalso\n".encode("utf-16", "surrogatepass"), "1 of its lines: not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_line_costs_that_line(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    found, tally = read(tmp_path / name)
    assert "".join(found).split() == ["good", "also"] or found == ["good", "also"]
    assert [skip["reason"][: len(reason)] for skip in tally.skipped] == [reason]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_text_of_a_table_that_is_not_utf8_costs_its_row(tmp_path, name):
    for column in (pa.array([b"good", BAD, b"also"]), bad_string(pa.large_string())):
        (tmp_path / name).write_bytes(arrow(pa.table({"text": column})))
        if name == "a.parquet":
            pq.write_table(pa.table({"text": column}), tmp_path / name)
        found, tally = read(tmp_path / name)
        assert found == ["good", "also"]
        assert tally.skipped == [{"path": name, "reason": "1 of its rows: not UTF-8 (first: row 2)", "lines": 1}]


@pytest.mark.parametrize("packing", [packing for packing in PACKINGS if packing])
def test_a_file_that_ends_too_early_gives_what_stands_before(tmp_path, packing):
    rng = np.random.default_rng(0)
    text = "".join(json.dumps({"text": rng.bytes(40).hex()}) + "\n" for _ in range(20_000)).encode()
    data = PACKINGS[packing](text)
    (tmp_path / f"a.jsonl{packing}").write_bytes(data[: len(data) * 4 // 5])
    found, tally = read(tmp_path / f"a.jsonl{packing}")
    assert len(found) > 0
    assert "cannot be read to its end" in " ".join(skip["reason"] for skip in tally.skipped)


MUTATED = """
import random, sys
from pathlib import Path
from engine.core.errors import Problem
from engine.corpus import readers
from engine.corpus.document import Tally
from engine.corpus.fields import Fields
from engine.corpus.layouts import SourceFile
drawn = random.Random(int(sys.argv[2]))
for source in sorted(Path(sys.argv[1]).iterdir()):
    whole = source.read_bytes()
    for turn in range(int(sys.argv[3])):
        data = bytearray(whole)
        for _ in range(drawn.choice([1, 2, 8])):
            data[drawn.randrange(len(data))] = drawn.randrange(256)
        if drawn.random() < 0.3:
            del data[drawn.randrange(len(data)):]
        path = source.with_name("mutated" + "".join(source.suffixes))
        path.write_bytes(data)
        tally = Tally()
        try:
            found = [d.data.decode() for d in readers.documents("d", [SourceFile(path, path.name)], Fields(), tally)]
        except Problem:
            found = []
        assert found or tally.skipped or not data, (source.name, turn)
        path.unlink()
"""


def mutate(tmp_path, seed, turns):
    """Read files of every kind with bytes changed: text, or a reason, and nothing else ever."""
    for packing in PACKINGS:
        for kind in WRITTEN:
            (tmp_path / f"a{kind}{packing}").write_bytes(PACKINGS[packing](WRITTEN[kind].encode()))
        (tmp_path / f"a.txt{packing}").write_bytes(PACKINGS[packing]("\n".join(TEXTS).encode("utf-16")))
    for form, column in FORMS.items():
        pq.write_table(pa.table({"text": column}), tmp_path / f"{form}.parquet")
    for form, column in (FORMS | ONLY_ARROW).items():
        (tmp_path / f"{form}.arrow").write_bytes(arrow(pa.table({"text": column})))
        (tmp_path / f"{form}.ipc").write_bytes(arrow(pa.table({"text": column}), pa.ipc.new_stream))
    command = [sys.executable, "-c", MUTATED, str(tmp_path), str(seed), str(turns)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])


def test_mutated_bytes_give_text_or_a_reason(tmp_path):
    mutate(tmp_path, 0, 6)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 9))
def test_many_mutated_bytes_give_text_or_a_reason(tmp_path, seed):
    mutate(tmp_path, seed, 300)


def referred(text, count=60):
    """A column of references to one text."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([text]))


REFERRED = """
import re, sys
from pathlib import Path
from engine.corpus.document import Tally
from engine.corpus.fields import Fields
from engine.corpus.layouts import SourceFile
from engine.corpus.readers import of_file

path = Path(sys.argv[1])
file = SourceFile(path, path.name)
size = sum(len(one.data) for one in of_file(file, Fields(), False, Tally(), 0))
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
print(size, peak)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read where Linux tells them")
@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.slow
def test_a_text_that_rows_refer_to_stands_in_memory_once(tmp_path, name):
    """1.8 GB of text, of one text of 30 MB."""
    table = pa.table({"text": referred("x" * 30_000_000)})
    (tmp_path / name).write_bytes(arrow(table))
    if name == "a.parquet":
        pq.write_table(table, tmp_path / name, compression="zstd")
    done = subprocess.run([sys.executable, "-c", REFERRED, str(tmp_path / name)], capture_output=True, text=True)
    size, peak = map(int, done.stdout.split() or [0, 0])
    assert size == 1_800_000_000 and peak < 700, (size, peak, done.stderr[-1000:])
