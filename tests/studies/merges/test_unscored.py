"""A task that cannot be scored, or a program that fails, costs merges no more than that score, also in a search."""

from dataclasses import replace

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.jobs.spool import Job
from engine.merging.measuring import search_job
from engine.merging.measuring.job import merges_of, why_missing
from engine.merging.measuring.proxies import ProxyMerges
from engine.spec.flips import items_of
from engine.spec.kinds.merge_search import KnownRuns, MergeSearchSettings, MergeSearchTask
from engine.studies.measured import aggregate_of, frame_of_study
from engine.studies.merges.questions import merge_spec, task_of
from engine.tasks import shelf
from engine.tasks.task import EvalTask, Item, Sampling
from tests.support.working import read_events

FEW = """
import sys
print(1) if len(sys.stdin.readlines()) < 2 else sys.exit(7)
"""


@pytest.fixture
def asked(own):
    """Merges that answer a task whose verifier scores one answer, and fails on many: it passes what is asked before."""
    store, study = own
    root = store.workspace.root
    (root / "verifiers").mkdir(exist_ok=True)
    (root / "verifiers" / "few.py").write_text(FEW)
    how = Sampling(most_tokens=2, samples=1, verifier="few.py")
    shelf.save(root, EvalTask("few", ["best_of_n"], [Item("a", ["b"]), Item("b", ["c"])], "by hand", sampling=how))
    return store, study, replace(task_of(study, merge_spec(study)), flips=True, tasks=["few"])


LACKING = ["few best of n", items_of("few")]


def test_a_merge_keeps_its_losses(asked, tmp_path):
    store, _, task = asked
    merges = merges_of(task, Job(tmp_path, store.workspace.root, {}))
    assert isinstance(merges, ProxyMerges)
    losses, _ = merges.measure(np.vstack([np.zeros(3), np.full(3, 0.3)]))
    assert [name for name, known in zip(merges.measures, np.isfinite(losses[1]), strict=True) if not known] == LACKING
    assert [*merges.missing[1]] == LACKING and merges.outcomes == [{}, {}]
    why = why_missing(merges.measures, losses[1], merges.missing[1])
    assert why.startswith("No score of the task 'few'. ") and "it ended with 7" in why
    broken = np.where(np.arange(len(losses[1])) == 0, np.nan, losses[1])
    assert why_missing(merges.measures, broken, merges.missing[1]) is None, "it diverged"


def test_a_search_goes_on_unless_the_score_counts(asked, tmp_path):
    store, study, task = asked
    root, frame = store.workspace.root, frame_of_study(study)
    names = [*study.metrics, "few best of n", "worse windows", items_of("few")]
    for counts in (False, True):
        weights = [1.0, *[0.0] * (len(study.metrics) - 1), float(counts), 0.0, 0.0]
        by = aggregate_of(store, study).to_dict() | {"weights": weights}
        how = {"minutes": 0, "surrogate": "gp", "seed": 1, "spread": False, "aggregate": by}
        settings = MergeSearchSettings(strategy="random", evaluations=2, **how)
        whole = MergeSearchTask(
            **task.to_dict(),
            space=frame.space.to_dict(),
            prior=frame.prior.tolist(),
            settings=settings,
            first=900,
            known=KnownRuns(weights=[], losses=[]),
        )
        folder = tmp_path / str(counts)
        folder.mkdir()
        job = Job(folder, root, whole.spec())
        if counts:
            with pytest.raises(Problem, match=r"every merge breaks a metric that counts\. No score of the task 'few'"):
                search_job.run(job)
            continue
        search_job.run(job)
        told = {event["kind"]: event for event in read_events(folder)}
        runs, found = told["runs.measured"]["runs"], told["merge_search.finished"]["found"]
        unknown = {names[m] for run in runs for m, value in enumerate(run["losses"]) if value is None}
        assert len(runs) == 2 and unknown == {*LACKING}
        assert all("it ended with 7" in run["missing"] for run in runs)
        assert found["losses"].count(None) == 2
