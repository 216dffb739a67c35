"""Commands about jobs, as a person types them: submit, wait, list, move, cancel, retry, log; and what is refused."""

import json

import pytest

from engine.jobs.spool import Spool
from tests.support.running import engine
from tests.support.working import corpus_job, last, small_text

pytestmark = pytest.mark.slow


@pytest.fixture
def at(tmp_path):
    """Runs a command on a workspace of its own: (what it printed as JSON, or the complaint)."""
    small_text(tmp_path / "text")

    def run(*words: str):
        done = engine(tmp_path / "workspace", *words, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip()

    return run


@pytest.fixture
def spec_file(tmp_path):
    """Writes a spec and returns its path."""

    def write(name: str, **settings) -> str:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**corpus_job(tmp_path / "text", name), **settings}))
        return str(path)

    return write


def test_jobs_are_submitted_moved_cancelled_retried_and_waited_for(at, spec_file, tmp_path):
    assert at("submit", spec_file("one"), "--id", "one")["job"] == "one"
    assert at("submit", spec_file("one"), "--id", "one")["job"] == "one"  # the same id twice is one job
    assert at("submit", spec_file("two"), "--id", "two", "--after", "one")["job"] == "two"
    spool = Spool(tmp_path / "workspace")
    assert json.loads((spool.find("two") / "spec.json").read_text())["depends_on"] == ["one"]
    assert at("job-priority", "two", "-5")["priority"] == -5
    assert [job["id"] for job in at("jobs")] == ["two", "one"]
    assert at("job-cancel", "one")["state"] == "cancelled"
    assert "has ended (cancelled)" in at("job-cancel", "one")
    assert at("job-retry", "one")["state"] == "queued"
    at("submit", spec_file("three"), "--id", "three", "--after", "two", "--wait")
    assert [last(spool, name)["kind"] for name in ("one", "two", "three")] == ["job.finished"] * 3
    assert at("job-log", "one")["job"] == "one"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "paint"}, "Cannot run a job of kind 'paint': this version knows corpus, train, merge"),
        ({"kind": "train"}, "Cannot read the task of a 'train' job: it has no field 'source'"),
        ({"version": 99}, "version 99"),
        ({"study": "nobody"}, "Cannot find the study 'nobody'"),
        ({"retries": -1}, "Cannot use -1 as a job's retries"),
    ],
)
def test_a_spec_that_cannot_be_is_refused_in_words(at, spec_file, settings, said):
    assert said in at("submit", spec_file("bad", **settings))


def test_jobs_and_files_that_are_not_there(at, tmp_path, spec_file):
    at("submit", spec_file("one"))
    for command in ("job-cancel", "job-retry", "job-log"):
        assert "'nobody'" in at(command, "nobody")
    (tmp_path / "half.json").write_text('{"kind": "cor')
    assert "Cannot read the spec" in at("submit", str(tmp_path / "half.json"))
    (tmp_path / "half.json").write_text("[1]")
    assert "Cannot read the job's spec: it holds '[1]'" in at("submit", str(tmp_path / "half.json"), "--after", "one")
    assert "Cannot use ['../one'] as a job's depends_on" in at("submit", spec_file("two", depends_on=["../one"]))
    assert "Cannot find the job 'x'" in at("job-priority", "x", "1")
