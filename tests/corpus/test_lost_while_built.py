"""What only the build finds: domains without text, and fields in which records name domains of their own."""

import bz2
import gzip
import itertools
import json
import lzma
import os
import random
import time

import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from engine.core.errors import Problem, Stopped
from engine.core.workspace import Workspace
from engine.corpus import CorpusSpec, build
from engine.corpus.report import report
from engine.jobs.decisions import CorpusPlanned
from engine.jobs.events import JobFailed, JobFinished, JobStarted
from engine.jobs.journal import write_event
from engine.spec.kinds.corpus import CorpusBuilt
from engine.studies.corpora import build_corpus
from store import corpora
from store.database import Store


def text(number: int) -> str:
    drawn = random.Random(number)
    return " ".join(f"word{drawn.randrange(10_000)}" for _ in range(60))


def texts(first: int = 0, count: int = 200) -> list[str]:
    return [text(number) for number in range(first, first + count)]


def lines(found, **more) -> str:
    """JSON lines of texts; more: other fields, a function of the place."""
    rows = ({"text": one, **{name: of(place) for name, of in more.items()}} for place, one in enumerate(found))
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "web.jsonl").write_text(lines(texts()))
    (tmp_path / "data" / "books.jsonl").write_text(lines(texts(1000)))
    return tmp_path / "data"


def built(folder, **source):
    source = {"type": "folder", "path": str(folder), **source}
    return build(CorpusSpec.from_dict({"source": source}), folder.with_name("corpus"), processes=1)


# A build that is tried again --------------------------------------------------------------------------------


def stop_when_dropping(done, total, note):
    if note == "dropping duplicates":
        raise Stopped


@pytest.mark.parametrize("fields", [{}, {"domain": "kind"}])
def test_the_next_attempt_reads_what_the_files_hold_by_then(folder, tmp_path, fields):
    """The folder of what was read stays for it; a file that was put right, or exchanged, is read again."""
    if fields:
        (folder / "web.jsonl").write_text(lines(texts(0, 400), kind=lambda place: "web" if place % 2 else "books"))
        (folder / "books.jsonl").unlink()
    spec = CorpusSpec.from_dict({"source": {"type": "folder", "path": str(folder), **fields}})
    with pytest.raises(Stopped):
        build(spec, tmp_path / "c", stop_when_dropping, tmp_path / "scratch", 1)
    read = {path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "scratch").rglob("part.json")}
    assert read.keys() == {"web", "books"}
    whole = (folder / "web.jsonl").read_text()
    more = lines(texts(3000, 200), **({"kind": lambda place: "web"} if fields else {}))
    (folder / "web.jsonl").write_text(whole + more)
    with pytest.raises(Stopped):
        build(spec, tmp_path / "c", stop_when_dropping, tmp_path / "scratch", 1)
    again = {path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "scratch").rglob("part.json")}
    assert again["web"] != read["web"] and (again["books"] == read["books"]) == (not fields)
    build(spec, tmp_path / "c", scratch=tmp_path / "scratch", processes=1)
    held = (next((tmp_path / "scratch").rglob("web")) / "text.bin").read_text()
    assert text(3100) in held and text(1) in held


def test_what_stopped_a_build_can_be_put_right(folder, tmp_path):
    spec = CorpusSpec.from_dict({"source": {"type": "folder", "path": str(folder)}})
    (folder / "web.jsonl").write_text(lines(texts(0, 20)))
    with pytest.raises(Problem, match="Cannot split the domain 'web'"):
        build(spec, tmp_path / "c", scratch=tmp_path / "scratch", processes=1)
    (folder / "web.jsonl").write_text(lines(texts()))
    assert build(spec, tmp_path / "c", scratch=tmp_path / "scratch", processes=1)["domains"]


# Domains that are found empty -------------------------------------------------------------------------------

EMPTY = {"content.jsonl": '{"content": "no text"}\n' * 99, "blank.jsonl": "\n\n", "numbers.csv": "text,n\n,1\n,2\n"}


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.slow
def test_every_domain_without_text_is_named_and_fails_the_build(folder, processes):
    for name, found in EMPTY.items():
        (folder / name).write_text(found)
    spec = CorpusSpec.from_dict({"source": {"type": "folder", "path": str(folder)}})
    with pytest.raises(Problem) as told:
        build(spec, folder.with_name("corpus"), processes=processes)
    for name in ("content", "blank", "numbers"):
        assert f"'{name}'" in str(told.value)
    assert "name what may stay out (without: " in str(told.value) and not folder.with_name("corpus").exists()
    assert set(built(folder, without=["content", "blank", "numbers"])["domains"]) == {"web", "books"}


def test_every_domain_that_duplicates_leave_too_small_is_named(folder):
    (folder / "aweb.jsonl").write_text(lines(texts()))
    (folder / "abooks.jsonl").write_text(lines(texts(1000)))
    with pytest.raises(Problem, match=r"'books'.*'web'.*without: books, web") as told:
        built(folder)
    assert "--" not in str(told.value)


def test_why_a_domain_has_so_little_text_is_told(folder):
    """Copies, what could not be read, the limit, or a split that left nothing to train on: each has its own cure."""
    own = texts(1000)
    (folder / "books.jsonl").write_text(lines(own[:20]) + '{"content": "x"}\n{"text": "  "}\n')
    (folder / "abooks.jsonl").write_text(lines(own))
    with pytest.raises(Problem, match=r"'books'.*20 of its 20 documents stand in the corpus elsewhere") as told:
        built(folder)
    assert "Could not be read: 2 (" in str(told.value) and "1 of its texts hold nothing but blanks" in str(told.value)
    with pytest.raises(Problem, match=r"up to the limit of each domain \(cap_mb\): raise that"):
        build(CorpusSpec({"type": "folder", "path": str(folder)}, cap_mb=0.05), folder.with_name("c"), processes=1)


def test_a_split_that_leaves_nothing_to_train_on_or_nothing_to_validate_is_told(tmp_path):
    root = tmp_path / "data"
    for name, start in (("train/web", 0), ("train/code", 1000), ("valid/web", 2000)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.jsonl").write_text(lines(texts(start)))
    told = report(built(root))
    assert "code: no text of it came as validation, as that of others" in told["text"]
    (root / "valid" / "books.jsonl").write_text(lines(texts(3000)))
    with pytest.raises(Problem, match=r"'books': .* bytes of its text came as validation, and 0 are left to train on"):
        build(CorpusSpec({"type": "folder", "path": str(root)}), root.with_name("c"), processes=1)


@pytest.fixture
def store(tmp_path):
    found = Store(Workspace.open(tmp_path / "workspace"))
    yield found
    found.close()


def ended(store, job_id, event):
    """The job ends as its own process says."""
    folder = store.spool.find(job_id)
    write_event(folder, JobStarted())
    write_event(folder, event)
    store.spool.move(folder, "ended")
    store.ingest()


def test_a_build_that_failed_leaves_its_name_free(store, folder):
    source = {"type": "folder", "path": str(folder)}
    whole = CorpusSpec.from_dict({"source": source}).to_dict()
    less = CorpusSpec.from_dict({"source": source | {"without": ["web"]}}).to_dict()
    (folder / "code.jsonl").write_text(lines(texts(2000)))
    first = build_corpus(store, "mine", whole).id
    with pytest.raises(Problem, match="Choose a new name"):
        build_corpus(store, "mine", less)
    ended(store, first, JobFailed(message="no text"))
    second = build_corpus(store, "mine", less).id
    assert second != first and build_corpus(store, "mine", less) == (second, True)
    assert corpora.job(store, "mine").id == second and corpora.spec(store, "mine") == less
    ended(store, second, JobFailed(message="no text"))
    assert build_corpus(store, "mine", less) == (second, False) and corpora.job(store, "mine").state == "queued"
    ended(store, second, JobFailed(message="no text"))
    build_corpus(store, "mine", whole)
    assert corpora.job(store, "mine").state == "queued" and corpora.spec(store, "mine") == whole


def test_the_name_of_a_corpus_that_is_there_is_not_free(store, folder):
    whole = {"source": {"type": "folder", "path": str(folder)}}
    job = build_corpus(store, "mine", whole).id
    store.workspace.corpus("mine").mkdir(parents=True)
    ended(store, job, JobFinished())
    with pytest.raises(Problem, match="Choose a new name"):
        build_corpus(store, "mine", {"source": {"type": "default"}})
    assert len([one for one in store.journal.folder.rglob("*.jsonl") if CorpusPlanned.kind in one.read_text()]) == 1


def changed(folder, how):
    """Files of a corpus after it was built."""
    if how == "a file more":
        (folder / "web").mkdir()
        (folder / "web.jsonl").rename(folder / "web" / "web.jsonl")  # one domain still
        (folder / "web" / "more.jsonl").write_text(lines(texts(3000)))
    elif how == "a domain more":
        (folder / "code.jsonl").write_text(lines(texts(2000)))
    elif how == "a domain less":
        (folder / "code.jsonl").unlink()
    later = time.time() + 5
    for path in folder.rglob("*.jsonl"):
        if how == "other text" and path.name == "web.jsonl":
            os.utime(path, (later, later))


CHANGES = {"a file more": "web", "a domain more": "code", "a domain less": "code", "other text": "web", "nothing": None}


@pytest.mark.parametrize("how", CHANGES)
def test_a_corpus_of_files_that_changed_since_is_not_called_there_already(store, folder, how):
    """It would be named done, without the text that was added."""
    if how == "a domain less":
        (folder / "code.jsonl").write_text(lines(texts(2000)))
    source = {"source": {"type": "folder", "path": str(folder)}}
    job = build_corpus(store, "mine", source).id
    at = store.spool.find(job)
    write_event(at, JobStarted())
    write_event(at, CorpusBuilt("mine", built(folder)))
    ended(store, job, JobFinished())
    changed(folder, how)
    if CHANGES[how] is None:
        assert build_corpus(store, "mine", source) == (job, True)
    else:
        with pytest.raises(Problem, match=f"other files of {CHANGES[how]}, .* Choose a new name"):
            build_corpus(store, "mine", source)


# Domains inside a file --------------------------------------------------------------------------------------


def names(place: int) -> str:
    return ("a", "b", "c")[place % 3]


def flat(folder, name, found):
    (folder / f"{name}.jsonl").write_text(lines(found, domain=names))


def nested(folder, name, found):
    rows = [{"text": one, "meta": {"redpajama_set_name": names(place)}} for place, one in enumerate(found)]
    (folder / f"{name}.json").write_text(json.dumps(rows))


def struct_parquet(folder, name, found):
    rows = pa.table({"text": found, "meta": [{"subset": names(place), "n": place} for place in range(len(found))]})
    parquet.write_table(rows, folder / f"{name}.parquet")


def arrow(folder, name, found):
    rows = pa.table({"text": found, "corpus": [names(place) for place in range(len(found))]})
    with ipc.new_file(folder / f"{name}.arrow", rows.schema) as file:
        file.write_table(rows)


def table(folder, name, found):
    rows = "".join(f"{names(place)},{one}\n" for place, one in enumerate(found))
    (folder / f"{name}.csv").write_text("source,text\n" + rows)


NAMED = {  # domain -> (the field, what writes its records)
    "flat": ("domain", flat),
    "nested": ("meta.redpajama_set_name", nested),
    "struct": ("meta.subset", struct_parquet),
    "arrow": ("corpus", arrow),
    "table": ("source", table),
}


def test_domains_that_records_name_themselves_are_told_of(folder):
    for number, (name, (_, write)) in enumerate(NAMED.items()):
        write(folder, name, texts(2000 + 200 * number))
    told = report(built(folder))
    reasons = {one["domain"]: one["reason"] for one in told["noticed"]}
    assert set(reasons) == set(NAMED)
    for name, (field, _) in NAMED.items():
        assert f"3 domains in '{field}' ('a', 'b', 'c')" in reasons[name]
        assert f"{name}." in told["text"].partition("Warnings: ")[2]


def test_a_field_that_names_each_record_or_one_domain_says_nothing(folder):
    of_each = lines(texts(2000), source=lambda place: f"https://example.org/{place}", domain=lambda place: "code")
    (folder / "code.jsonl").write_text(of_each)
    assert report(built(folder))["noticed"] == []


# Files that are not what their names say --------------------------------------------------------------------


def test_packing_follows_from_the_bytes(folder):
    packs, names = (gzip, bz2, lzma), (".jsonl", ".jsonl.gz", ".jsonl.xz")
    for number, (pack, name) in enumerate(itertools.product(packs, names)):
        found = lines(texts(2000 + 300 * number, 200 + number))
        (folder / f"code{number}{name}").write_bytes(pack.compress(found.encode()))
    domains = built(folder)["domains"]
    assert [domains[f"code{number}"]["documents"] for number in range(9)] == list(range(200, 209))


@pytest.mark.parametrize("name", ["code.jsonl", "code.txt", "code.csv", "code.json"])
@pytest.mark.parametrize(
    ("data", "what"),
    [(b"PAR1" + bytes(99), "a Parquet file"), (b"PK\x03\x04" + bytes(99), "zip"), (b"%PDF-1.7 x", "a PDF")],
)
def test_a_file_of_another_kind_is_refused_by_that_name(folder, name, data, what):
    (folder / name).write_bytes(data)
    with pytest.raises(Problem, match=f"{name}: it is .*{what.split()[-1]}.*whatever its name says.*without: code"):
        built(folder)
