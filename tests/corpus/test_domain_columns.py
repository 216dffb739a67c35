"""Records that say their domain: a column of one file is many domains, two columns are two levels."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from engine.core.errors import Problem
from engine.corpus.build import build
from engine.corpus.spec import CorpusSpec
from engine.corpus.texts import scan_of
from tests.support.running import answer

SOURCES, TOPICS = ("web", "code", "books"), ("maths", "law")


def records(count: int = 480, seed: int = 0) -> list[dict]:
    """Records of unlike texts, with a source and a topic."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)) for _ in range(4000)]
    return [
        {"text": " ".join(rng.choice(words, 120)), "source": SOURCES[k % 3], "meta": {"topic": TOPICS[k // 3 % 2]}}
        for k in range(count)
    ]


@pytest.fixture(scope="module")
def rows():
    return records()


def as_json(path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def as_parquet(path, rows) -> None:
    table = pa.Table.from_pylist(rows)
    source = table.schema.get_field_index("source")
    table = table.set_column(source, "source", table.column("source").dictionary_encode())
    parquet.write_table(table, path, row_group_size=100)


WRITERS = {"rows.jsonl": as_json, "rows.parquet": as_parquet}


def spec(path, domain, **more) -> CorpusSpec:
    return CorpusSpec({"type": "folder", "path": str(path), "domain": domain, **more})


@pytest.mark.parametrize("name", WRITERS)
def test_one_file_is_as_many_domains_as_a_column_has_values(tmp_path, rows, name):
    (tmp_path / "text").mkdir()
    WRITERS[name](tmp_path / "text" / name, rows)
    manifest = build(spec(tmp_path / "text", "source"), tmp_path / "corpus", processes=1)
    found = {domain: facts["documents"] for domain, facts in manifest["domains"].items()}
    assert found == dict(sorted(Counter(row["source"] for row in rows).items())), "as a group-by counts"
    assert not any("taken for one" in one["reason"] for one in manifest["noticed"])
    own = {row["text"][:100] for row in rows if row["source"] == "code"}
    assert {one[:100] for one in manifest["domains"]["code"]["examples"]} <= own


def test_two_columns_are_two_levels_in_all_files_and_processes(tmp_path, rows):
    (tmp_path / "text").mkdir()
    rows = [
        row for row in rows if (row["source"] == "web") == (row["meta"]["topic"] == "law") and row["source"] != "books"
    ]
    as_json(tmp_path / "text" / "part-0.jsonl", rows[:80])
    as_parquet(tmp_path / "text" / "part-1.parquet", rows[80:])
    manifest = build(spec(tmp_path / "text", ["source", "meta.topic"]), tmp_path / "corpus", processes=2)
    wanted = Counter(f"{row['source']}.{row['meta']['topic']}" for row in rows)
    assert {name: facts["documents"] for name, facts in manifest["domains"].items()} == dict(sorted(wanted.items()))


def test_what_names_no_domain_is_left_out_and_told(tmp_path, rows):
    (tmp_path / "text").mkdir()
    odd = [{**rows[0], "source": None}, {"text": "no source"}, {**rows[1], "source": "über uns/x"}]
    as_json(tmp_path / "text" / "rows.jsonl", [*rows[:60], *odd])
    scan = scan_of(spec(tmp_path / "text", "source"))
    assert list(scan.domains) == ["ber-uns-x", "books", "code", "web"]
    assert scan.left[-1].reason == "2 records of it name no domain in source"


@pytest.mark.parametrize(
    ("domain", "change", "words"),
    {
        "no such column": ("wob", {}, "no record has wob"),
        "a column of ids": ("id", {}, "more than 512"),
        "two names that are one": ("source", {"source": "we b"}, "both would be the domain 'we-b'"),
        "three columns": (["a", "b", "c"], {}, "a column of the records, or two"),
    }.values(),
)
def test_columns_that_tell_no_domains(tmp_path, rows, domain, change, words):
    (tmp_path / "text").mkdir()
    made = [{**row, "id": place} for place, row in enumerate([*rows, *rows])]
    as_json(tmp_path / "text" / "rows.jsonl", [*made, {**rows[0], **change}, {**rows[0], "source": "we/b"}])
    with pytest.raises(Problem, match=words):
        scan_of(spec(tmp_path / "text", domain))


def test_a_table_without_the_column_says_which_it_has(tmp_path, rows):
    (tmp_path / "text").mkdir()
    as_parquet(tmp_path / "text" / "rows.parquet", rows)
    with pytest.raises(Problem, match="no column 'wob'; its columns are text, source, meta"):
        scan_of(spec(tmp_path / "text", "wob"))
    (tmp_path / "text" / "more.txt").write_text("plain text")
    with pytest.raises(Problem, match=r"more\.txt: columns are read of"):
        scan_of(spec(tmp_path / "text", "source"))


def test_folders_of_sources_and_topics_are_two_levels(tmp_path, rows):
    for source in SOURCES[:2]:
        (tmp_path / "text" / source / "law").mkdir(parents=True)
        as_json(tmp_path / "text" / source / "law" / "a.jsonl", rows[:9])
        as_json(tmp_path / "text" / source / "maths.jsonl", rows[:9])
    (tmp_path / "text" / "web" / "law" / "x.bin").write_bytes(b"x")
    (tmp_path / "text" / "stray.jsonl").write_text("{}")
    (tmp_path / "text" / "nothing").mkdir()
    (tmp_path / "text" / ".cache").mkdir()
    (tmp_path / "text" / "README.md").write_text("about")
    found = {"type": "folder", "path": str(tmp_path / "text"), "levels": 2}
    with pytest.raises(Problem, match=r"nothing \(nothing: it is an empty folder\), stray \(stray.jsonl"):
        scan_of(CorpusSpec(found))
    scan = scan_of(CorpusSpec({**found, "without": ["web.maths", "stray", "nothing"]}))
    assert list(scan.domains) == ["code.law", "code.maths", "web.law"]
    assert [file.name for file in scan.domains["web.law"]] == ["web/law/a.jsonl"]
    assert {one.path: one.domain for one in scan.left} == {
        "stray.jsonl": "stray",
        "nothing": "nothing",
        ".cache": "",
        "README.md": "",
        "web/law/x.bin": "web.law",
        "web/maths.jsonl": "web.maths",
    }
    with pytest.raises(Problem, match="there are 1, or 2"):
        CorpusSpec({"type": "folder", "path": "x", "levels": 3})
    with pytest.raises(Problem, match="no folder of a source"):
        scan_of(CorpusSpec({"type": "folder", "path": str(tmp_path / "text" / "web" / "law"), "levels": 2}))


def test_the_command_line_names_columns(tmp_path, rows):
    (tmp_path / "text").mkdir()
    as_json(tmp_path / "text" / "rows.jsonl", rows)
    words = ["corpus", "--name", "own", "--folder", str(tmp_path / "text"), "--domain-column", "source"]
    told = answer(tmp_path / "w", *words, "--domain-column", "meta.topic")
    assert told["corpus"] == "own"
