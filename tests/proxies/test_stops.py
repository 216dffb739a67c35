"""Members of a stack that end early: the others go on as they would have, also after a kill."""

import json

import numpy as np
import pytest

from engine.core.errors import Stopped
from engine.jobs import stops
from engine.jobs.spool import Job
from engine.proxies.train import run
from tests.proxies.test_train import MIXED, QUICK, finished, make_job, workspace  # noqa: F401
from tests.support.working import read_events

WHY = "It cannot be the best."


class Asking(Job):
    """A job that is asked to stop runs at one step, and is killed softly at another."""

    at, ends, gone = 50, None, ("run-1",)

    def progress(self, done: float, total: float, note: str = "") -> None:
        step = int(note.split("step ")[1].split(" ")[0]) if "step " in note else -1
        if step == self.at:
            (self.folder / stops.FILE).write_text(json.dumps(dict.fromkeys(self.gone, WHY)))
        self.stopping = step == self.ends
        super().progress(done, total, note)


def asking(workspace, folder, **changes) -> Asking:  # noqa: F811
    made = make_job(workspace, folder)
    made.__class__ = Asking
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def told(folder, kind: str) -> list[dict]:
    return [event for event in read_events(folder) if event["kind"] == kind]


@pytest.fixture(scope="module")
def whole(workspace, tmp_path_factory) -> dict[str, dict]:  # noqa: F811
    """Results of the same runs where none is stopped."""
    folder = tmp_path_factory.mktemp("whole") / "job"
    run(make_job(workspace, folder))
    return finished(folder)


def same(ours: dict, theirs: dict) -> None:
    assert ours["shares"] == theirs["shares"] and ours["tokens"] == theirs["tokens"]
    losses = ([one["losses"][name] for name in theirs["losses"]] for one in (ours, theirs))
    np.testing.assert_allclose(*losses, atol=1e-4)


def test_a_stopped_run_ends_and_the_others_are_as_without_it(workspace, tmp_path, whole):  # noqa: F811
    run(asking(workspace, tmp_path / "job"))
    (one,) = told(tmp_path / "job", "run.stopped")
    assert (one["run"], one["step"], one["steps"], one["tokens"]) == ("run-1", 50, QUICK.steps, 50 * 64)
    assert one["message"] == WHY and one["seconds"] > 0
    found = finished(tmp_path / "job")
    assert sorted(found) == ["run-0", "run-2"]
    for name, ours in found.items():
        same(ours, whole[name])


@pytest.mark.parametrize("ends", [50, 51, 120])  # as it is asked, right after, and later
def test_a_job_that_was_killed_goes_on_without_what_it_stopped(workspace, tmp_path, whole, ends):  # noqa: F811
    folder = tmp_path / "job"
    with pytest.raises(Stopped):
        run(asking(workspace, folder, ends=ends))
    run(make_job(workspace, folder))
    assert [one["run"] for one in told(folder, "run.stopped")] == ["run-1"]
    found = finished(folder)
    assert sorted(found) == ["run-0", "run-2"] and not list(folder.glob("checkpoint-*"))
    for name, ours in found.items():
        same(ours, whole[name])


def test_a_checkpoint_from_before_the_stop_does_not_bring_a_run_back(workspace, tmp_path, whole):  # noqa: F811
    folder = tmp_path / "job"
    with pytest.raises(Stopped):
        run(asking(workspace, folder, at=-2, ends=40))  # its checkpoint holds all three
    event = {"kind": "run.stopped", "t": 1.0, "run": "run-1", "step": 50, "steps": 200, "tokens": 3200}
    with (folder / "events.jsonl").open("a") as journal:
        journal.write(json.dumps(event | {"seconds": 1.0, "cpu_seconds": 1.0, "message": WHY}) + "\n")
    run(make_job(workspace, folder))
    found = finished(folder)
    assert sorted(found) == ["run-0", "run-2"]
    same(found["run-2"], whole["run-2"])


def test_all_may_be_stopped_and_a_file_that_is_damaged_stops_none(workspace, tmp_path):  # noqa: F811
    names = [f"run-{g}" for g in range(len(MIXED))]
    run(asking(workspace, tmp_path / "all", gone=names))
    assert [one["run"] for one in told(tmp_path / "all", "run.stopped")] == names
    assert not finished(tmp_path / "all")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / stops.FILE).write_text('{"run-1": 3, "run-')
    assert stops.asked(tmp_path / "odd") == {}
    (tmp_path / "odd" / stops.FILE).write_text('{"run-1": 3, "run-2": "why"}')
    assert stops.asked(tmp_path / "odd") == {"run-2": "why"}
