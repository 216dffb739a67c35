"""The default of the leaderboard: safe beyond the runs, plainest within noise; what choosing the lowest costs."""

import numpy as np
import pytest

from engine.league import cross_validate
from engine.league.optimism import optimism_of
from engine.league.scores import DRAWS
from engine.league.standing import ranked
from engine.league.trial import trial_of
from engine.search.methods import evolve
from engine.space.simplex import Simplex
from engine.spec.kinds.fit import Standing
from engine.surrogates import SURROGATES
from tests.league.made import PULL, runs


def test_a_tie_goes_to_the_plainer():
    """On a straight line, linear and quadratic ridge are level: the line is taken."""
    weights, _ = runs(60)
    losses = weights @ PULL.T + 0.1 * np.random.default_rng(1).normal(size=(60, 3))
    league, _ = cross_validate(weights, losses, ["ridge", "linear"])
    assert league["linear"].tied
    assert league.default == "linear"


def test_the_baseline_is_no_default_while_others_are_level():
    """A loss that is its own share's logarithm: the baseline is the truth, and yet the law that is level is taken."""
    weights, _ = runs(60)
    losses = -np.log(weights[:, :3] + 1e-3) + 0.3 * np.random.default_rng(2).normal(size=(60, 3))
    league, _ = cross_validate(weights, losses, ["own_share", "ridge", "lasso"])
    assert league["own_share"].tied
    assert league.default == ("lasso" if league["lasso"].tied else "ridge" if league["ridge"].tied else "own_share")


def test_rounding_changes_no_default():
    """Two surrogates of one complexity with one score: the first is taken, whichever the last bit would prefer."""
    rng = np.random.default_rng(0)
    drawn = {name: 0.9 + 0.01 * rng.normal(size=DRAWS) for name in ("lasso", "ridge", "linear")}
    for noise in (0, 1e-16, -1e-16, 1e-15, -1e-15):
        judged = {name: Standing(name, score=0.9 + noise * (name == "ridge")) for name in drawn}
        order, default, _ = ranked(judged, drawn, drawn)
        assert [one.name for one in order] == list(drawn)
        assert default == "linear"


def test_what_may_not_lead_is_taken_only_where_it_is_alone():
    drawn = np.random.default_rng(0).normal(size=DRAWS)
    scores = {name: value + 0.001 * drawn for name, value in (("own_share", 0.5), ("in_context", 0.9), ("gp", 0.8))}
    judged = {name: Standing(name, score=float(one.mean())) for name, one in scores.items()}
    standings, default, _ = ranked(judged, scores, scores)
    assert (standings[0].name, default) == ("in_context", "gp")
    alone = {name: scores[name] for name in ("own_share", "in_context")}
    assert ranked({name: judged[name] for name in alone}, alone, alone)[1] == "in_context"


def test_trees_are_taken_only_where_the_better_rank_picks_better_runs():
    """LightGBM ranks better than the law by .01, beyond noise; it is the default only if its picks are better too, or
    if it ranks much better."""
    drawn = np.random.default_rng(0).normal(size=DRAWS)

    def default(gain, regret):
        judged = {"power_law": Standing("power_law", score=0.9), "lightgbm": Standing("lightgbm", score=0.9 + gain)}
        scores = {"power_law": 0.9 + 0.001 * drawn, "lightgbm": 0.9 + gain + 0.001 * drawn[::-1]}
        regrets = {"power_law": 0.1 + 0.01 * drawn, "lightgbm": 0.1 + regret + 0.01 * drawn[::-1]}
        standings, chosen, why = ranked(judged, scores, regrets)
        assert [one.tied for one in standings] == [True, False]
        return chosen, why

    for gain, regret, chosen, why in (
        (0.01, 0.0, "power_law", "it extrapolates beyond the runs"),
        (0.01, -0.09, "lightgbm", "that it picks are better"),
        (0.05, 0.0, "lightgbm", "by more than 0.02"),
    ):
        found = default(gain, regret)
        assert found[0] == chosen and why in found[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["power_law", "gp_rational"])
def test_optimism_is_what_the_choice_of_the_lowest_costs(name):
    """Over repeated experiments, the chosen mixture measures above its prediction, by about what refits say."""
    space, truth, stated = Simplex(tuple("abcd")), [], []
    for seed in range(4):
        weights, losses = runs(24, 0.3, seed)
        trial = trial_of(weights, losses, repeats=1, candidates=space.sample(500, np.random.default_rng(seed)))
        stated.append(optimism_of(trial, Standing(name), space))
        fitted = SURROGATES[name].fit(weights, losses)
        score = lambda points: fitted.mean(points).mean(axis=1)  # noqa: B023, E731
        best = evolve(score, space, np.full(4, 0.25), trial.candidates[:96], np.random.default_rng(0))[None]
        clean = 1 + np.exp(1.2 - best @ PULL.T)
        truth.append(clean.mean() - score(best)[0])
    assert all(one.bias >= 0 and one.refits == 5 for one in stated)
    assert np.mean(truth) > 0
    assert 0.2 < np.mean([one.bias for one in stated]) / np.mean(truth) < 5


def test_optimism_sees_what_refits_on_random_parts_share():
    """A line through losses that bend where the lowest is predicted: five refits agree, and are wrong together."""
    space, spread = Simplex(("a", "b")), {}
    for bend in (0, 6):
        rng = np.random.default_rng(0)
        share = rng.uniform(size=60)
        losses = 1 - share + bend * np.maximum(share - 0.75, 0) ** 2 + 0.01 * rng.normal(size=60)
        trial = trial_of(np.c_[share, 1 - share], losses[:, None], repeats=1, candidates=space.sample(200, rng))
        spread[bend] = optimism_of(trial, Standing("linear"), space).spread
    assert spread[0] < 0.02 < 0.12 < spread[6], "refits alone give .004 and .034"


def test_no_metric_loses_its_runs_to_the_question_of_optimism():
    """A metric that only the runs nearest to the answer have."""
    rng = np.random.default_rng(0)
    share = np.sort(rng.uniform(size=40))
    losses = np.c_[1 - share, np.where(share > share[-11], 1 - share, np.nan)]
    losses += 0.01 * rng.normal(size=losses.shape)
    trial = trial_of(np.c_[share, 1 - share], losses, repeats=1, candidates=Simplex(("a", "b")).sample(200, rng))
    assert np.isfinite(optimism_of(trial, Standing("linear"), None).spread)


def test_optimism_sees_how_far_the_lowest_lies_beyond_all_runs():
    """Of thirty domains no run is near the best mixture, so those nearest to it say nothing: the lowest ones do."""
    space, spread, miss = Simplex(tuple(f"d{n}" for n in range(30))), {}, {}
    for bend in (0.0, 2.0):
        rng = np.random.default_rng(0)
        pull = np.linspace(0, 1, 30)
        truth = lambda points: 1 + np.exp(-points @ pull) - bend * (points @ pull - 0.5) ** 2  # noqa: B023, E731
        weights = space.sample(150, rng)
        losses = truth(weights) + 0.002 * rng.normal(size=150)
        trial = trial_of(weights, losses[:, None], repeats=1, candidates=space.sample(200, rng))
        spread[bend] = optimism_of(trial, Standing("log_linear"), space).spread
        best = np.eye(30)[[-1]]
        miss[bend] = abs(truth(best) - SURROGATES["log_linear"].fit(weights, losses[:, None]).mean(best)[:, 0])[0]
    print(spread, miss)
    assert miss[0.0] < 2 * spread[0.0] < miss[2.0] < 2 * spread[2.0]
