"""Own data: every format and layout, and everything that can be wrong with a file."""

import csv
import gzip
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.core.errors import Problem
from engine.corpus import CorpusSpec, build, hub, layouts, readers
from engine.corpus.document import PIECE_BYTES, Tally, pieces
from engine.corpus.fields import Fields
from engine.corpus.layouts import SourceFile, of_files, of_folder
from engine.corpus.texts import sources_of

TEXTS = ["one\ntwo", 'drei, "vier"', "fünf 漢字"]


def read(path, column="text"):
    """The documents of one file, as text, and the tally."""
    tally = Tally()
    found = readers.documents("d", [SourceFile(path, path.name)], Fields(column), tally)
    return [document.data.decode() for document in found], tally


def jsonl(texts, column="text"):
    return "".join(json.dumps({column: text, "id": 1}) + "\n" for text in texts).encode()


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "packed"),
    [("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", zstd), ("A.JSONL", bytes)],
)
def test_jsonl_packed_or_not(tmp_path, name, packed):
    (tmp_path / name).write_bytes(packed(jsonl(TEXTS)))
    assert read(tmp_path / name)[0] == TEXTS


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd])
def test_plain_text(tmp_path, packed):
    suffix = {bytes: "", gzip.compress: ".gz", zstd: ".zst"}[packed]
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(packed("\ufeffZeile ü\n".encode() + b"more\n" * 10_000))
    found, tally = read(path)
    assert "".join(found) == "Zeile ü\n" + "more\n" * 10_000
    assert len(found) > 3 and tally.cut == 1 and tally.read == tally.listed == path.stat().st_size


def test_csv_by_column_with_newlines_in_fields(tmp_path):
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([["id", "body"], *([1, text] for text in TEXTS), ["short"]])
    assert read(tmp_path / "a.csv", "body")[0] == TEXTS


def test_parquet_by_column(tmp_path):
    pq.write_table(pa.table({"body": [*TEXTS, None, ""], "n": [1, 2, 3, 4, 5]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", "body")[0] == TEXTS
    with pytest.raises(Problem, match="holds int64, not text"):
        read(tmp_path / "a.parquet", "n")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"abc\0def" * 99, "zero bytes"),
        ("a.txt", "text".encode("utf-16-le"), "UTF-16"),
        ("a.txt", "déjà vu".encode("latin-1"), r"not UTF-8 \(byte 0xe9\)"),
        ("a.jsonl", b'{"text": "ok"', "1 of its lines: not JSON"),
        ("a.jsonl", b"[1]\n[2]\n", "2 of its lines: not an object but list"),
        ("a.jsonl", b"[" * 100_000, "not JSON"),
        ("a.jsonl", b'{"text": "d\xe9"}', "not UTF-8"),
        ("a.jsonl", b'{"text": 3}', "'text' holds no text but int"),
        ("a.jsonl", b'{"body": "x"}', "its fields: 'body'.*If another field holds the text, name that one"),
        ("a.jsonl", b'{"data": {"text": "x"}}\n', "its text stands further in, under data.text"),
        ("a.jsonl.gz", gzip.compress(jsonl(["x" * 99]), mtime=0)[:20], "end-of-stream"),
        ("a.jsonl.gz", b"no gzip", r"ends in \.gz, and it is not packed so"),
        ("a.jsonl.zst", b"no zstd at all", r"ends in \.zst, and it is not packed so"),
        ("a.csv", b"id,body\n1,x\n", "no column 'text'; its columns: 'id', 'body'"),
        ("a.csv", b"", "no column"),
        ("a.csv", b"text\nd\xe9\n", "not UTF-8"),
        ("a.parquet", b"PAR1 broken PAR1", "arquet"),
    ],
)
def test_a_bad_file_is_named_with_the_reason(tmp_path, name, data, why):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Problem, match=why) as problem:
        read(tmp_path / name)
    assert name in str(problem.value)


def test_parquet_without_the_column(tmp_path):
    pq.write_table(pa.table({"body": TEXTS}), tmp_path / "a.parquet")
    with pytest.raises(Problem, match="no column 'text'; its columns: 'body'"):
        read(tmp_path / "a.parquet")


def test_bad_files_and_lines_among_good_ones_are_skipped_and_counted(tmp_path):
    (tmp_path / "good.jsonl").write_bytes(b'{"text": "a"}\n\nnot json\n{"text": "b"}\n{"text": "\\ud800c"}\nno')
    (tmp_path / "bad.txt").write_bytes(b"\0\0")
    tally = Tally()
    files = [SourceFile(tmp_path / name, name) for name in ("good.jsonl", "bad.txt")]
    found = list(readers.documents("d", files, Fields(), tally))
    assert [document.data for document in found] == [b"a", b"b", b"?c"]
    assert tally.skipped_count == 2
    assert {"path": "good.jsonl", "reason": "2 of its lines: not JSON (first: line 3)", "lines": 2} in tally.skipped
    assert {skip["path"] for skip in tally.skipped} == {"good.jsonl", "bad.txt"}


def test_skips_are_all_counted_but_not_all_named():
    tally = Tally()
    for number in range(1000):
        tally.skip(str(number), "why")
    assert tally.skipped_count == 1000 and len(tally.skipped) == 100


def test_pieces_join_to_the_whole_and_keep_characters():
    text = ("漢" * 50 + "\n") * 20 + "x" * 500 + "é" * 500
    for limit in (4, 7, 64, 10_000):
        cut = list(pieces(text.encode(), limit))
        assert b"".join(cut) == text.encode()
        assert all(len(piece) <= limit and piece.decode() is not None for piece in cut)


def test_long_records_are_cut_into_one_group(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl(["x" * (2 * PIECE_BYTES + 5)]))
    tally = Tally()
    found = list(readers.documents("d", [SourceFile(tmp_path / "a.jsonl", "a.jsonl")], Fields(), tally))
    assert [len(document.data) for document in found] == [PIECE_BYTES, PIECE_BYTES, 5]
    assert len({document.group for document in found}) == 1 and tally.cut == 1


GIANT = """
import resource, sys
from pathlib import Path
from engine.corpus import readers
from engine.corpus.document import Tally
from engine.corpus.fields import Fields
from engine.corpus.layouts import SourceFile
path, most = Path(sys.argv[1]), int(sys.argv[2])
import pyarrow, csv
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = 0
for document in readers.documents("d", [SourceFile(path, path.name)], Fields(), Tally()):
    count += 1
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
assert grown < most, f"{grown:.0f} MB"
print(count)
"""


@pytest.mark.parametrize(
    ("name", "head"), [("a.txt", b""), ("a.jsonl", b'{"text": "ok"}\n{"text": "'), ("a.csv", b'text\nok\n"')]
)
def test_a_giant_line_does_not_fill_memory(tmp_path, name, head):
    """200 MB without a newline; memory may grow by a few times the longest line that is allowed (16 MB)."""
    path = tmp_path / name
    with open(path, "wb") as file:
        file.write(head)
        for _ in range(50):
            file.write(b"x" * 4_000_000)
    done = subprocess.run([sys.executable, "-c", GIANT, str(path), "120"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return str(root)


@pytest.mark.parametrize(
    ("files", "domains"),
    [
        (("web/a.txt", "web/deep/b.jsonl.gz", "code/c.md", "README.md"), {"code": 1, "web": 2}),
        (("web.jsonl", "code.parquet", "notes.pdf"), {"code": 1, "web": 1}),
        (("web-0.jsonl", "web-1.jsonl", "code-0.jsonl.zst"), {"code": 1, "web": 2}),
        (
            ("train/arxiv-1.jsonl", "train/arxiv-2.jsonl", "train/pile_cc-1.jsonl", "valid/arxiv-1.jsonl"),
            {"arxiv": 3, "pile_cc": 1},
        ),
        (("train/web/domain-0.md", "train/code/domain-0.md", "valid/web/x.md"), {"code": 1, "web": 2}),
        (("gpt-3.txt", "gpt-4.txt"), {"gpt-3": 1, "gpt-4": 1}),
        ((".hidden/a.txt", "a/x.txt", "b/.y.txt", "b/z.txt"), {"a": 1, "b": 1}),
        (("en-00000-of-00002.csv", "en-00001-of-00002.csv", "de-00000-of-00001.csv"), {"de": 1, "en": 2}),
    ],
)
def test_layouts(tmp_path, files, domains):
    found = of_folder(touch(tmp_path, *files))
    assert {domain: len(files) for domain, files in found.domains.items()} == domains


def test_given_validation_stays_validation(tmp_path):
    rng = np.random.default_rng(0)
    for side in ("train", "valid"):
        (tmp_path / "data" / side).mkdir(parents=True)
        for domain in ("a", "b"):
            texts = [f"{side} {domain} " + " ".join(map(str, rng.integers(0, 10**6, 100))) for _ in range(40)]
            (tmp_path / "data" / side / f"{domain}-0.jsonl").write_bytes(jsonl(texts))
    spec = CorpusSpec(source={"type": "folder", "path": str(tmp_path / "data")})
    facts = build(spec, tmp_path / "c", processes=1)["domains"]
    assert facts["a"]["train_documents"] == facts["a"]["valid_documents"] == 40
    assert all(text.startswith("valid a") for text in facts["a"]["examples"])


def test_files_by_domain(tmp_path):
    touch(tmp_path, "x/a.txt", "x/b.txt", "c.csv", "d.exe")
    place = {name: str(tmp_path / name) for name in ("x", "c.csv", "d.exe", "no")}
    found = of_files({"one": place["x"], "two": [place["c.csv"]]})
    assert [len(files) for files in found.domains.values()] == [2, 1]
    for chosen, why in (
        ({"a": place["d.exe"]}, r"d\.exe: \.exe files are not read"),
        ({"a": place["no"]}, "Cannot find"),
        ({"a": []}, "a list of paths"),
        ({"a": 3}, "a list of paths"),
    ):
        with pytest.raises(Problem, match=why):
            of_files(chosen)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ((), "Cannot find text"),
        (("a.pdf",), "Cannot find text"),
        (("web/a.txt",), "1 domain"),
        (("a b/x.txt", "c/x.txt"), "'a b'"),
    ],
)
def test_folders_that_cannot_be_a_mixture(tmp_path, files, why):
    touch(tmp_path / "data", *files) if files else (tmp_path / "data").mkdir()
    with pytest.raises(Problem, match=why):
        sources_of(CorpusSpec(source={"type": "folder", "path": str(tmp_path / "data")}))


def test_missing_folder(tmp_path):
    for path in (str(tmp_path / "none"), "", None, str(touch(tmp_path, "f.txt")) + "/f.txt"):
        with pytest.raises(Problem, match=r"Cannot find|it is a file"):
            of_folder(path)


def test_a_domain_too_small_for_validation(tmp_path):
    touch(tmp_path / "data", "a/x.txt", "b/x.txt")
    spec = CorpusSpec(source={"type": "folder", "path": str(tmp_path / "data")})
    with pytest.raises(Problem, match=r"'a': after duplicates were dropped it has 1 bytes .* needs 65,536"):
        build(spec, tmp_path / "c", processes=1)


def test_single_text_files_are_split_by_pieces(tmp_path):
    (tmp_path / "data").mkdir()
    for seed, name in enumerate(("a", "b")):
        lines = (f"line {seed} {number * 7919 % 100_003}\n" for number in range(20_000))
        (tmp_path / "data" / f"{name}.txt").write_text("".join(lines))
    spec = CorpusSpec(source={"type": "folder", "path": str(tmp_path / "data")})
    facts = build(spec, tmp_path / "c", processes=1)["domains"]["a"]
    assert facts["train_documents"] > 10 and 0.02 < facts["valid_bytes"] / facts["train_bytes"] < 0.15


def test_hub_without_the_package_or_the_network_is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)  # what Python itself does for a package that is not there
    with pytest.raises(Problem, match=r"requirements-hub\.txt"):
        list(hub.of_dataset({"name": "some/data"}, Tally()))
    with pytest.raises(Problem, match="name is needed"):
        list(hub.of_dataset({"config": "x"}, Tally()))


def test_kind_of_names(tmp_path):
    kinds = {"a.txt": ".txt", "a.b.jsonl.zst": ".jsonl", "a.gz": "", "a.TXT.GZ": ".txt", "a": "", "a.py": ""}
    assert {name: layouts.kind_of(tmp_path / name) for name in kinds} == kinds
