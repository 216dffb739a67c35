"""Strategies of merge searches: on problems with known answers, and the same after a stop."""

from dataclasses import replace

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.search.limits import Limits
from engine.search.strategies import STRATEGIES, TITLES, History, Question
from engine.space.box import Box

BEST = np.array([0.7, 0.2, 0.45])


def losses_at(points: np.ndarray) -> np.ndarray:
    """(n, 2) two bowls with different bottoms; their mean is lowest at BEST."""
    away = np.array([0.1, -0.05, 0.0])
    return np.stack([((points - BEST - side * away) ** 2).sum(axis=1) for side in (1, -1)], axis=1) + 1


def question(**changes) -> Question:
    wanted = {"evaluations": 64, "batch_size": 8, **changes}
    return Question(Box(("a", "b", "c")), np.full(3, 0.3), np.array([0.5, 0.5]), **wanted)


def run(strategy: str, asked: Question, history: History | None = None) -> History:
    """Search until the budget is spent."""
    history = history or History(np.empty((0, 3)), np.empty((0, 2)), 0)
    while (left := asked.evaluations - history.own) > 0:
        points = STRATEGIES[strategy](history, asked)[:left]
        if not len(points):
            break
        history = History(
            np.concatenate([history.points, points]),
            np.concatenate([history.losses, losses_at(points)]),
            history.own + len(points),
        )
    return history


def regret(history: History) -> float:
    return float((history.losses.mean(axis=1)).min() - losses_at(BEST[None]).mean())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_stays_in_the_box_and_is_reproducible(strategy):
    found = run(strategy, question(evaluations=28))
    assert strategy in TITLES and found.own == (27 if strategy == "grid" else 28)  # a grid of 3 x 3 x 3 is used up
    assert Box(("a", "b", "c")).contains(found.points).all()
    again = run(strategy, question(evaluations=28))
    assert np.array_equal(found.points, again.points)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(strategy):
    whole = run(strategy, question(evaluations=32))
    half = History(whole.points[:16], whole.losses[:16], 16)
    assert np.allclose(run(strategy, question(evaluations=32), half).points, whole.points)


def test_strategies_that_learn_find_the_bottom():
    """A surrogate finds it in 64 measurements; CMA-ES, which learns nothing from those before it, in 240."""
    baselines = [regret(run(strategy, question(evaluations=240))) for strategy in ("random", "grid", "sobol")]
    assert regret(run("guided", question())) < 1e-3 < min(baselines)
    assert regret(run("cma", question(evaluations=240))) < min(baselines)


@pytest.mark.parametrize(("strategy", "evaluations", "near"), [("guided", 48, 0.01), ("cma", 240, 0.03)])
def test_a_limit_is_kept_where_the_lowest_does_not(strategy, evaluations, near):
    """The second bowl is limited to a ball around its bottom; the lowest of the first inside lies on the line between
    both bottoms, and is known."""
    apart, radius = 2 * np.hypot(0.1, 0.05), 0.1
    limits = Limits(np.array([np.nan, 1 + radius**2]), np.ones(2))
    asked = replace(question(evaluations=evaluations), metric_weights=np.array([1.0, 0.0]), limits=limits)
    history = run(strategy, asked)
    best = history.losses[np.argmin(asked.scores(history))]
    assert best[1] <= 1 + radius**2
    assert best[0] == pytest.approx(1 + (apart - radius) ** 2, abs=near)
    free = history.losses[np.argmin(history.losses[:, 0])]
    assert free[1] > 1 + radius**2 or strategy == "guided", "without the limit another one would be the best"


def test_errors_of_what_was_measured_keep_merges_away_from_a_limit():
    limits = Limits(np.array([np.nan, 1.0]), np.ones(2))
    losses, errors = np.array([[1.0, 0.9], [2.0, 0.8], [0.5, 1.1]]), np.full((3, 2), 0.1)
    scores = replace(question(), limits=limits).scores(History(np.zeros((3, 3)), losses, 3, errors))
    assert np.argsort(scores).tolist() == [1, 0, 2], "the second is surely inside, the last beyond"
    told = limits.measured(losses[1], errors[1], 1)
    assert told.chance == pytest.approx(0.977, abs=1e-3) and told.binding == 1 and told.inside == 1


def test_a_spread_search_covers_the_front():
    """The two bottoms lie 0.22 apart: a front reaches nearly both."""
    found = run("guided", question(spread=True, evaluations=48))
    lowest = found.losses.min(axis=0) - 1
    assert (lowest < 2e-3).all()


def test_known_runs_lead_a_guided_search_from_its_first_batch():
    rng = np.random.default_rng(0)
    known = rng.uniform(size=(40, 3))
    history = History(known, losses_at(known), 0)
    first = STRATEGIES["guided"](history, question())
    assert losses_at(first).mean(axis=1).min() < losses_at(known).mean(axis=1).min()


def test_a_grid_of_too_many_points_is_refused_and_a_small_one_ends():
    many = Question(Box(tuple(f"c{i}" for i in range(60))), np.full(60, 0.3), np.array([1.0]), 100, 8)
    with pytest.raises(Problem, match="Choose cma"):
        STRATEGIES["grid"](History(np.empty((0, 60)), np.empty((0, 1)), 0), many)
    found = run("grid", question(evaluations=30))
    assert found.own == 27 and len(np.unique(found.points, axis=0)) == 27
