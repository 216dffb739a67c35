"""Training in phases: the mixture changes at a step, and branches are copies of their trunk until then."""

import json

import numpy as np
import pytest
import torch

from engine import corpus as corpora
from engine.core.errors import Problem, Stopped
from engine.jobs.runs import TaskRun
from engine.proxies.device import halves, parted
from engine.proxies.sampling import Sampler
from engine.proxies.train import Training, run
from tests.proxies.test_train import DOMAINS, QUICK, StopAt, finished, make_job, workspace  # noqa: F401
from tests.support.working import read_events

FRACTIONS = [0.75, 0.25]
EARLY, LATE = [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]
TOTAL = (0.75 * np.array(EARLY) + 0.25 * np.array(LATE)).tolist()
TRUNK = TaskRun(id="trunk", weights=EARLY, seed=3)
WHOLE = TaskRun(id="whole", weights=TOTAL, seed=3, phases=[EARLY, LATE])
BRANCH = TaskRun(id="branch", weights=TOTAL, seed=3, phases=[EARLY, LATE], trunk="trunk")
RUNS = [BRANCH, TRUNK, WHOLE]  # a branch may stand before its trunk


def test_shares_change_at_the_phase_and_nothing_else_does():
    shards = [np.arange(4000, dtype=np.uint16) + 5000 * j for j in range(3)]
    weights = np.array([[EARLY, LATE], [EARLY, EARLY]])
    sampler = Sampler(shards, DOMAINS, weights, [3, 3], 10, 1000, 1.0, [750, 1000])
    parts = [[(sampler.domain[0, part] == j).mean() for j in range(3)] for part in (slice(750), slice(750, 1000))]
    np.testing.assert_allclose(parts, [EARLY, LATE], atol=0.02)
    same = sampler.tokens(0, 750)
    assert (same[0] == same[1]).all() and (sampler.tokens(750, 1000)[0] != sampler.tokens(750, 1000)[1]).any()
    np.testing.assert_allclose(sampler.shares()[0], TOTAL, atol=0.01)
    assert len(sampler.tokens(0, 5, 1)) == 1


def test_a_branch_is_what_it_would_be_if_it_were_trained_whole(workspace):  # noqa: F811
    corpus = corpora.load(workspace / "corpora" / "bytes")
    training = Training(QUICK, corpus, DOMAINS, RUNS, "cpu", fractions=FRACTIONS)
    assert training.ids == ["trunk", "whole"] and training.joins == 150
    while training.step < QUICK.steps:
        if training.step == training.joins:
            assert training.join() == ["branch"]
        training.advance()
    assert training.ids == ["trunk", "whole", "branch"] and training.trained(200) == [200, 200, 50]
    trunk, whole, branch = training.stack.flat
    torch.testing.assert_close(whole, branch, atol=2e-3, rtol=0)
    assert (trunk - branch).abs().max() > 5e-3


def test_a_job_measures_branches_and_says_what_they_cost(workspace, tmp_path):  # noqa: F811
    specs = [one.to_dict() for one in RUNS]
    run(make_job(workspace, tmp_path / "job", runs=specs, fractions=FRACTIONS))
    done = finished(tmp_path / "job")
    assert set(done) == {"trunk", "whole", "branch"}
    losses = np.array([list(done[name]["losses"].values()) for name in ("whole", "branch")])
    np.testing.assert_allclose(losses[0], losses[1], atol=0.02)
    assert done["whole"]["losses"]["trees"] < done["trunk"]["losses"]["trees"], "it read them last"
    spent = {name: done[name]["seconds"] for name in done}
    assert spent["branch"] == pytest.approx(0.25 * spent["whole"]) and spent["whole"] == pytest.approx(spent["trunk"])
    assert {done[name]["tokens"] for name in done} == {QUICK.tokens}
    total = [event for event in read_events(tmp_path / "job") if event["kind"] == "job.progress"][-1]["total"]
    assert total == 2.25 * QUICK.tokens, "what it was said to cost"
    started = [event["runs"] for event in read_events(tmp_path / "job") if event["kind"] == "runs.started"]
    assert started == [["trunk", "whole"], ["branch"]]


@pytest.mark.parametrize("share", [0.5, 0.95], ids=["before they part", "after"])
def test_a_job_that_stops_goes_on_with_its_branches(workspace, tmp_path, share):  # noqa: F811
    specs = {"runs": [one.to_dict() for one in RUNS], "fractions": FRACTIONS}
    job = make_job(workspace, tmp_path / "broken", **specs)
    stopped = StopAt(job.folder, workspace, job.spec)
    stopped.stop_at = int(share * 2.25 * QUICK.tokens)
    with pytest.raises(Stopped):
        run(stopped)
    run(make_job(workspace, tmp_path / "broken", **specs))
    run(make_job(workspace, tmp_path / "unbroken", **specs))
    whole, resumed = finished(tmp_path / "unbroken"), finished(tmp_path / "broken")
    for name in ("trunk", "whole", "branch"):
        assert list(resumed[name]["losses"].values()) == pytest.approx(list(whole[name]["losses"].values()), abs=1e-3)


def test_a_branch_of_a_trunk_that_diverged_has_diverged(workspace, tmp_path):  # noqa: F811
    wild = {**QUICK.to_dict(), "learning_rate": 1e4, "warmup": 0.0}
    specs = [one.to_dict() for one in (TRUNK, BRANCH)]
    run(make_job(workspace, tmp_path / "job", runs=specs, fractions=FRACTIONS, fidelity=wild))
    events = read_events(tmp_path / "job")
    assert {event["run"] for event in events if event["kind"] == "run.diverged"} == {"trunk", "branch"}


WRONG = {
    "no trunk": ([WHOLE, BRANCH], FRACTIONS, "as a branch of 'trunk': that is not trained in this job"),
    "other totals": ([TRUNK, TaskRun(id="odd", weights=EARLY, seed=3, phases=[EARLY, LATE])], FRACTIONS, "'odd'"),
    "no fractions": ([WHOLE], None, "do not make its weights"),
}


@pytest.mark.parametrize("case", WRONG)
def test_phases_that_do_not_fit_are_named(workspace, tmp_path, case):  # noqa: F811
    runs, fractions, words = WRONG[case]
    specs = [json.loads(json.dumps(one.to_dict())) for one in runs]
    with pytest.raises(Problem, match=words):
        run(make_job(workspace, tmp_path / "job", runs=specs, fractions=fractions))


def test_branches_stay_with_their_trunk_where_a_card_is_too_small():
    other = TaskRun(id="other", weights=EARLY, seed=3)
    assert [[run.id for run in group] for group in parted([BRANCH, TRUNK, WHOLE, other], 2)] == [
        ["trunk", "branch"],
        ["whole", "other"],
    ]
    assert halves([BRANCH, TRUNK])[0] == [] and [run.id for run in halves([BRANCH, TRUNK, WHOLE])[0]] == [
        "trunk",
        "branch",
    ]
