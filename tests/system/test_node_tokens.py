"""The token of one attempt at one job, used by somebody with bad intentions: it writes that job's journal, no more."""

import json
import threading

import pytest
from starlette.responses import JSONResponse

from dashboard.server import state
from engine.jobs.decisions import DECISIONS
from engine.jobs.tokens import job_token
from store import studies
from tests.support.api import opened
from tests.support.two_studies import OWN, add_studies, finished, one_line, tables

ATTEMPT = "first"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The API on a workspace with two studies; the job of one of them runs on a node."""
    root = tmp_path_factory.mktemp("node") / "workspace"
    with opened(root) as found:
        add_studies(found.store)
        folder = found.store.spool.move(found.store.spool.find(OWN), "active")
        (folder / "lease.json").write_text(json.dumps({"job": OWN, "attempt": ATTEMPT}))
        found.headers["Authorization"] = f"Bearer {job_token(root, OWN, ATTEMPT)}"
        found.headers["X-Attempt"] = ATTEMPT
        yield found


def post(client, data: bytes, offset: object = None, job: str = OWN, **headers):
    have = (client.store.spool.find(OWN) / "events.jsonl").stat().st_size if offset is None else offset
    return client.post(f"/api/v1/journal/{job}?offset={have}", content=data, headers=headers)


def test_it_opens_nothing_else(client):
    (client.store.spool.find(OWN) / "events.jsonl").touch()
    assert client.get(f"/api/v1/journal/{OWN}").status_code == 200
    for job, headers in ((OWN, {"X-Attempt": "second"}), ("other-train", {}), ("..%2Fowner", {}), ("owner", {})):
        assert post(client, b"", 0, job, **headers).status_code in (401, 404), job
    assert client.post("/api/v1/list_studies", content=b"{}").status_code == 401
    assert client.put("/api/v1/imports/x.csv", content=b"x").status_code == 401
    assert client.get("/api/v1/recipe/mine?format=csv").status_code == 401


def test_what_it_writes_of_others_changes_nothing(client):
    (client.store.spool.find(OWN) / "events.jsonl").touch()
    client.store.ingest()
    before = tables(client.store)
    evil = {"study": "other", "job": "evil", "candidate": "c", "token": "t", "t": 1.0, "by": "owner"}
    evil |= {"spec": {"kind": "corpus", "corpus": "evil", "source": {"type": "folder", "path": "/etc"}}}
    lines = [one_line({"kind": kind.kind, **evil}) for kind in DECISIONS]
    lines += [one_line(finished("other-1")), "{'kind': 1}".encode("utf-16"), b"\xff\xfe", b"[" * 5000]
    assert post(client, b"\n".join(lines) + b"\n").status_code == 200
    client.store.ingest()
    after = tables(client.store)
    assert {**after, "corrupt_lines": []} == {**before, "corrupt_lines": []} and len(after["corrupt_lines"]) > 20
    assert post(client, one_line(finished("mine-1")) + b"\n").status_code == 200
    client.store.ingest()
    assert studies.get(client.store, "mine").done == 1, "its own runs it may tell of"


@pytest.mark.parametrize("offset", ["", "-1", "x", "1e9", "9" * 5000, "%C2%B2", "0x10"])
def test_an_offset_that_cannot_be_is_a_sentence(client, offset):
    answer = post(client, b"x", offset)
    assert answer.status_code == 400 and "is invalid" in answer.json()["error"]


def test_long_answers_are_written_where_nobody_waits(client, monkeypatch):
    """A journal that is handed out may have megabytes, and so may the rows of a study."""
    threads, render = [], JSONResponse.render

    def seen(self, content):
        threads.append(threading.current_thread().name)
        return render(self, content)

    monkeypatch.setattr(JSONResponse, "render", seen)
    assert client.get(f"/api/v1/journal/{OWN}").status_code == 200
    own = {"Authorization": f"Bearer {state.TOKEN}"}
    assert client.post("/api/v1/list_studies", content=b"{}", headers=own).status_code == 200
    assert len(threads) == 2 and all("worker" in name for name in threads)
