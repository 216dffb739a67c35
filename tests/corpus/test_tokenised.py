"""Token files of other tools, counted where they lie, and what is wrong with them by name."""

import json

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.corpus.token_formats import FORMATS, How, counted, files_of
from engine.corpus.token_formats.megatron import HEADER, MAGIC
from tests.support.running import answer, said
from tests.support.token_files import datatrove as written_datatrove
from tests.support.token_files import megatron as written_megatron

DOCUMENTS = [[5, 6, 7, 0], [8, 0], [9, 10, 11, 12, 0]]
TOKENS = np.concatenate(DOCUMENTS)
ENDS = [4, 6, 11]
U16, U32 = How("uint16"), How("uint32")


def megatron(prefix, documents=DOCUMENTS, code=8, dtype="<u2") -> None:
    written_megatron(prefix, documents, code, dtype)


def datatrove(path, dtype="<u2", ends=None, about=None) -> None:
    written_datatrove(path, DOCUMENTS, dtype, ends, about)


@pytest.mark.soak
def test_megatron_is_read_as_its_own_library_reads_it(tmp_path):
    library = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    builder = library.IndexedDatasetBuilder(str(tmp_path / "own.bin"), dtype=np.int32)
    for document in DOCUMENTS:
        builder.add_document(np.array(document, np.int32), [len(document) - 1, 1])
    builder.finalize(str(tmp_path / "own.idx"))
    theirs = library.IndexedDataset(str(tmp_path / "own"))
    file = FORMATS["megatron"].open(tmp_path / "own", How())
    assert len(file.tokens) == sum(theirs.sequence_lengths) == len(TOKENS)
    assert file.ends.tolist() == ENDS and file.documents == len(theirs.document_indices) - 1
    np.testing.assert_array_equal(file.tokens, np.concatenate([theirs[k] for k in range(len(theirs))]))


def test_each_format_is_counted(tmp_path):
    megatron(tmp_path / "a")
    megatron(tmp_path / "b", code=4, dtype="<i4")
    assert counted("megatron", [str(tmp_path)], How()) == (2, 22, 66, 6)
    TOKENS.astype("<u4").tofile(tmp_path / "part-0.npy")
    np.save(tmp_path / "part-1.npy", TOKENS.astype("<u4"))
    assert counted("olmo", [str(tmp_path / "part-*.npy")], U32._replace(end=0)) == (2, 22, 88, None)
    datatrove(tmp_path / "x.ds", about="gpt2|2\n11\n11 T")
    datatrove(tmp_path / "y.ds", "<u4")
    assert counted("datatrove", [str(tmp_path / "x.ds"), str(tmp_path / "y.ds")], How()) == (2, 22, 66, 6)


def bad(tmp_path):
    """What can be wrong: (format, file, how, words)."""
    megatron(tmp_path / "cut")
    data = (tmp_path / "cut.bin").read_bytes()
    (tmp_path / "cut.bin").write_bytes(data[:-4])
    yield "megatron", "cut", How(), "has 18 bytes, and its index cut.idx tells of 22. It was cut off"
    megatron(tmp_path / "other")
    (tmp_path / "other.bin").write_bytes(data + data)
    yield "megatron", "other", How(), "another file's"
    megatron(tmp_path / "short")
    index = (tmp_path / "short.idx").read_bytes()
    (tmp_path / "short.idx").write_bytes(index[:-9])
    yield "megatron", "short", How(), "its header tells of"
    (tmp_path / "short.idx").write_bytes(b"x" * 60)
    yield "megatron", "short.bin", How(), "does not begin as an index"
    (tmp_path / "short.idx").write_bytes(index[:17] + b"\x06" + index[18:])
    yield "megatron", "short", How(), "its type 6"
    (tmp_path / "short.idx").unlink()
    yield "megatron", "short", How(), "there is no short.idx"
    many = np.tile(TOKENS, 50)
    many.astype("<u4").tofile(tmp_path / "wide.npy")
    yield "olmo", "wide.npy", How(), "how wide its tokens are. Say uint16 or uint32"
    yield "olmo", "wide.npy", U16, "every second number is 0. Its tokens are uint32"
    yield "olmo", "wide.npy", U32._replace(end=99), "the token 99 that ends documents was not met"
    yield "olmo", "wide.npy", U32._replace(vocabulary=10), "has the token 12, and the vocabulary 10"
    (many + 300).astype("<u2").tofile(tmp_path / "narrow.npy")
    yield "olmo", "narrow.npy", U32, "Its tokens are uint16"
    (tmp_path / "odd.npy").write_bytes(bytes(7))
    yield "olmo", "odd.npy", U16, "not whole numbers of 2"
    np.save(tmp_path / "float.npy", np.ones(3))
    yield "olmo", "float.npy", U16, "float64"
    datatrove(tmp_path / "z.ds", ends=[4, 6, 9])
    yield "datatrove", "z.ds", U16, "its index tells of 18"
    datatrove(tmp_path / "w.ds", ends=[6, 4, 11])
    yield "datatrove", "w.ds", U16, "do not rise"
    (tmp_path / "w.ds.index").write_bytes(b"1234567")
    yield "datatrove", "w.ds", U16, "not whole 64-bit numbers"
    yield "datatrove", "none.ds", U16, "there is no none.ds"


def test_what_is_wrong_is_said(tmp_path):
    for format, name, how, words in bad(tmp_path):
        with pytest.raises(Problem) as told:
            counted(format, [str(tmp_path / name)], how)
        assert words in str(told.value), (words, told.value)
    with pytest.raises(Problem, match="no file of olmo"):
        files_of("olmo", [str(tmp_path / "nothing-*.npy")])
    with pytest.raises(Problem, match="formats are megatron"):
        files_of("parquet", [])


def test_a_gigabyte_costs_nothing_to_count(tmp_path):
    """A sparse file: its tokens are where its index says, and nobody reads them."""
    count, length = 4096, 131_072
    lengths = np.full(count, length, "<i4")
    body = lengths.tobytes() + (np.arange(count, dtype="<i8") * 2 * length).tobytes()
    head = HEADER.pack(MAGIC, 1, 8, count, count + 1)
    (tmp_path / "large.idx").write_bytes(head + body + np.arange(count + 1, dtype="<i8").tobytes())
    with open(tmp_path / "large.bin", "wb") as file:
        file.truncate(2 * count * length)
    assert counted("megatron", [str(tmp_path / "large")], How()) == (1, count * length, 1 << 30, count)


def test_the_command_writes_what_a_study_takes(tmp_path):
    for name in ("web", "code-0", "code-1"):
        megatron(tmp_path / name)
    words = ["count-tokens", "--format", "megatron", f"web={tmp_path}/web", f"code={tmp_path}/code-0,{tmp_path}/code-1"]
    told = answer(tmp_path / "nowhere", *words, "--out", str(tmp_path / "counts.json"))
    assert told["domains"]["code"] == {
        "files": 2,
        "tokens": 22,
        "bytes": 44,
        "documents": 6,
        "tokens_per_document": pytest.approx(22 / 6),
    }
    assert json.loads((tmp_path / "counts.json").read_text()) == {"web": 11, "code": 22}
    assert "exists" in said(tmp_path / "nowhere", *words, "--out", str(tmp_path / "counts.json"))
