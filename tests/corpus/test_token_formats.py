"""Every format of pre-tokenised text gives the documents that were written, and says what is wrong with its files."""

import json
import os
import shutil
import struct
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.corpus.token_formats import FORMATS, How, counted, files_of, opened
from engine.corpus.token_formats.base import BLOCK
from engine.corpus.token_samples import drawn
from tests.support.running import ROOT
from tests.support.token_files import WRITERS, arrow, litdata, mds, olmo, packed

RNG = np.random.default_rng(3)
DOCUMENTS = [[*RNG.integers(1, 900, length).tolist(), 0] for length in (3, 300, 1, 260, 17, 8, 70_000 // 100)]
TOTAL = sum(map(len, DOCUMENTS))
UNSAID = How()
HOW = {"olmo": How("uint16", 0)}


def read(format: str, path, how: How = UNSAID, units=None) -> list[list[int]]:
    """The documents of a domain's files, or of some units of its only one."""
    files = list(opened(format, [str(path)], how))
    return [
        document.tolist()
        for file in files
        for document in file.read(np.arange(file.units) if units is None else np.array(units))
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_a_format_gives_the_documents_that_were_written(format, tmp_path):
    path, how = WRITERS[format](tmp_path / "own", DOCUMENTS), HOW.get(format, How())
    assert read(format, path, how) == DOCUMENTS
    assert counted(format, [str(path)], how).tokens == TOTAL
    if format != "olmo":
        assert read(format, path, how, [1, 4, 6]) == [DOCUMENTS[1], DOCUMENTS[4], DOCUMENTS[6]]
        assert counted(format, [str(path)], how).documents == len(DOCUMENTS)
    with pytest.raises(Problem, match="Cannot"):
        counted(format, [str(tmp_path / "nowhere")], how)


@pytest.mark.parametrize(
    ("how", "options"),
    [
        (How("int64"), {"encoding": "bytes"}),
        (How(), {"encoding": "ndarray"}),
        (How(), {"encoding": "ndarray:uint16", "zstd": True}),
        (How(), {"encoding": "ndarray:int32", "more": True}),
        (How(column="tokens"), {"encoding": "ndarray:int64", "more": True, "zstd": True}),
    ],
)
def test_mds_is_read_in_each_of_its_encodings(how, options, tmp_path):
    path = mds(tmp_path / "own", DOCUMENTS, **options)
    assert counted("mds", [str(path)], how)[1::2] == (TOTAL, len(DOCUMENTS))
    assert read("mds", path, how) == DOCUMENTS and read("mds", path, how, [2, 5]) == [DOCUMENTS[2], DOCUMENTS[5]]


def test_mds_of_one_length_is_counted_by_its_index_alone(tmp_path):
    rows = [one[:3] for one in DOCUMENTS if len(one) > 2]
    path = mds(tmp_path / "own", rows, "ndarray:uint32:3", zstd=True)
    assert read("mds", path) == rows
    for shard in path.glob("*.zstd"):
        shard.write_bytes(b"nothing that is read")
    assert counted("mds", [str(path)], How()).tokens == 3 * len(rows)


def test_packed_chunks_of_litdata_are_read(tmp_path):
    assert read("litdata", litdata(tmp_path / "own", DOCUMENTS, zstd=True)) == DOCUMENTS


def test_documents_of_a_file_that_only_a_token_divides_are_those_that_begin_in_a_block(tmp_path):
    rng = np.random.default_rng(0)
    documents = [[*rng.integers(1, 99, n).tolist(), 0] for n in rng.integers(1, BLOCK, 12)]
    path = olmo(tmp_path / "own", documents)
    (file,) = opened("olmo", [str(path)], How("uint16", 0))
    units = [[one.tolist() for one in file.read(np.array([unit]))] for unit in range(file.units)]
    assert list(chain.from_iterable(units)) == documents and file.units > 3 and any(len(unit) != 1 for unit in units)
    (file,) = opened("olmo", [str(path)], How("uint16"))
    assert np.concatenate(list(file.read(np.arange(file.units)))).tolist() == list(chain.from_iterable(documents))


def test_what_is_drawn_is_each_once_and_evenly_spread():
    rng = np.random.default_rng(1)
    for units, wanted in ((100, 40), (10**9, 5000), (7, 90), (50, 49.5)):
        found = drawn(units, wanted, rng)
        assert len(found) == min(units, np.ceil(wanted)) and (np.diff(found) > 0).all() and found[-1] < units
    thirds = np.bincount(drawn(10**9, 9000, rng) * 3 // 10**9)
    assert thirds.min() > 2800, "all parts of what there is"


def bad(folder):
    """What can be wrong: (format, path, words)."""
    yield from bad_mds(folder)
    yield "litdata", folder / "packed", "not an index of litdata"
    lit = litdata(folder / "lit", DOCUMENTS)
    yield "mds", lit, "not an index of MosaicML"
    told = json.loads((lit / "index.json").read_text())
    (lit / "index.json").write_text(json.dumps(told | {"config": {"data_format": ["str"], "compression": None}}))
    yield "litdata", lit, "['str']"
    (lit / "index.json").write_text("{")
    yield "litdata", lit, "is damaged"
    (lit / "index.json").write_text("[1]")
    yield "litdata", lit, "not an index of shards"
    rows = arrow(folder / "rows", DOCUMENTS)
    file = next(rows.iterdir())
    file.write_bytes(file.read_bytes()[:-900])
    yield "arrow", rows, "not an Arrow file, or was cut off"
    file.write_bytes(packed(b"x" * 99))
    yield "arrow", rows, "not an Arrow file"


def bad_mds(folder):
    """The same of MosaicML's shards and their index."""
    one = mds(folder / "cut", DOCUMENTS)
    shard = one / "shard.00001.mds"
    data = shard.read_bytes()
    shard.write_bytes(data[:-4])
    yield "mds", one, "its index tells of"
    shard.write_bytes(struct.pack("<I", 9) + data[4:])
    yield "mds", one, "does not hold the 4 samples"
    shard.write_bytes(data[:8] + struct.pack("<I", 10**6) + data[12:])
    yield "mds", one, "do not fill its"
    shard.unlink()
    yield "mds", one, "there is no shard.00001.mds"
    one = mds(folder / "packed", DOCUMENTS, zstd=True)
    shutil.copy(one / "shard.00001.mds.zstd", one / "shard.00000.mds.zstd")
    yield "mds", one, "samples of its index"
    index = json.loads((one / "index.json").read_text())
    for change, words in (
        ({"compression": "br"}, "packed by 'br'"),
        ({"zip_data": {"basename": "../../etc/passwd"}}, "which is not a file beside it"),
        ({"column_encodings": ["pkl"]}, "is 'pkl', and tokens are whole numbers"),
        ({"column_names": ["text"]}, "no column tokens or input_ids"),
        ({"column_encodings": ["bytes"]}, "how wide its tokens are"),
        ({"samples": -1}, "must be a number"),
        ({"version": 1}, "version 1"),
        ({"raw_data": {"basename": "x.mds", "bytes": 1 << 36}}, "are unpacked"),
        ({"column_sizes": []}, "does not say the columns"),
    ):
        changed = folder / f"changed-{words[-9:].replace('/', '')}"
        shutil.copytree(one, changed)
        (changed / "index.json").write_text(json.dumps({"shards": [index["shards"][0] | change]}))
        yield "mds", changed, words


def test_what_is_wrong_is_said_and_names_the_file(tmp_path):
    for format, path, words in bad(tmp_path):
        with pytest.raises(Problem) as told:
            read(format, path)
        assert words in str(told.value) and str(tmp_path) in str(told.value), (words, told.value)


def test_columns_that_hold_no_tokens_are_refused(tmp_path):
    rows = arrow(tmp_path / "rows", DOCUMENTS)
    with pytest.raises(Problem, match="its columns are input_ids, and none is ids"):
        counted("arrow", [str(rows)], How(column="ids"))


def test_links_and_hidden_files_in_a_folder_are_passed_over(tmp_path):
    path = WRITERS["olmo"](tmp_path / "own", DOCUMENTS)
    (tmp_path / "other.npy").symlink_to(path)
    (tmp_path / ".hidden.npy").write_bytes(b"")
    assert files_of("olmo", [str(tmp_path)]) == files_of("olmo", [str(tmp_path / "*.npy")]) == [path.resolve()]
    assert files_of("olmo", [str(tmp_path / "other.npy")]) == [path.resolve()], "a link that is named is followed"


def test_arrow_is_read_as_its_own_library_writes_it(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"input_ids": DOCUMENTS}).save_to_disk(str(tmp_path / "own"))
    assert read("arrow", tmp_path / "own") == DOCUMENTS
    assert counted("arrow", [str(tmp_path / "own")], How())[1::2] == (TOTAL, len(DOCUMENTS))


@pytest.mark.soak
@pytest.mark.parametrize("name", ["mds", "mds+zstd", "litdata", "litdata+items", "litdata+zstd"])
def test_shards_are_read_as_their_own_libraries_write_them(name, tmp_path):
    """MosaicML's streaming and litdata, from .venv/loaders, where `make soak` installs them."""
    command = [sys.executable, "-m", "tests.support.tokens_by_their_libraries", name, str(tmp_path / "own")]
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / ".venv" / "loaders")])}
    asked = {"env": os.environ | paths, "capture_output": True, "text": True, "timeout": 300}
    ran = subprocess.run(command, input=json.dumps(DOCUMENTS), **asked)
    assert ran.returncode == 0, ran.stderr[-2000:]
    if ran.stdout.startswith("missing"):
        pytest.skip(f"{ran.stdout.strip()}: `make soak` installs requirements-loaders.txt")
    format = name.partition("+")[0]
    assert len(list((tmp_path / "own").iterdir())) > 2, "several shards"
    assert read(format, tmp_path / "own") == DOCUMENTS
    assert counted(format, [str(tmp_path / "own")], How())[1::2] == (TOTAL, len(DOCUMENTS))
