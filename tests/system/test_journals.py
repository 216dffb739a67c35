"""Strangers' journals: any line is applied or set aside, and however many there are, others go on."""

import json
import threading
import time
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.models.progress import progress_of
from engine.commands import COMMANDS
from engine.jobs.decisions import StudyCreated
from engine.jobs.kinds import event_kinds
from engine.studies import advance
from store import runs, studies
from store.database import Store
from store.from_journals import rebuild
from tests.support.mutations import FUZZ, json_values
from tests.support.two_studies import DOMAINS, OWN, add, desk, finished, one_line, tables

CASES = {
    "deep": b"[" * 50_000 + b"]" * 50_000,
    "deep inside": b'{"kind":"job.note","t":1,"text":' + b"[" * 900 + b"]" * 900 + b"}",
    "deep where anything goes": b'{"kind":"search.finished","t":1,"study":"mine","settings":{},"found":{"a":'
    + b'{"a":' * 300
    + b"1"
    + b"}" * 300
    + b"}}",
    "a list for a string": b'{"kind":"job.note","t":1,"text":[1]}',
    "a huge number": b'{"kind":"runs.added","t":1,"study":"s","jobs":[],"runs":[{"id":"x","number":1'
    + b"0" * 40
    + b"}]}",
    "a number of 9,999 digits": b'{"kind":"job.note","t":1,"text":' + b"9" * 9999 + b"}",
    "an object for a list": b'{"kind":"runs.measured","t":1,"study":"mine","runs":[{"id":"x","weights":{"a":[1]},'
    b'"losses":"x"}]}',
    "no runs": b'{"kind":"runs.measured","t":1,"study":"mine","runs":[]}',
    "half a letter": b'{"kind":"job.note","t":1,"text":"\\ud800"}',
    "half a letter in a name": b'{"kind":"\\ud800","t":1,"\\udfff":"\\ud800"}',
    "a zero": b'{"kind":"job.note","t":1,"text":"a\\u0000b"}',
    "bytes": bytes(range(128, 256)),
    "a time of another world": b'{"kind":"job.note","t":1e300,"text":"x"}',
    "a time that is none": b'{"kind":"job.note","t":NaN,"text":"x"}',
    "a column of its own": b'{"kind":"runs.measured","t":1,"study":"mine","runs":[{"id":"x","state\\" = 1 --":1}]}',
}


def test_bad_lines_stop_nothing(two):
    add(two, OWN, *CASES.values(), one_line(finished("mine-1")))
    two.ingest()
    assert studies.get(two, "mine").done == 1, "what stands after them is read"
    aside = two.rows("SELECT count(*) FROM corrupt_lines")
    assert aside >= [(len(CASES) - 2,)], "all but notes whose text is odd, and may be kept"
    two.close()
    again = Store(two.workspace)  # and the next start goes on
    before = tables(again)
    again.close()
    assert rebuild(two.workspace, two.workspace.root / "fresh.duckdb")[0] > 0
    fresh = Store(two.workspace, two.workspace.root / "fresh.duckdb")
    assert tables(fresh) == before
    fresh.close()


PLANNED = {"kind": "study.planned", "study": "mine", "domains": DOMAINS, "corpus": {}, "runs": [], "jobs": []}
REVIEW = {"kind": "review.added", "study": "mine", "author": "a", "candidate": None}
OWNERS = {
    "no settings": {"kind": "study.created", "study": "x", "name": "X", "spec": {}},
    "odd settings": {"kind": "study.created", "study": "x", "name": "X", "spec": {"corpus": 1, "merge": []}},
    "an odd size": {"kind": "study.created", "study": "x", "name": "X", "spec": {"corpus": "c", "fidelity": 3}},
    "a run that is a path": PLANNED
    | {"runs": [{"id": "../../x", "number": 9, "role": "design", "weights": [0.5, 0.5], "seed": 1}]},
    "a submitted run that is a path": {"kind": "runs.submitted", "study": "mine"}
    | {"runs": [{"id": "../../y", "label": "y", "weights": [0.5, 0.5], "losses": [1.0, 2.0]}]},
    "an odd metric": PLANNED | {"metrics": [{"metric": 1, "colour": "red"}]},
    "an odd corpus": PLANNED | {"corpus": {"domains": 3}},
    "no domains": PLANNED | {"domains": []},
    "an odd job": {"kind": "job.planned", "job": "../x", "spec": {"kind": "corpus"}, "study": None},
    "a job with a zero": {"kind": "job.planned", "job": "a\0b", "spec": {"kind": "fit"}, "study": None},
    "a job with half a letter": {"kind": "job.planned", "job": "\ud800", "spec": {"kind": "fit"}, "study": None},
    "a study with a zero": {"kind": "study.created", "study": "a\0b", "name": "X", "spec": {"corpus": "c"}},
    "a study in a folder": {"kind": "study.created", "study": "../../x", "name": "X", "spec": {"corpus": "c"}},
    "a job called as the owner is": {"kind": "job.planned", "job": "owner", "spec": {"kind": "corpus"}, "study": None},
    "a job without a kind": {"kind": "job.planned", "job": "y", "spec": {}, "study": None},
    "a job of another kind": {"kind": "job.planned", "job": "z", "spec": {"kind": "no-such-kind"}, "study": None},
    "an odd corpus plan": {"kind": "corpus.planned", "corpus": "c/../d", "spec": {"source": 1}},
    "an odd candidate": {"kind": "candidate.put", "candidate": "c", "study": "mine", "frozen": "{}"},
    "an odd vote": REVIEW | {"what": "vote", "body": {}, "candidate": "c"},
    "an odd verdict": REVIEW | {"what": "decision", "body": {"verdict": "maybe", "reason": ""}, "candidate": "c"},
    "a line of no kind": REVIEW | {"what": "wish", "body": {}, "candidate": "c"},
    "a candidate without a point": {"kind": "candidate.put", "candidate": "d", "study": "mine"}
    | {"frozen": '{"name": "d", "author": "a"}'},
    "an import of nothing": {"kind": "study.imported", "study": "y", "name": "Y", "spec": {"corpus": None}}
    | {"domains": DOMAINS, "metrics": [], "corpus": None, "imported": {"x": 1}, "runs": []},
    "an import without settings": {"kind": "study.imported", "study": "z", "name": "Z", "spec": {}}
    | {"domains": DOMAINS, "metrics": [], "corpus": None, "imported": {"files": []}, "runs": []},
    "odd rules": REVIEW | {"what": "rules", "body": {"approvals": "x"}},
}


@pytest.mark.slow
def test_odd_decisions_stop_nothing(two):
    """Damaged lines of the owner's own: what people and the next start ask for works after each."""
    for case, decision in OWNERS.items():
        with open(two.journal.folder / "events.jsonl", "ab") as journal:
            journal.write(one_line({"t": 1.0, "by": "ada", **decision}) + b"\n")
        two.ingest()
        advance.recover(two)
        ids = {one["study"] for one in COMMANDS["list_studies"](two)}
        assert ids >= {"mine", "other"}, case
        for study in ids:
            COMMANDS["show"](two, study)
            COMMANDS["list_candidates"](two, study)
            progress_of(two, studies.get(two, study))
        COMMANDS["list_jobs"](two)
        COMMANDS["list_corpora"](two)
    assert not two.rows("SELECT id FROM runs WHERE contains(id, '/')"), "files are called by runs' ids"


JSON = json_values(st.sampled_from(["mine", "other", "mine-1", "other-1", "\ud800", "\x00", "job.planned"]))
KINDS = event_kinds()


@st.composite
def mutated(draw) -> bytes:
    """A line of some kind whose fields have any values, or are missing; or a run's result with one field changed."""
    if draw(st.booleans()):
        event = finished("mine-1")
        name = draw(st.sampled_from(sorted(event)))
        event[name] = draw(JSON)
    else:
        kind = draw(st.sampled_from(sorted(KINDS)))
        event = {"kind": kind, "t": 1.0}
        event |= {one.name: draw(JSON) for one in fields(KINDS[kind]) if draw(st.integers(0, 4))}
    line = json.dumps(event, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 5)) == 0:  # bytes of it changed
        place = draw(st.integers(0, len(line)))
        line = line[:place] + draw(st.binary(max_size=3)) + line[place + draw(st.integers(0, 3)) :]
    return line.replace(b"\n", b" ")


def takes_any(root: Path, lines: list[bytes]) -> None:
    """Lines in the owner's and a job's journal: read without a fault, the other study untouched by the job's, a rebuild
    gives the same."""
    store = desk(root)
    try:
        other = [row for row in tables(store)["runs"] if "'other-" in row]
        add(store, OWN, *lines)
        store.ingest()
        now = tables(store)
        assert [row for row in now["runs"] if "'other-" in row] == other
        assert sum("'other'" in row for row in now["studies"]) == 1 and now["api_tokens"] == []
        with open(store.journal.folder / "events.jsonl", "ab") as journal:
            journal.writelines(line + b"\n" for line in lines)
        store.ingest()
        advance.advance(store)
        assert [one["study"] for one in COMMANDS["list_studies"](store)]
        for study in ("mine", "other"):
            COMMANDS["show"](store, study)
        before = tables(store)
    finally:
        store.close()
    rebuild(store.workspace, root / "fresh.duckdb")
    fresh = Store(store.workspace, root / "fresh.duckdb")
    assert tables(fresh).keys() == before.keys()
    assert tables(fresh)["corrupt_lines"] == before["corrupt_lines"]
    fresh.close()


@settings(FUZZ, max_examples=6)
@given(lines=st.lists(mutated(), min_size=5, max_size=40))
@pytest.mark.slow
def test_any_line_is_applied_or_set_aside(tmp_path_factory, lines):
    takes_any(tmp_path_factory.mktemp("any") / "workspace", lines)


@pytest.mark.soak
@settings(FUZZ, max_examples=200)
@given(lines=st.lists(mutated(), min_size=5, max_size=60))
def test_any_line_is_applied_or_set_aside_long(tmp_path_factory, lines):
    takes_any(tmp_path_factory.mktemp("any") / "workspace", lines)


# Many of them -----------------------------------------------------------------------------------------------


def test_somebody_can_write_while_much_is_read(two):
    """A decision waits for a part of what is read, not for all of it."""
    progress = one_line({"kind": "job.progress", "t": 1.0, "done": 1.0, "total": 2.0})
    add(two, OWN, *[progress] * 25_000)
    reading = threading.Thread(target=two.ingest)
    reading.start()
    waited = 0
    while reading.is_alive():
        two.write(StudyCreated(f"s{waited}", "S", {"corpus": "default"}))
        waited += 1
        time.sleep(0.01)
    reading.join()
    assert waited >= 2, "more than one decision got its turn meanwhile"


def test_somebody_can_write_while_many_bad_lines_are_set_aside(two):
    """Lines that are set aside count as those that are applied do, and cost no more; a page shows the first of them."""
    strange = [b"no json", one_line(finished("other-1")), one_line({"kind": "job.note", "t": True, "text": "x"})]
    add(two, OWN, *strange * 6_000)
    reading = threading.Thread(target=two.ingest)
    began, waited = time.monotonic(), []
    reading.start()
    while reading.is_alive():
        asked = time.monotonic()
        two.write(StudyCreated(f"s{len(waited)}", "S", {"corpus": "default"}))
        waited.append(time.monotonic() - asked)
        time.sleep(0.01)
    reading.join()
    assert len(waited) >= 2, f"{waited} of {time.monotonic() - began:.1f} s"
    assert runs.corrupt_count(two) == 18_000 and len(runs.corrupt_lines(two)) == runs.CORRUPT_SHOWN


def test_a_close_waits_for_what_is_being_read(two):
    add(two, OWN, *[one_line({"kind": "job.progress", "t": 1.0, "done": 1.0, "total": 2.0})] * 25_000)
    reading = threading.Thread(target=two.ingest)
    reading.start()
    time.sleep(0.05)
    two.close()
    reading.join(timeout=20)
    assert not reading.is_alive()
    again = Store(two.workspace)
    again.ingest()
    assert again.rows("SELECT done FROM jobs WHERE id = ?", [OWN]) == [(1.0,)]
    again.close()
