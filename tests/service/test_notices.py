"""Notices: raised once when a study ends or cannot go on, sent to a webhook as Slack takes it, and never told twice."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from engine.core.errors import Problem
from engine.jobs.decisions import StudyCreated, StudyFailed, StudyPlanned
from engine.jobs.journal import write_event
from engine.jobs.kinds import event_kinds
from engine.service import notices as engine_notices
from engine.service.notices import Webhook, raise_due
from engine.spec.study import StudySpec
from store import notices
from tests.support.running import until

pytestmark = pytest.mark.slow
MEASURED = {
    "losses": {"a": 1.0, "b": 2.0},
    "losses_se": {"a": 0.1, "b": 0.1},
    "shares": [0.5, 0.5],
    "tokens": 9,
    "seconds": 1.0,
    "cpu_seconds": 1.0,
    "device": "cpu",
    "parameters": 5,
}


@pytest.fixture
def study(store):
    """A study of two runs in one job, which has begun."""
    spec = StudySpec.from_dict({"name": "Soup & <b>", "corpus": "c", "runs": 8}).to_dict()
    store.write(StudyCreated(study="s", name="Soup & <b>", spec=spec))
    same = {"role": "design", "weights": [0.5, 0.5], "seed": 0, "job": "s-train"}
    runs = [{"id": f"r{n}", "number": n, **same} for n in (1, 2)]
    job = {"job": "s-train", "spec": {"kind": "train", "study": "s"}}
    store.write(StudyPlanned(study="s", domains=["a", "b"], corpus={}, runs=runs, jobs=[job]))
    store.spool.submit(job["spec"], "s-train")
    return "s"


def end(store, *events) -> None:
    """Write how the study's job ended."""
    folder = store.spool.find("s-train")
    for kind, fields in events:
        write_event(folder, event_kinds()[kind](**fields))
    store.spool.move(folder, "ended")
    store.ingest()


def told(store) -> list[tuple[str, str]]:
    raise_due(store)
    raise_due(store)  # as often as one likes
    return [(notice.outcome, notice.text) for notice in notices.since(store, 0.0)]


def test_a_study_that_ends_is_told_once_with_its_diverged_runs(store, study):
    assert told(store) == []
    end(
        store,
        ("job.started", {}),
        ("run.finished", {"run": "r1", **MEASURED}),
        ("run.diverged", {"run": "r2", "step": 3}),
        ("job.finished", {}),
    )
    expected = "Study Soup & <b> has finished: 1 of 2 runs done, 1 diverged and left out."
    assert told(store) == [("finished", expected)]


def test_a_study_whose_job_fails_says_why(store, study):
    end(store, ("job.failed", {"message": "It was killed."}))
    ((outcome, text),) = told(store)
    assert outcome == "failed" and text.endswith("1 of its jobs failed (0 of 2 runs done). The first: It was killed.")


def test_a_study_that_cannot_go_on_is_told_once_however_often_it_fails_for_that(store, study):
    store.write(StudyFailed(study="s", message="its corpus is gone"))
    store.write(StudyFailed(study="s", message="its corpus is gone"))
    assert told(store) == [("failed", "Study Soup & <b> cannot go on: its corpus is gone")]


# The webhook -----------------------------------------------------------------------------------------------------


class Hook(HTTPServer):
    """A webhook that answers with the codes it is given, then with 200, and keeps what it was sent."""

    def __init__(self, *codes: int):
        super().__init__(("127.0.0.1", 0), Answer)
        self.codes, self.sent = list(codes), []
        self.url = f"http://127.0.0.1:{self.server_port}/services/T/B"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.sent.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.codes.pop(0) if self.server.codes else 200)
        self.end_headers()

    def log_message(self, *_): ...


@pytest.fixture
def hooked(store, study, monkeypatch):
    """Opens a webhook that answers so, and lets a study fail."""
    with contextlib.ExitStack() as stack:

        def make(*codes: int) -> Hook:
            monkeypatch.setattr(engine_notices, "WAITS", (0.1, 0.2))
            hook = Hook(*codes)
            stack.callback(hook.server_close)
            stack.callback(hook.shutdown)
            end(store, ("job.failed", {"message": "It was killed."}))
            raise_due(store)
            stack.callback(Webhook(store, hook.url).close)
            return hook

        yield make


def notice_of(store):
    (notice,) = notices.since(store, 0.0)
    return notice


def test_the_webhook_gets_slacks_json_once(store, hooked):
    hook = hooked()
    until(lambda: notice_of(store).told_at)
    ((path, kind, body),) = hook.sent
    assert (path, kind, list(body)) == ("/services/T/B", "application/json", ["text"])
    assert body["text"].startswith("Study Soup &amp; &lt;b&gt; needs you")
    again = Webhook(store, hook.url)  # after a restart
    again.send_due()
    again.close()
    assert len(hook.sent) == 1 and notice_of(store).trouble is None


def test_a_webhook_that_fails_is_tried_again(store, hooked):
    hook = hooked(500, 429)
    until(lambda: notice_of(store).told_at)
    assert len(hook.sent) == 3 and notice_of(store).trouble is None


def test_a_webhook_that_never_answers_well_is_given_up_and_said(store, hooked):
    hook = hooked(*[404] * 9)
    until(lambda: notice_of(store).told_at)
    assert len(hook.sent) == 3 and "answered 404" in notice_of(store).trouble


def test_a_webhook_that_is_no_address_is_refused(store):
    with pytest.raises(Problem, match="must begin with https://"):
        Webhook(store, "hooks.slack.com/services")
    assert "cannot be reached" in engine_notices.post("http://127.0.0.1:9/", {"text": "x"})
