"""Slow surrogates that are surely behind end after a fold or two, and say so; nothing else changes."""

import json

import numpy as np
import pytest

from engine.jobs.spool import Job
from engine.league import cross_validate, held_out_of
from engine.league import run as run_league
from engine.surrogates import SURROGATES, load
from tests.league.made import runs
from tests.support.working import read_events

TREES = ["lightgbm", "lightgbm_linear", "extra_trees", "lambdarank"]
RACE = ["own_share", "log_linear", "power_law", *TREES, "stack"]


@pytest.fixture(scope="module")
def raced():
    return cross_validate(*runs(100), RACE, repeats=2)


@pytest.mark.slow
def test_those_far_behind_end_early_and_say_why(raced):
    league, _ = raced
    ended = [one for one in league.standings if one.raced]
    assert ended and {one.name for one in ended} <= {name for name in TREES if SURROGATES[name].slow}
    for one in ended:
        assert one.fits < league.folds and not one.tied
        assert f"after {one.fits} of {league.folds} folds" in one.raced
        assert one.score is not None and one.margin is None
    whole = [one.name for one in league.fitted if not one.raced]
    assert [one.name for one in league.fitted][: len(whole)] == whole, "those that ended early come last"
    assert league.default == "log_linear"
    json.dumps(league.to_dict(), allow_nan=False)


def test_a_stack_is_of_those_that_were_held_out_everywhere(raced):
    league, held_out = raced
    ended = {one.name for one in league.standings if one.raced}
    assert not ended & set(league["stack"].members)
    assert not np.isnan(held_out["stack"]).any()
    for name in ended:
        known = ~np.isnan(held_out[name]).any(axis=(0, 2))
        assert 0 < known.sum() < len(known)


def test_no_more_than_half_end_at_a_time(raced):
    league, _ = raced
    slow = [one for one in league.standings if one.name != "stack" and SURROGATES[one.name].slow]
    after_one = [one for one in slow if one.raced and one.fits == 1]
    assert len(after_one) <= len(slow) // 2


def test_the_others_are_judged_as_without_the_race(raced):
    league, _ = raced
    alone, _ = cross_validate(*runs(100), ["own_share", "log_linear", "power_law"], repeats=2)
    for one in alone.standings:
        assert (one.score, one.scale, one.margin) == (
            league[one.name].score,
            league[one.name].scale,
            league[one.name].margin,
        )


@pytest.mark.slow
def test_few_runs_are_no_evidence():
    league, _ = cross_validate(*runs(20), ["log_linear", "lightgbm", "extra_trees"], repeats=1)
    assert not any(one.raced for one in league.standings)


@pytest.mark.slow
def test_what_ended_early_is_fitted_and_can_be_chosen(tmp_path):
    weights, losses = (values[:, :3] if values.shape[1] == 4 else values[:, :1] for values in runs(70))
    weights /= weights.sum(axis=1, keepdims=True)
    spec = {
        "kind": "fit",
        "study": "s",
        "fingerprint": "f",
        "domains": list("abc"),
        "runs": [str(n) for n in range(len(weights))],
        "weights": weights.tolist(),
        "losses": losses.tolist(),
        "surrogates": ["own_share", "lightgbm", "lightgbm_linear"],
        "repeats": 1,
    }
    (tmp_path / "job").mkdir()
    run_league(Job(tmp_path / "job", tmp_path, spec))
    (event,) = [one for one in read_events(tmp_path / "job") if one.get("league")]
    (ended, *_) = [one["name"] for one in event["league"]["standings"] if one["raced"]]
    folder = tmp_path / "surrogates" / "s" / "f"
    mean, std = load(folder / f"{ended}.npz").predict(weights[:3])
    assert np.isfinite(mean).all() and (std > 0).all()
    assert np.isnan(held_out_of(folder, ended)[0]).any()
