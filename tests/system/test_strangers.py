"""The API against strangers: whatever is sent is answered with a sentence, nothing is done twice or by halves."""

import gc
import json
import threading
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from dashboard.server import api
from engine.commands import COMMANDS, READ_ONLY, contract, idempotency
from engine.core import files
from engine.core.errors import Problem, Unavailable
from engine.core.people import Person
from engine.jobs.api import RequestBegun
from store import studies
from tests.support.api import opened
from tests.support.mutations import FUZZ
from tests.support.working import small_text

OWN = {
    "change_domains",
    "value_source",
    "create_token",
    "revoke_token",
    "mark_read",
}  # a viewer may: a look, or their own
RUNS = "run,share/web,share/code,metric/web_loss\n" + "".join(
    f"r{i},{i / 10},{1 - i / 10},{2 + i / 7}\n" for i in range(1, 9)
)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The API on a workspace with a small imported study called S."""
    with opened(tmp_path_factory.mktemp("strangers") / "workspace") as found:
        assert found.put("/api/v1/imports/runs.csv", content=RUNS.encode()).status_code == 200
        wish = {"name": "S", "format": "flat", "weights": "uploads/runs.csv"}
        assert found.post("/api/v1/import_runs", json=wish).status_code == 200
        yield found


def post(client, name: str, body, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(f"/api/v1/{name}", content=content, headers=headers)


# Whatever is sent -------------------------------------------------------------------------------------------

ODD = {
    "half a letter": '{"name": "\\ud800"}',
    "half a letter as a key": '{"\\udfff": 1}',
    "a zero": '{"name": "a\\u0000b"}',
    "a huge number": '{"name": "S", "points": 1' + "0" * 400 + "}",
    "digits without end": '{"name": "S", "points": ' + "9" * 5000 + "}",
    "infinity": '{"name": "S", "points": Infinity}',
    "no number": '{"name": "S", "priorities": {"web": NaN}}',
    "a list for a string": '{"name": ["S"]}',
    "a text for a list": '{"name": "S", "metrics": "web_loss", "points": "x", "candidates": "x", "weights": "x"}',
    "null": '{"name": null, "job_id": null, "spec": null}',
    "a long name": json.dumps({"name": "x" * 5000, "job_id": "x" * 5000, "candidate": "y" * 5000}),
    "dots": '{"name": "../../etc/passwd", "job_id": "../x", "weights": "../../x", "out": "/dev/null"}',
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep inside": '{"name": ' + "[" * 60 + "]" * 60 + "}",
    "no object": "[]",
    "no JSON": "{",
    "nothing": "",
    "bytes": b"\xff\xfe{}",
    "a name twice": '{"name": "S", "name": 1}',
    "unknown": '{"nam": "S"}',
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_cannot_be_read_is_refused_in_a_sentence(client, name, case):
    body = ODD[case]
    found = post(client, name, body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"))
    told = found.json()
    assert found.status_code < 500, told
    assert "result" in told or len(told["error"]) > 10


def test_a_refusal_names_the_argument_and_the_cure(client):
    told = post(client, "search", {"name": "S", "points": "many"}).json()["error"]
    assert "'points' is 'many'" in told and "integer" in told
    assert "there is no 'nam'" in post(client, "show", {"nam": "S", "name": "S"}).json()["error"]
    assert "'name' is missing" in post(client, "show", {}).json()["error"]
    assert "there is no command" in post(client, "shwo", {}).json()["error"].lower()


CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
document = schemathesis.openapi.from_dict(contract.openapi())
document.config.update(base_url="http://testserver")


def conforms(client, case) -> None:
    """The answer to a case that the document allows or forbids is one that the document tells of."""
    case.operation.app = client.app
    answer = case.call(base_url="http://testserver", session=client, headers=dict(client.headers))
    case.validate_response(answer, checks=CHECKS)


# Schemathesis' own parametrize gives every test of an operation one name, of which several processes run a single one.
OPERATIONS = {operation.ok().path: operation.ok() for operation in document.get_all_operations()}


def holds(client, path: str, examples: int) -> None:
    """So many cases of one operation are answered as the document says."""

    @settings(FUZZ, max_examples=examples)
    @given(case=OPERATIONS[path].as_strategy())
    def check(case):
        conforms(client, case)

    check()


@pytest.mark.parametrize("path", OPERATIONS)
def test_the_document_holds(client, path):
    holds(client, path, 2)


@pytest.mark.soak
@pytest.mark.parametrize("path", OPERATIONS)
def test_the_document_holds_long(client, path):
    holds(client, path, 100)


def test_the_document_is_served(client):
    found = client.get("/api/v1/openapi.json").json()
    assert set(found["paths"]) == {f"/api/v1/{name}" for name in COMMANDS}
    assert found["paths"]["/api/v1/search"]["post"]["requestBody"]["content"]["application/json"]["schema"]["required"]


# Many at once -----------------------------------------------------------------------------------------------


def test_a_large_body_is_for_commands_with_rows_alone(client):
    large = json.dumps({"name": "S", "x": "y" * (1 << 19)}).encode()
    assert post(client, "show", large).status_code == 413
    rows = {"name": "S", "weights": [{"web": 0.5, "code": 0.5}] * 20_000}
    assert post(client, "predict", rows).status_code == 400, "read, and no surrogate is fitted yet"


def test_an_argument_that_is_there_twice_is_refused(client):
    answer = post(client, "show", b'{"name": "One", "name": "Other"}')
    assert answer.status_code == 400 and "'name' is there twice" in answer.text


def test_the_budget_of_a_recipe_that_is_no_number_is_refused_with_a_cure(client):
    answer = client.get("/api/v1/recipe/Any?format=csv&tokens=ten")
    assert answer.status_code == 400 and "'ten'" in answer.text and "give a number" in answer.text


@pytest.mark.parametrize("name", ["a/b", "a/", "50% code", "two  words", "..", "a/../b", "web.", "ü/日本?x#y&z=1+1"])
def test_whatever_a_study_is_called_its_recipe_is_there(client, name):
    client.post("/api/v1/label_study", json={"name": "S", "new_name": name})
    try:
        for place in (f"/{quote(name, safe='')}?", f"?study={quote(name, safe='')}&"):
            if ".." in name.split("/") and place[0] == "/":
                continue  # no path may hold it: Streamlit refuses it, and so do clients
            answer = client.get(f"/api/v1/recipe{place}format=csv&candidate=uniform")
            assert answer.status_code == 200 and "web" in answer.text, (place, answer.text)
    finally:
        client.post("/api/v1/label_study", json={"name": name, "new_name": "S"})


def test_a_file_below_a_folder_is_refused_with_a_cure(client):
    answer = client.put("/api/v1/imports/a%2Fb.csv", content=b"a,b\n")
    assert answer.status_code == 400 and "use 1 to 64 letters" in answer.text


def asked_at_once(times: int, ask) -> list:
    found, start = [], threading.Barrier(times)

    def one():
        start.wait()
        found.append(ask())

    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_the_same_import_asked_six_times_at_once_is_one(client):
    wish = {"name": "Six", "format": "flat", "weights": "uploads/runs.csv"}
    found = asked_at_once(6, lambda: post(client, "import_runs", wish).json()["result"])
    assert len({one["study"] for one in found}) == 1 and sorted(one["already_there"] for one in found)[0] is False
    assert sum(study.name == "Six" for study in studies.all_studies(client.store)) == 1


def test_the_same_corpus_asked_six_times_at_once_is_one(client, tmp_path):
    wish = {"name": "six", "spec": {"source": {"type": "folder", "path": str(small_text(tmp_path / "text"))}}}
    journal = client.store.journal.folder / "events.jsonl"
    found = asked_at_once(6, lambda: post(client, "build_corpus", wish).json()["result"])
    assert {one["job"] for one in found} == {"corpus-six"}
    assert sorted(one["already_there"] for one in found) == [False] + 5 * [True]
    lines = journal.read_text().splitlines()  # other tests plan corpora of other names in this workspace
    assert sum('"corpus.planned"' in line and '"six"' in line for line in lines) == 1
    assert sum('"corpus-six"' in line for line in lines) == 1


def test_the_same_start_asked_six_times_at_once_is_one(client):
    wish = {"spec": {"name": "Six starts", "corpus": "default", "runs": 8}}
    found = asked_at_once(6, lambda: post(client, "start", wish).json()["result"])
    assert len({one["study"] for one in found}) == 1 and count(client, "Six starts") == 1
    assert sorted(one["already_there"] for one in found) == [False] + 5 * [True]
    first = found[0]["study"]
    post(client, "cancel", {"name": first})
    anew = post(client, "start", wish).json()["result"]
    assert anew["study"] != first and not anew["already_there"], "one that was cancelled is begun anew"


def test_a_role_is_asked_before_anything_is_read(client, monkeypatch):
    """The body is no JSON: whoever may not ask is told so, and not what is wrong with it."""
    monkeypatch.setattr(api, "person_of", lambda request: Person("vera@example.org", "viewer"))
    for name in COMMANDS:
        answer = post(client, name, b"{" * 100_000)
        assert answer.status_code == (400 if name in READ_ONLY | OWN else 403), name
    assert post(client, "no_such_command", b"{").status_code == 404


# Once -------------------------------------------------------------------------------------------------------

START = {"spec": {"name": "Once", "corpus": "default", "runs": 8}}


def count(client, name: str) -> int:
    return sum(study.name == name for study in studies.all_studies(client.store))


def test_a_request_with_a_key_is_done_once(client):
    key = {"Idempotency-Key": "k-1"}
    first = post(client, "start", START, **key).json()
    found = asked_at_once(4, lambda: post(client, "start", START, **key).json())
    assert found == [first] * 4 and count(client, "Once") == 1
    other = post(client, "start", {"spec": {**START["spec"], "name": "Other"}}, **key)
    assert other.status_code == 409 and count(client, "Other") == 0
    gc.collect()  # of what a refusal's traceback holds
    assert not idempotency._running, "what nobody waits for is not kept"
    again = {"result": {**first["result"], "already_there": True}}
    assert post(client, "start", START).json() == again and count(client, "Once") == 1, "the same study is one"


def test_a_refused_request_may_be_sent_again_with_its_key(client):
    key = {"Idempotency-Key": "k-2"}
    wrong = {"spec": {"name": "Wrong", "corpus": "nowhere"}}
    assert [post(client, "start", wrong, **key).status_code for _ in range(2)] == [400, 400]


def test_a_request_that_a_kill_interrupted_is_not_guessed_at(client):
    client.store.write(RequestBegun("k-4", "x"))
    found = post(client, "start", START, **{"Idempotency-Key": "k-4"})
    assert found.status_code == 409


@pytest.mark.parametrize("key", ["", " ", "\u00e4", "x" * 201])
def test_a_key_that_is_none_is_a_sentence(client, key):
    with pytest.raises(Problem, match="Idempotency-Key"):
        idempotency.once(client.store, key, "start", START, dict)


def test_a_token_is_asked_for_without_a_key(client):
    found = post(client, "create_token", {"label": "x"}, **{"Idempotency-Key": "k-5"})
    assert found.status_code == 400 and "shown once" in found.json()["error"]


def test_what_only_reads_writes_nothing(client):
    journal = client.store.journal.folder / "events.jsonl"
    before = journal.stat().st_size
    assert post(client, "show", {"name": "S"}, **{"Idempotency-Key": "k-6"}).status_code == 200
    assert journal.stat().st_size == before


# A full disk ------------------------------------------------------------------------------------------------


def test_a_write_that_a_full_disk_refuses_did_not_happen(client, monkeypatch):
    """Of 38 requests none is done by halves: each is answered 503 with a sentence, and works once there is room."""
    monkeypatch.setattr(files, "ROOM", 1 << 60)  # as if the disk had less free than that
    journal = client.store.journal.folder / "events.jsonl"
    before, rows = journal.read_bytes(), client.store.rows("SELECT count(*) FROM jobs")
    for number in range(38):
        wish = {"spec": {**START["spec"], "name": f"Full {number}"}}
        found = post(client, "start", wish, **{"Idempotency-Key": f"full-{number}"})
        assert found.status_code == 503 and "disk is full" in found.json()["error"]
    assert journal.read_bytes() == before and client.store.rows("SELECT count(*) FROM jobs") == rows
    assert post(client, "show", {"name": "S"}).status_code == 200, "looking goes on"
    monkeypatch.undo()
    assert post(client, "start", wish, **{"Idempotency-Key": "full-37"}).status_code == 200
    assert count(client, "Full 37") == 1


def test_a_line_that_cannot_be_synced_is_taken_back(store, monkeypatch):
    import os

    from engine.jobs.decisions import StudyCreated

    real = os.fsync

    def full(descriptor):
        monkeypatch.setattr(os, "fsync", real)
        raise OSError(28, "No space left on device")

    journal = store.journal.folder / "events.jsonl"
    before = journal.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        store.write(StudyCreated("x", "X", {"corpus": "default"}))
    assert journal.read_bytes() == before
    store.write(StudyCreated("x", "X", {"corpus": "default"}))
    assert [one.id for one in studies.all_studies(store)] == ["x"]
