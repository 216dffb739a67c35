"""Influence of domains in a study: predicted and measured by runs without them, and a new metric's row."""

import json

import numpy as np
import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyMetric
from engine.spec.objectives import BITS
from engine.studies import influence
from engine.studies.measured import aggregate_of, frame_of_study
from store import jobs, studies
from store.database import Store
from tests.analysis.test_left_out import DOMAINS, METRICS, World, without
from tests.support.measured_study import fit, measured_study

NAMES = [f"skill {m}" for m in range(METRICS)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(Workspace.open(tmp_path_factory.mktemp("influence") / "w"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def study(store):
    """Forty mixtures, four seeds of the prior, and the prior without its first two domains; ten runs have the last
    metric."""
    world = World(1)
    metrics = [StudyMetric(metric=name, unit=BITS, higher_is_better=False) for name in NAMES]
    empty = measured_study(store, "plan", world.design(8), np.ones((8, METRICS)), metrics)
    prior = frame_of_study(empty).prior
    weights = np.vstack([world.design(40), prior, prior, prior, prior, without(prior, (0,)), without(prior, (1,))])
    roles = [*["design"] * 40, "baseline", *["repeat"] * 3, "proposed", "proposed"]
    values = world.runs(weights)
    values[10:, -1] = np.nan
    found = measured_study(store, "influence", weights, values, metrics, roles, surrogates=("gp", "log_linear"))
    fit(store, found)
    return found


@pytest.mark.slow
def test_each_domain_is_predicted_and_measured_where_runs_lack_it(store, study):
    told = COMMANDS["influence"](store, study.id)
    assert [row["without"] for row in told["effects"]] == [[f"d{k}"] for k in range(DOMAINS)]
    assert [row["runs"] for row in told["effects"]] == [1, 1, 0, 0, 0] and told["fitted_on"] == 43
    first, third = told["effects"][0], told["effects"][2]
    assert set(third["measured"].values()) == {None} and all(third["predicted"].values())
    assert first["measured"]["skill 0"]["half"] > 0
    close = [
        abs(first["measured"][name]["effect"] - first["predicted"][name]["effect"])
        < first["measured"][name]["half"] + first["predicted"][name]["half"]
        for name in NAMES[:-1]
    ]
    assert np.mean(close) > 0.8
    pairs = COMMANDS["influence"](store, study.id, pairs=True)["effects"]
    assert len(pairs) == DOMAINS * (DOMAINS - 1) // 2 and pairs[0]["without"] == ["d0", "d1"]
    json.dumps(told)


def test_a_metric_of_few_runs_gets_its_row_from_the_others(store, study):
    told = COMMANDS["metric_row"](store, study.id, "skill 7")
    assert told["runs"] == 10 and set(told["effects"]) == {f"d{k}" for k in range(DOMAINS)}
    assert told["judged"]["rank"] > 0.6 and told["judged"]["rows"] == METRICS - 1
    assert all(one["std"] > 0 for one in told["effects"].values())
    with pytest.raises(Problem, match="Cannot use 'poems'"):
        COMMANDS["metric_row"](store, study.id, "poems")


def test_a_domain_of_few_runs_gets_its_row_and_says_whether_they_can_tell(store):
    """Six runs have the last domain: its row is judged by the others', and told only where trivial answers do worse."""
    world = World(3)
    drawn = world.design(90)
    has = np.flatnonzero(drawn[:, -1] > 0.05)[:6]
    weights = np.vstack([drawn[drawn[:, -1] == 0], drawn[has]])
    metrics = [StudyMetric(metric=name, unit=BITS, higher_is_better=False) for name in NAMES]
    found = measured_study(store, "rare", weights, world.runs(weights), metrics, surrogates=("log_linear",))
    fit(store, found)
    told = COMMANDS["domain_row"](store, found.id, "d4")
    json.dumps(told)
    assert told["runs"] == 6 and set(told["effects"]) == set(told["by_its_runs_alone"]) == set(NAMES)
    judged = told["judged"]
    assert judged["rows"] == DOMAINS - 1 and 0 <= judged["better"] <= 1 and judged["mean_error"] > 0
    assert told["tells"] == (judged["better"] >= 0.95) and told["unknown"] == ""
    assert not told["tells"] or judged["error"] < min(1.0, judged["mean_error"])
    with pytest.raises(Problem, match="Cannot use 'poems'"):
        COMMANDS["domain_row"](store, found.id, "poems")


def test_the_check_tells_of_rows_and_combinations(store, study):
    found = influence.judgements(store, study, aggregate_of(store, study, {"skill 7": 0.0}))
    assert [one.runs for one in found.metrics] == [4, 8, 10], "as many as measured all of them"
    told = COMMANDS["influence_check"](store, study.id)
    json.dumps(told)
    assert told["metrics"] and isinstance(told["unknown"], list)


def test_mixtures_without_domains_are_trained_once(store, study):
    with pytest.raises(Problem, match="Cannot leave d0 and poems out together"):
        influence.train_without(store, study, [["d0", "poems"]])
    asked = COMMANDS["train_without"](store, study.id)
    assert len(asked["runs"]) == DOMAINS and not asked["already_there"]
    assert COMMANDS["train_without"](store, study.id)["already_there"]
    pair = COMMANDS["train_without"](store, study.id, [["d1", "d0"]])
    (run,) = pair["runs"]
    assert studies.get(store, study.id).counts["planned"] == DOMAINS - 2 + 1
    assert any(job.kind == "train" and job.state == "queued" for job in jobs.of_study(store, study.id)) and run


def test_before_the_first_fit_and_for_merges_nothing_is_told(store):
    with pytest.raises(Problem, match="nothing is fitted yet"):
        influence.influences(store, studies.get(store, "plan"))
