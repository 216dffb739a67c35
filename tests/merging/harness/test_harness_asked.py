"""What is said where lm-evaluation-harness is missing, or asked for what cannot be; its results as they are kept."""

import re
import sys

import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.jobs.decisions import JobPlanned
from engine.merging.harness import job as harness_job
from engine.spec.kinds.harness import HarnessFinished, HarnessTask
from store import results
from store.database import Store
from store.from_journals import rebuild
from tests.support.harness import job_of, write_tasks
from tests.support.nasty import tell


@pytest.fixture
def bare(store):
    """A workspace with what could be a language model, a proxy of no study, and files of tasks."""
    root = store.workspace.root
    (root / "checkpoints/tiny").mkdir(parents=True)
    (root / "checkpoints/tiny/config.json").write_text("{}")
    (root / "exports").mkdir()
    (root / "exports/merged.safetensors").write_bytes(b"")
    write_tasks(root)
    (root / "harness/odd.yaml").write_text("task: [unclosed")
    (root / "harness/list.yaml").write_text("- task")
    (root / "harness/other.yaml").write_text("steps: !function odd.py")
    (root / "secret.yaml").write_text("task: secret")
    (root / "harness/away.yaml").symlink_to(root / "secret.yaml")
    return store


ODD = {  # of a request: what is asked otherwise, and what is said
    "a model that is not there": ({"model": "checkpoints/none"}, "There are: checkpoints/tiny, exports/merged"),
    "a path that leaves the workspace": ({"model": "checkpoints/../../x"}, "must not leave it"),
    "a path to what is no model": ({"model": "harness"}, "Cannot find the model 'harness'"),
    "a file of a folder": ({"model": "checkpoints/tiny/config.json"}, "give the folder of a language model"),
    "a proxy of no study": ({"model": "exports/merged.safetensors"}, "name the study"),
    "a study that is not there": ({"model": "exports/merged.safetensors", "study": "none"}, "'none'"),
    "no tasks": ({"tasks": []}, "Cannot run the tasks"),
    "a task twice": ({"tasks": ["colours", "colours"]}, "Cannot run 'colours' twice"),
    "a file that is not there": ({"tasks": ["poems.yaml"]}, "There are: away.yaml, colours.yaml, list.yaml"),
    "a file of another folder": ({"tasks": ["../secret.yaml"]}, "must not leave it"),
    "a link out of the folder": ({"tasks": ["away.yaml"]}, "Cannot find 'away.yaml'"),
    "a file that is no YAML": ({"tasks": ["odd.yaml"]}, "Cannot read the task 'odd.yaml'"),
    "a file that is no table": ({"tasks": ["list.yaml"]}, "it is not a table of names and values"),
    "a file of no task": ({"tasks": ["other.yaml"]}, "it has no class or group or task"),
    "no items": ({"limit": 0}, "Cannot ask 0 items of each task"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_cannot_be_asked_is_refused_before_anything_is_queued(bare, case):
    asked, why = ODD[case]
    with pytest.raises(Problem, match=re.escape(why)):
        COMMANDS["run_harness"](bare, **{"model": "checkpoints/tiny", "tasks": ["colours"], **asked})
    assert bare.rows("SELECT count(*) FROM jobs") == [(0,)]


def test_the_same_request_is_one_job_until_a_file_changes(bare):
    ask = lambda **more: COMMANDS["run_harness"](bare, "checkpoints/tiny", ["colours.yaml"], **more)  # noqa: E731
    one, same, other = ask(), ask(), ask(limit=3)
    assert one["job"] == same["job"] != other["job"] and same["already_there"] and not other["already_there"]
    (bare.workspace.root / "harness/colours.jsonl").write_text("{}")
    assert ask()["job"] != one["job"]


def test_where_the_package_is_missing_the_cure_is_said(bare, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    root = bare.workspace.root
    with pytest.raises(Problem, match=r"the package lm-eval is missing\. Install it: .* -r requirements-harness\.txt"):
        harness_job.run(job_of(root, tmp_path / "a", HarnessTask(model="checkpoints/tiny", tasks=["colours"])))
    with pytest.raises(Problem, match="must not leave it"):  # of a spec that somebody wrote by hand
        harness_job.run(job_of(root, tmp_path / "b", HarnessTask(model="../x", tasks=["colours"])))


def test_what_was_measured_is_listed_and_rebuilt(store, tmp_path):
    score = {"metric": "colours acc", "value": 0.5, "error": 0.1, "higher_is_better": True, "chance": None, "items": 8}
    found = {"scores": [score], "file": "f", "version": "0.4.13", "context": 64, "cut": 0, "left": []}
    own = {"model": "checkpoints/tiny", "tasks": ["colours"], "limit": None, "study": None}
    store.write(JobPlanned("asked", HarnessTask(model="checkpoints/tiny", tasks=["colours"]).spec(), None))
    store.spool.submit({"kind": "harness"}, "asked")
    line = {"kind": "harness.finished", **own, "found": found}
    tell(store, "asked", {"kind": "job.started"}, line)
    (one,) = before = results.harness(store)
    assert one == {"job": "asked", **own, "t": one["t"], **found}
    with pytest.raises(Problem, match="is below 0"):
        HarnessFinished.read({**own, "found": {**found, "scores": [{**score, "error": -1.0}]}}, "the event")
    assert rebuild(store.workspace, tmp_path / "again.duckdb")[0] > 0
    again = Store(store.workspace, tmp_path / "again.duckdb")
    assert results.harness(again) == before == COMMANDS["harness_results"](again)
    again.close()
