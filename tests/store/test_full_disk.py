"""A disk that fills up between two writes: what was refused did not happen, and room is all that it takes to go on."""

import json
import resource
import sys
from collections import namedtuple

import pytest

from engine.core import files
from engine.core.errors import Unavailable
from engine.jobs.decisions import StudyCreated, StudyImported, StudyMetric
from engine.jobs.runs import ImportedRun, run_id
from engine.spec.study import StudySpec
from store import studies
from tests.support.api import opened

Usage = namedtuple("Usage", "free")
SPEC = StudySpec.from_dict({"name": "x"}).to_dict()


def imported(name: str, runs: int) -> StudyImported:
    """An import of so many runs."""
    rows = [
        ImportedRun(id=run_id(name, n), number=n, weights=[n / runs, 1 - n / runs], losses=[1 + 1 / n])
        for n in range(1, runs + 1)
    ]
    about = {
        "domains": ["a", "b"],
        "corpus": None,
        "imported": {
            "files": [],
            "columns": {"a": "a", "b": "b"},
            "notes": [],
            "prior": [0.5, 0.5],
            "prior_name": "uniform",
        },
        "spec": {**SPEC, "corpus": None},
    }
    metric = StudyMetric(metric="loss", unit="", higher_is_better=False)
    return StudyImported(study=name, name=name, runs=rows, metrics=[metric], **about)


def test_a_database_that_could_not_be_written_is_opened_again(store, monkeypatch):
    """DuckDB gives up a file whose checkpoint fails, for good: every answer would be a refusal until a restart."""
    store.write(imported("before", 200))
    store.rows("SET checkpoint_threshold = '10KB'")  # of the connection that is lost
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal = store.journal.folder / "events.jsonl"
    before = journal.stat().st_size
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # else Python would cut its own compiled files
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # less than a block of the database
    try:
        with pytest.raises(Unavailable, match="Nothing was done"):
            store.write(imported("refused", 100))
        assert store._lost and journal.stat().st_size == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [one.id for one in studies.all_studies(store)] == ["before"]
    store.write(imported("after", 100))
    assert {one.id for one in studies.all_studies(store)} == {"before", "after"} and not store._lost


def test_what_follows_from_a_decision_needs_no_more_room_than_it(store, monkeypatch):
    """A disk that was not too full for the first of several decisions takes the others: none is done by halves."""
    free = lambda: 0 if studies.all_studies(store) else files.ROOM + 10_000  # noqa: E731
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: Usage(free()))
    with store.alone():
        store.write(StudyCreated("one", "One", SPEC))
        with store.alone():
            store.write(StudyCreated("two", "Two", SPEC))
    with pytest.raises(Unavailable, match="Nothing was done"):
        store.write(StudyCreated("three", "Three", SPEC))
    assert {one.id for one in studies.all_studies(store)} == {"one", "two"}


def test_a_decision_that_the_tables_have_no_room_for_is_taken_back(store, monkeypatch):
    journal = store.journal.folder / "events.jsonl"
    before = journal.read_bytes()
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: Usage(files.ROOM + 1000))
    with pytest.raises(Unavailable, match="Nothing was done"):
        store.write(imported("large", 500))
    assert journal.read_bytes() == before and not studies.all_studies(store)


@pytest.fixture
def client(tmp_path):
    with opened(tmp_path / "workspace") as found:
        yield found


def test_how_a_request_ended_is_known_although_it_could_not_be_written_down(client, monkeypatch):
    """The disk is full after the request was begun: it is answered, and its key neither doubles nor blocks it."""
    real = client.store.write

    def write(event, *by):
        if event.kind == "request.ended" and full:
            raise Unavailable("Cannot write: its disk is full.")
        real(event, *by)

    monkeypatch.setattr(client.store, "write", write)
    for wish, status in (({"name": "Done", "corpus": "default", "runs": 8}, 200), ({"name": "W", "corpus": "no"}, 400)):
        full, body, key = True, json.dumps({"spec": wish}), {"Idempotency-Key": wish["name"]}
        first = client.post("/api/v1/start", content=body, headers=key)
        full = False
        again = client.post("/api/v1/start", content=body, headers=key)
        assert (first.status_code, first.text) == (status, again.text) and again.status_code == status


@pytest.mark.slow
def test_a_long_answer_is_given_again(client):
    """Ids of many runs: what was done is not done again because its answer is long."""
    rows = "run,share/a,share/b,metric/x_loss\n" + "".join(
        f"r{i},{i / 10},{1 - i / 10},{2 + i / 7}\n" for i in range(9)
    )
    client.put("/api/v1/imports/r.csv", content=rows.encode())
    assert client.post("/api/v1/import_runs", json={"name": "S", "format": "flat", "weights": "uploads/r.csv"}).json()
    runs = [{"id": f"{n:0100}", "weights": {"a": 0.5, "b": 0.5}, "losses": {"metric/x_loss": 2.0}} for n in range(800)]
    body, key = {"name": "S", "runs": runs}, {"Idempotency-Key": "long"}
    first = client.post("/api/v1/submit_runs", json=body, headers=key)
    assert first.status_code == 200 and len(first.text) > 1 << 16
    assert client.post("/api/v1/submit_runs", json=body, headers=key).text == first.text
