"""The league: the right surrogate wins, duplicates do not leak, intervals are calibrated, the job keeps its
fits.
"""

import json

import numpy as np
import pytest
import scipy  # its parts are imported where they are used: statistics take half a second

from engine.core.errors import Problem, Stopped
from engine.jobs.spool import Job
from engine.league import League, cross_validate, held_out_of, rank_correlations
from engine.league import run as run_league
from engine.league.curve import Curve, enough_runs
from engine.league.scores import DRAWS, LEVELS, bootstrap, coverage, regret_of, scale_of, score_of, widths_of
from engine.surrogates import load
from tests.league.made import FAST, runs
from tests.support.working import read_events


@pytest.fixture(scope="module")
def league():
    return cross_validate(*runs(), FAST)[0]


def test_the_true_law_wins(league):
    assert league.default == "log_linear"
    assert league["log_linear"].score > 0.97
    assert league["log_linear"].score > league["linear"].score
    assert [s.score for s in league.standings] == sorted((s.score for s in league.standings), reverse=True)


def test_what_a_standing_says(league):
    one = league["log_linear"]
    assert len(one.spearman) == len(one.rmse) == len(one.scale) == 3
    assert one.interval[0] <= one.mean_spearman <= one.interval[1] + 0.01
    assert 0.015 < np.mean(one.rmse) < 0.06, "the noise is 0.02"
    assert one.regret >= 0
    assert abs(one.calibrated_coverage["95"] - 0.95) < 0.06


def test_it_survives_json(league):
    again = League.from_dict(json.loads(json.dumps(league.to_dict(), allow_nan=False)))
    assert again == league


def test_reproducible(league):
    again, _ = cross_validate(*runs(), FAST)
    assert [(s.name, s.score, s.scale) for s in again.standings] == [
        (s.name, s.score, s.scale) for s in league.standings
    ]


def test_rank_correlations_are_spearmans():
    rng = np.random.default_rng(0)
    losses, predicted, share = (
        rng.normal(size=(30, 2)).round(1),
        rng.normal(size=(30, 2)).round(1),
        np.array([0.5, 0.5]),
    )
    found = rank_correlations(losses, predicted, share)
    each = [scipy.stats.spearmanr(losses[:, m], predicted[:, m])[0] for m in range(2)]
    tens = ((10 * values).round().sum(axis=1) for values in (losses, predicted))  # in whole numbers
    whole = scipy.stats.spearmanr(*tens)[0]
    np.testing.assert_allclose(found, [whole, np.mean(each), *each])


def test_the_bootstrap_is_that_of_sorted_draws():
    rng = np.random.default_rng(0)
    losses, predicted, share = rng.normal(size=(30, 3)).round(1), rng.normal(size=(30, 3)).round(1), np.ones(3) / 3
    losses[:4, 0] = np.nan
    losses[:, 2] = 5.0
    draws = np.random.default_rng(7).integers(0, 30, (DRAWS, 30))
    wanted = rank_correlations(losses[draws], predicted[draws], share)
    found = bootstrap(losses, predicted, share, 7)
    np.testing.assert_allclose(found[:, 1], wanted[:, 1])
    np.testing.assert_allclose(found[:, 0], score_of(wanted))


def test_noise_alone_gives_no_skill():
    weights, _ = runs(60)
    league, _ = cross_validate(weights, np.random.default_rng(1).normal(size=(60, 2)), ["linear", "ridge"])
    assert max(abs(s.score) for s in league.standings) < 0.4


def test_repeated_mixtures_share_a_fold():
    """Pure noise repeated: a leak of the twin would be a rank correlation near one."""
    weights, _ = runs(30)
    losses = np.repeat(np.random.default_rng(1).normal(size=(30, 2)), 2, axis=0)
    assert cross_validate(np.repeat(weights, 2, axis=0), losses, ["gp"], repeats=1)[0]["gp"].score < 0.5


def test_missing_losses_and_a_constant_metric():
    weights, losses = runs()
    losses[:5, 0] = np.nan
    losses[:, 2] = 4.0
    league, _ = cross_validate(weights, losses, FAST)
    one = league["log_linear"]
    assert one.spearman[0] > 0.9
    assert one.spearman[2] is None, "nothing can be said of a metric that never varies"
    assert one.mean_spearman == pytest.approx(np.mean(one.spearman[:2]))
    json.dumps(league.to_dict(), allow_nan=False)


def test_priorities_weigh_the_aggregate():
    weights, losses = runs()
    one = cross_validate(weights, losses, ["linear"], priorities=np.array([1.0, 0, 0]))[0]["linear"]
    assert one.aggregate_spearman == pytest.approx(one.spearman[0])


@pytest.mark.parametrize(
    ("weights", "names", "said"),
    [
        (np.eye(4), None, "4 runs: at least 5"),
        (np.full((9, 4), 0.25), None, "the same mixture"),
        (runs()[0], ["oracle"], "oracle"),
    ],
)
def test_what_cannot_be_judged(weights, names, said):
    with pytest.raises(Problem, match=said):
        cross_validate(weights, np.random.default_rng(0).normal(size=(len(weights), 2)), names)


def test_a_surrogate_that_cannot_be_fitted_is_named_not_hidden():
    weights, losses = runs(8)
    losses[3:, 1] = np.nan
    with pytest.raises(Problem, match="metric 2"):
        cross_validate(weights, losses, FAST)


def spec(**more):
    weights, losses = runs(20)
    losses = losses.tolist()
    losses[0][0] = None
    return {
        "kind": "fit",
        "study": "pile",
        "domains": list("abcd"),
        "metrics": list("xyz"),
        "runs": [str(n) for n in range(20)],
        "weights": weights.tolist(),
        "losses": losses,
        "surrogates": FAST,
        "folds": 4,
        "repeats": 2,
        "seed": 0,
        "fingerprint": "f00",
        **more,
    }


def test_the_job(tmp_path):
    (tmp_path / "job").mkdir()
    job = Job(tmp_path / "job", tmp_path, spec())
    run_league(job)
    finished = [event for event in read_events(job.folder) if event["kind"] == "league.finished"]
    assert [(event["study"], event["fingerprint"], event["runs"]) for event in finished] == [("pile", "f00", 20)]
    league = League.from_dict(finished[0]["league"])
    folder = tmp_path / "surrogates" / "pile" / "f00"
    assert sorted(path.stem for path in folder.iterdir()) == sorted([*FAST, "held_out"])
    for name in FAST:
        mean, std = held_out_of(folder, name)
        assert mean.shape == std.shape == (20, 3)
        np.testing.assert_allclose(load(folder / f"{name}.npz").scale, league[name].scale)


def test_the_job_stops_when_told(tmp_path):
    (tmp_path / "job").mkdir()
    job = Job(tmp_path / "job", tmp_path, spec())
    job.stopping = True
    with pytest.raises(Stopped):
        run_league(job)


def test_a_study_name_cannot_leave_the_workspace(tmp_path):
    (tmp_path / "job").mkdir()
    with pytest.raises(Problem, match="as the name of a study"):
        run_league(Job(tmp_path / "job", tmp_path, spec(study="../../etc")))


def test_the_margin_over_the_baseline_has_an_interval(league):
    for standing in league.standings:
        if standing.name == "own_share":
            assert standing.margin is None
        else:
            gap, low, high = standing.margin
            assert gap == pytest.approx(standing.score - league["own_share"].score)
            assert low <= gap <= high + 0.01
    assert league["log_linear"].margin[1] > 0, "on its own law it is better beyond doubt"


def test_the_stack_weighs_members_and_is_not_worse():
    league, _ = cross_validate(*runs(), [*FAST, "stack"])
    stack = league["stack"]
    assert sum(stack.members.values()) == pytest.approx(1)
    assert set(stack.members) <= set(FAST)
    assert stack.members["log_linear"] > 0.5, "the true law"
    assert stack.score > league["ridge"].score


def test_a_stack_alone_brings_its_members():
    league, _ = cross_validate(*runs(12), ["stack"], folds=2, repeats=1)
    assert {"log_linear", "gp_rational", "stack"} <= {standing.name for standing in league.standings}


def test_stability_is_the_distance_between_refits():
    weights, losses = runs()
    candidates = np.random.default_rng(0).dirichlet(np.ones(4), 500)
    league, _ = cross_validate(weights, losses, FAST, candidates=candidates)
    assert 0 <= league["log_linear"].stability < 0.2
    noisy, _ = cross_validate(weights, np.random.default_rng(1).normal(size=losses.shape), FAST, candidates=candidates)
    assert noisy["ridge"].stability > league["ridge"].stability


def test_metrics_of_any_sign_and_scale():
    """A score in the millions and a tiny loss: the league is the same as for the plain losses."""
    weights, losses = runs()
    factor, share = np.array([-1e6, 1.0, 1e-6]), np.array([1.0, 1.0, 1.0]) / 3
    plain, _ = cross_validate(weights, losses, FAST, priorities=share)
    other, _ = cross_validate(weights, losses * factor, FAST, priorities=share / factor)
    for standing in plain.standings:
        again = other[standing.name]
        np.testing.assert_allclose(again.spearman[1:], standing.spearman[1:], atol=0.01)
        np.testing.assert_allclose(again.rmse[1:], np.array(standing.rmse[1:]) * factor[1:], rtol=0.05)
        assert again.aggregate_spearman > 0.5 or standing.aggregate_spearman < 0.7


def test_nothing_varies():
    with pytest.raises(Problem, match="none of the 2 metrics varies over the 48 runs"):
        cross_validate(runs()[0], np.ones((48, 2)), FAST)


# The learning curve ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "slope", "enough"), [(1.0, 1.0, 50), (2.0, 1.0, 100), (1.0, 0.5, 857.9)])
def test_enough_runs_of_a_known_curve(level, slope, enough):
    """1 - score = a n^-b: a doubling gains a n^-b (1 - 2^-b)."""
    sizes = np.array([8, 16, 24, 40])
    assert enough_runs(sizes, 1 - level * sizes**-slope) == pytest.approx(enough, rel=1e-3)


def test_a_curve_that_does_not_rise_promises_nothing():
    assert np.isnan(enough_runs(np.array([8, 16, 32]), np.array([0.5, 0.48, 0.5])))


@pytest.mark.parametrize(
    ("state", "enough", "between", "said"),
    [
        ("enough", 40, [32, 48], "40 runs would have been enough (32 to 48)"),
        ("enough", 8, [8, 8], "8 runs or fewer would have been enough"),
        ("more", 100, [80, 140], "More runs are worth it: about 36 of them (16 to 76)"),
        ("far", None, None, "more than 192 further runs"),
        ("short", None, None, "too few for a learning curve"),
        ("flat", None, None, "More runs have not made"),
    ],
)
def test_the_verdict_in_words(state, enough, between, said):
    assert said in Curve("log_linear", 64, [8], {}, state, enough, between).verdict


def test_the_job_draws_a_curve(tmp_path):
    (tmp_path / "job").mkdir()
    job = Job(tmp_path / "job", tmp_path, spec())
    run_league(job)
    league = League.from_dict(next(e for e in read_events(job.folder) if e["kind"] == "league.finished")["league"])
    curve = Curve(**league.curve)
    assert curve.of == league.default
    assert curve.sizes == sorted(curve.sizes)
    assert set(curve.scores) == {league.default, "own_share"}
    assert curve.verdict.endswith(".")


# Rounding ----------------------------------------------------------------------------------------------------


def test_rounding_changes_no_rank_and_no_score():
    """Nor does another order of the runs. 1e-16 is what a matrix product of another machine adds."""
    rng = np.random.default_rng(0)
    losses, predicted = rng.normal(size=(40, 3)).round(1), rng.normal(size=(2, 40, 3)).round(1)
    share, moved = np.ones(3) / 3, rng.permutation(40)
    whole = np.broadcast_to(losses, predicted.shape)
    ranks, regret = rank_correlations(whole, predicted, share), regret_of(losses, predicted, share)
    drawn = bootstrap(losses, predicted[0], share, 7)
    for _ in range(20):
        shaken = predicted + 1e-16 * rng.normal(size=predicted.shape)
        assert (rank_correlations(whole, shaken, share) == ranks).all()
        assert (bootstrap(losses, shaken[0], share, 7) == drawn).all()
        assert regret_of(losses, shaken, share) == regret
    again = rank_correlations(whole[:, moved], predicted[:, moved], share)
    np.testing.assert_allclose(again, ranks, rtol=1e-13)


def test_the_default_says_why(league):
    assert league.why.startswith("of those that rank held-out runs best")


def test_few_runs_make_intervals_wider():
    rng = np.random.default_rng(0)
    missed = rng.normal(size=(1, 2000, 1))
    for count, wider in ((16, 2.131 / 1.96), (2000, 1.0)):
        found = scale_of(missed[:, :count], np.ones((1, count, 1)))[0]
        assert found == pytest.approx(wider * np.sqrt((missed[:, :count] ** 2).mean()), rel=2e-3)


@pytest.mark.parametrize("freedom", [3, 300], ids=["heavy tails", "normal"])
def test_every_level_holds_what_it_says(freedom):
    """Errors of Student's t: where 95% lie within 1.96 deviations, a normal curve's 80% intervals hold 86 of 100."""
    from scipy.stats import t

    rng, wide = np.random.default_rng(0), t(freedom).ppf(0.975) / LEVELS["95"]
    held_out, later = rng.standard_t(freedom, (2, 1, 400, 5)) / wide
    widths = widths_of(held_out)
    assert widths["80"] == pytest.approx(t(freedom).ppf(0.9) / wide, rel=0.06)
    for level, inside in coverage(later, widths).items():
        assert abs(inside - float(level) / 100) < 0.025, level
    assert (coverage(later)["80"] > 0.84) == (freedom == 3)


def test_widths_are_checked_on_other_folds(league):
    for one in league.fitted:
        assert 0 < one.widths["50"] <= one.widths["80"] <= one.widths["95"] == LEVELS["95"]
    one = league["log_linear"]
    assert abs(one.calibrated_coverage["80"] - 0.8) < 0.08
    assert one.calibrated_coverage["80"] != 0.8, "its own quantile would hold exactly that"
