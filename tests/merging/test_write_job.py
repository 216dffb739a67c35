"""The job that writes a merge says what the command `merge` says, and it can still be read when the job is done."""

import json

import pytest
import torch
import yaml
from safetensors.torch import save_file

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.events import JobFinished, JobStarted
from engine.jobs.journal import write_event
from engine.jobs.spool import Job
from engine.merging.write_job import check, write
from engine.spec.kinds.merge_write import MergeWriteTask
from engine.spec.kinds.preflight import PreflightTask
from store import jobs
from store.database import Store
from store.from_journals import rebuild
from tests.support.checkpoints import family
from tests.support.working import read_events


@pytest.fixture
def store(tmp_path):
    found = Store(Workspace.open(tmp_path / "workspace"))
    yield found
    found.close()


def asked(store, zoo, out: str):
    """The folder of a job that merges the family."""
    models = [{"model": str(zoo / name), "parameters": {"weight": 0.5}} for name in ("one", "two")]
    told = {"merge_method": "task_arithmetic", "base_model": str(zoo / "base"), "models": models}
    store.submit(out, MergeWriteTask(study="s", file=yaml.safe_dump(told), out=out).spec())
    return store.spool.find(out)


def done(store, folder):
    """Do the job as its own process does; its row."""
    write_event(folder, JobStarted())
    write(Job(folder, store.workspace.root, json.loads((folder / "spec.json").read_text())))
    write_event(folder, JobFinished())
    store.ingest()
    return jobs.find(store, folder.name)


def test_a_job_that_is_done_says_where_it_wrote_and_warns(store, tmp_path):
    zoo = family(tmp_path)
    for name in ("consolidated.safetensors", "optimizer.safetensors"):
        save_file({"x": torch.ones(1)}, zoo / "one" / name)
    folder = asked(store, zoo, "chosen")
    row = done(store, folder)
    assert row.state == "done" and row.message.startswith("Written to ") and "chosen" in row.message
    assert "and not consolidated.safetensors" in row.message and "optimizer.safetensors" in row.message
    assert [one.id for one in jobs.with_words(store, 8)] == ["chosen"]
    assert rebuild(store.workspace, tmp_path / "again.duckdb")[0]


def test_what_the_preflight_refuses_is_refused_before_anything_is_written(store, tmp_path):
    zoo = family(tmp_path)
    folder = asked(store, zoo, "nothing")
    (zoo / "two" / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(Problem, match="Copy it again"):
        done(store, folder)
    assert not (store.workspace.root / "exports" / "nothing").exists()
    assert [event["kind"] for event in read_events(folder)] == ["job.started"]


def test_a_program_that_fails_on_the_base_is_refused_before_anything_is_merged(store):
    root = store.workspace.root
    (root / "checkpoints").mkdir(exist_ok=True)
    family(root / "checkpoints")
    (root / "evaluators").mkdir(exist_ok=True)
    (root / "evaluators" / "own.py").write_text("raise SystemExit(3)")
    paths = {name: f"checkpoints/{name}" for name in ("one", "two")}
    told = {"own.py": {"score": "higher"}}
    store.submit("first", PreflightTask(study="s", base="checkpoints/base", experts=paths, evaluators=told).spec())
    folder = store.spool.find("first")
    job = Job(folder, root, json.loads((folder / "spec.json").read_text()))
    with pytest.raises(Problem, match=r"by the evaluator 'own.py': it ended with 3.*It was tried on the base"):
        check(job)
    works = f"open(__import__('sys').argv[4], 'w').write({json.dumps({'metrics': {'score': 1}})!r})"
    (root / "evaluators" / "own.py").write_text(works)
    check(job)
