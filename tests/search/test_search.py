"""Search and what is read off a surrogate: known optima are found, bounds kept, claims as wide as the
noise.
"""

import copy
import json

import numpy as np
import pytest

from engine.analysis.explain import influence, response, support, ternary, with_share
from engine.core.errors import Problem
from engine.search import Price, difference, search
from engine.search.acquisition import PROPOSERS
from engine.search.limits import Limits
from engine.search.methods import METHODS
from engine.search.pool import Pool, front, meet_targets
from engine.space.simplex import Simplex
from engine.surrogates import SURROGATES

NAMES, PRIOR = ("web", "code", "junk"), np.array([0.4, 0.3, 0.3])
SPACE = Simplex(NAMES)
MEAN = [0.5, 0.5]
FAST = {"n": 20_000, "seed": 0}


def law(weights):
    """(N, 2): exp(-3 web) + and exp(-3 code): the best even-handed mixture is half web, half code, no
    junk.
    """
    return np.exp(-3 * np.asarray(weights)[:, :2])


@pytest.fixture(scope="module", params=["log_linear", "gp"])
def surrogate(request):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 50)
    return SURROGATES[request.param].fit(weights, law(weights) + 0.003 * rng.normal(size=(50, 2)))


def test_the_known_optimum(surrogate):
    found = search(surrogate, SPACE, PRIOR, MEAN, **FAST)[0]
    np.testing.assert_allclose(found.found.shares, [0.5, 0.5, 0], atol=0.05)
    assert found.best.aggregate <= found.found.aggregate + 1e-3
    assert found.found.aggregate == pytest.approx(np.exp(-1.5), abs=0.02)


def test_priorities_move_it(surrogate):
    assert search(surrogate, SPACE, PRIOR, [1, 0], **FAST)[0].found.shares[0] > 0.9


def test_bounds_are_kept(surrogate):
    space = Simplex(NAMES, [0, 0, 0.2], [0.3, 1, 1])
    found, _ = search(surrogate, space, PRIOR, MEAN, **FAST)
    for shares in (found.found.shares, found.best.shares, found.near_optimal.nearest_prior.shares):
        assert space.contains(shares[None], 1e-9).all()
    np.testing.assert_allclose(found.found.shares, [0.3, 0.5, 0.2], atol=0.04)


def test_reproducible_and_json(surrogate):
    one, other = (search(surrogate, SPACE, PRIOR, MEAN, baselines={"natural": PRIOR}, **FAST)[0] for _ in range(2))
    np.testing.assert_array_equal(one.found.shares, other.found.shares)
    assert json.loads(json.dumps(one.to_dict(), allow_nan=False))["differences"]["natural"]["inside_noise"] is False


def test_near_optimal_is_as_wide_as_the_doubt(surrogate):
    sharp = search(surrogate, SPACE, PRIOR, MEAN, **FAST)[0].near_optimal
    vague = search(surrogate.calibrated([20, 20], np.eye(2)), SPACE, PRIOR, MEAN, **FAST)[0].near_optimal
    assert vague.count > sharp.count >= 1
    assert (vague.highest - vague.lowest >= sharp.highest - sharp.lowest - 1e-9).all()
    assert (sharp.lowest <= [0.51, 0.51, 0.02]).all()
    gap = [np.abs(near.nearest_prior.shares - PRIOR).sum() for near in (sharp, vague)]
    assert gap[1] <= gap[0]
    assert vague.nearest_prior.aggregate <= vague.threshold + 1e-4


def test_differences_know_their_noise(surrogate):
    metric_weights = np.array([0.5, 0.5])
    clear = difference(surrogate, np.array([0.5, 0.5, 0]), np.array([0.1, 0.1, 0.8]), metric_weights)
    assert clear.aggregate == pytest.approx(np.exp(-1.5) - np.exp(-0.3), abs=0.03)
    assert not clear.inside_noise
    assert difference(surrogate, np.array([0.5, 0.5, 0]), np.array([0.501, 0.499, 0]), metric_weights).inside_noise


def test_errors_that_hang_together_add_up(surrogate):
    together = surrogate.calibrated([1, 1], np.ones((2, 2)))
    alone = search(surrogate, SPACE, PRIOR, MEAN, **FAST)[0].found
    joined = search(together, SPACE, PRIOR, MEAN, **FAST)[0].found
    assert joined.aggregate_std == pytest.approx(alone.std.mean())
    assert alone.aggregate_std < alone.std.mean()


def test_progress_reaches_the_end(surrogate):
    seen = []
    search(surrogate, SPACE, PRIOR, MEAN, progress=lambda done, total, note: seen.append((done, total)), **FAST)
    assert seen[-1] == (20_000, 20_000)


@pytest.mark.parametrize("priorities", [[1], [0, 0], [np.nan, 1]])
def test_unusable_priorities(surrogate, priorities):
    with pytest.raises(Problem, match="Cannot weigh"):
        search(surrogate, SPACE, PRIOR, priorities, **FAST)


def test_unusable_counts(surrogate):
    with pytest.raises(Problem, match="search 5 draws"):
        search(surrogate, SPACE, PRIOR, MEAN, n=5)


def test_a_metric_where_higher_is_better_pulls_the_other_way(surrogate):
    """As a score, exp(-3 code) should be high: no code at all."""
    found, _ = search(surrogate, SPACE, PRIOR, [0.5, -0.5], method="evolve", **FAST)
    assert found.found.shares[0] > 0.9 and found.found.shares[1] < 0.05


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_known_optimum_inside_the_bounds(method):
    """The constrained optimum of exp(-3 web) + exp(-3 code) with web at most 0.3 and junk at least 0.2."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 50)
    fitted = SURROGATES["log_linear"].fit(weights, law(weights) + 1e-4 * rng.normal(size=(50, 2)))
    space = Simplex(NAMES, [0, 0, 0.2], [0.3, 1, 1])
    found, _ = search(fitted, space, PRIOR, MEAN, method=method, **FAST)
    assert space.contains(found.found.shares[None], 1e-9).all()
    # Olmix's answer is pulled towards the prior; at lambda 0.05 by a few percent here
    np.testing.assert_allclose(found.found.shares, [0.3, 0.5, 0.2], atol=0.06 if method == "convex" else 0.03)


def test_the_convex_method_solves_its_problem_exactly():
    """Against scipy's SLSQP on the same objective, from three starts."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(5), 60)
    fitted = SURROGATES["log_linear"].fit(weights, np.exp(-2 * weights[:, :3]) + 1e-4 * rng.normal(size=(60, 3)))
    names, prior = tuple("abcde"), np.array([0.1, 0.1, 0.1, 0.3, 0.4])
    found, _ = search(fitted, Simplex(names), prior, np.full(3, 1 / 3), method="convex", n=2000)

    def objective(p):
        shares = np.maximum(p, 0)
        pull = (shares * np.log((shares + 1e-6) / (prior + 1e-6))).sum()
        return fitted.mean(p[None])[0].mean() + 0.05 * pull

    bounds, whole = [(0, 1)] * 5, {"type": "eq", "fun": lambda p: p.sum() - 1}
    best = min(minimize(objective, start, bounds=bounds, constraints=whole, tol=1e-12).fun for start in weights[:3])
    assert objective(found.found.shares) <= best + 1e-6


def test_what_a_method_cannot_do(surrogate):
    with pytest.raises(Problem, match="choose one of optimum, simulate, convex, evolve"):
        search(surrogate, SPACE, PRIOR, MEAN, method="guess", **FAST)
    if not surrogate.convex:
        with pytest.raises(Problem, match="unique only for the log-linear law"):
            search(surrogate, SPACE, PRIOR, MEAN, method="convex", **FAST)


def test_the_cheapest_near_optimal_member(surrogate):
    """Where code costs ten times as much, the cheapest member holds less of it and costs no more than the others."""
    vague = surrogate.calibrated([20, 20], np.eye(2))
    price = Price(np.array([1.0, 10.0, 1.0]), np.full(3, 1e12), 1e9)
    near = search(vague, SPACE, PRIOR, MEAN, price=price, **FAST)[0].near_optimal
    assert near.cheapest.shares[1] == pytest.approx(near.lowest[1], abs=0.02)
    assert near.cheapest_price <= price.of(near.nearest_prior.shares[None])[0]
    assert near.cheapest.aggregate <= near.threshold + 1e-3
    np.testing.assert_allclose(price.of([[0.5, 0.5, 0]]), 500 + 5000)
    short = Price(np.ones(3), np.array([1e8, 1e12, 1e12]), 1e9)
    np.testing.assert_allclose(short.of([[0.5, 0.5, 0]]), 100 + 500)  # repeated tokens cost nothing again


def test_the_front_trades_one_loss_for_the_other(surrogate, tmp_path):
    _, pool = search(surrogate, SPACE, PRIOR, MEAN, **FAST)
    pool.save(tmp_path / "draws.npz")
    pool = Pool.load(tmp_path / "draws.npz")
    rows = front(pool, [0, 1], np.ones(2))
    first, second = pool.mean[rows, 0], pool.mean[rows, 1]
    assert (np.diff(first) >= 0).all() and (np.diff(second) <= 0).all() and len(rows) > 10
    assert pool.points[rows, 2].max() < 0.1  # junk helps neither
    assert first[0] == pytest.approx(np.exp(-3), abs=0.05) and second[-1] == pytest.approx(np.exp(-3), abs=0.05)
    with pytest.raises(Problem, match="two or three"):
        front(pool, [0], np.ones(2))
    with pytest.raises(Problem, match="Search again"):
        Pool.load(tmp_path / "none.npz")


def test_a_wish_is_met_or_says_what_is_in_the_way(surrogate):
    _, pool = search(surrogate, SPACE, PRIOR, MEAN, **FAST)
    easy = meet_targets(pool, surrogate, Limits(np.array([0.5, 0.5]), np.ones(2)))
    assert easy.expected > 10 and easy.chance[0] > 0.9
    assert (pool.mean[easy.rows[:5]] < 0.5).all() and (easy.lowest[:2] > 0.15).all()
    hard = meet_targets(pool, surrogate, Limits(np.array([0.06, 0.9]), np.ones(2)))
    assert hard.binding == 0
    never = meet_targets(pool, surrogate, Limits(np.array([0.05, 0.05]), np.ones(2)))
    assert never.expected == 0 and never.chance.max() < 0.01 and never.lowest is None
    with pytest.raises(Problem, match="no limit"):
        meet_targets(pool, surrogate, Limits(np.full(2, np.nan), np.ones(2)))


def test_influence(surrogate):
    found = influence(surrogate, PRIOR, SPACE)
    np.testing.assert_allclose(found.step, 0.1)
    moved = law(np.stack([with_share(PRIOR, j, PRIOR[j] + 0.1) for j in range(3)]))
    np.testing.assert_allclose(found.effect, moved - law(PRIOR[None]), atol=0.02)
    assert found.effect[0, 0] < 0 < found.effect[2, 0]
    assert found.certain[0, 0]
    assert found.certain[2, 0]


def test_influence_stops_at_the_bounds(surrogate):
    found = influence(surrogate, PRIOR, Simplex(NAMES, [0, 0.29, 0], [0.45, 1, 0.3]))
    np.testing.assert_allclose(found.step, [0.02, 0.1, 0.0], atol=1e-9)
    assert (found.effect[2] == 0).all()
    assert not found.certain[2].any()
    assert influence(surrogate, np.array([1.0, 0, 0]), SPACE).step[0] == 0


def test_response(surrogate):
    grid = np.linspace(0, 1, 11)
    mean, std = response(surrogate, PRIOR, 0, grid)
    assert mean.shape == std.shape == (11, 2)
    np.testing.assert_allclose(mean[:, 0], np.exp(-3 * grid), atol=0.06)
    np.testing.assert_allclose(with_share(np.array([1.0, 0, 0]), 0, 0.4), [0.4, 0.3, 0.3])


def test_ternary(surrogate):
    surface = ternary(surrogate, PRIOR, (0, 1, 2), 10)
    assert surface.corners.shape == (66, 3)
    np.testing.assert_allclose(surface.points.sum(axis=1), 1)
    np.testing.assert_allclose(surface.mean, surrogate.predict(surface.corners)[0], atol=1e-9)
    for three in ((0, 1, 1), (1, 2, 2)):
        with pytest.raises(Problem, match="three different"):
            ternary(surrogate, PRIOR, three, 10)


def test_support_badges():
    runs = np.array([[1.0, 0, 0], [0.9, 0.1, 0], [0.8, 0.2, 0], [0.7, 0.3, 0]])
    found = support(np.array([[0.9, 0.1, 0], [0.86, 0.14, 0], [0.0, 0.0, 1.0]]), runs)
    assert found.badge == ["measured", "interpolated", "extrapolated"]
    np.testing.assert_allclose(found.distance, [0, 0.04, 1.0], atol=1e-9)
    assert found.reach == pytest.approx(0.1)
    assert found.nearest[:2].tolist() == [1, 1]
    with pytest.raises(Problem, match="no finished runs"):
        support(PRIOR, np.empty((0, 3)))


def test_the_optimum_is_found_where_draws_do_not_come_near():
    """Twenty domains and a law whose best mixture is known: each domain's share as the root of its weight."""
    pull = np.random.default_rng(0).dirichlet(np.ones(20))
    wanted, space = np.sqrt(pull) / np.sqrt(pull).sum(), Simplex(tuple(f"d{i}" for i in range(20)))

    class Law:
        noise, scale, correlation, convex, title = np.ones(1), np.ones(1), np.eye(1), False, "a law"

        def mean(self, points):
            return (pull / np.maximum(points, 1e-4)).sum(axis=1, keepdims=True)

        def predict(self, points):
            return self.mean(points), np.ones((len(points), 1))

    def found(method):
        shares = search(Law(), space, np.full(20, 0.05), np.ones(1), method=method, n=20_000)[0].found.shares
        assert (shares >= 0).all() and shares.sum() == pytest.approx(1, abs=1e-9)
        return np.abs(shares - wanted).sum()

    assert found("optimum") < 0.01 < found("simulate")


def with_and_without_rounding(surrogate, method):
    """What a search finds, and its pool, of predictions of two decimals, so that many draws are equal on paper; and the
    same with noise of the last bit."""

    class Shaken(type(surrogate)):
        def mean(self, points):
            exact = super().mean(points).round(2)
            return exact + self.size * np.random.default_rng(1).normal(size=exact.shape)

    found = []
    for size in (0, 1e-16):
        shaken = copy.copy(surrogate)
        shaken.__class__, shaken.size = Shaken, size
        found.append(search(shaken, SPACE, PRIOR, np.full(2, 1 / 3), method=method, **FAST))
    return found


@pytest.mark.parametrize("method", ["optimum", "simulate", "evolve"])
def test_rounding_moves_neither_the_answer_nor_the_pool(surrogate, method):
    (one, pool), (other, again) = with_and_without_rounding(surrogate, method)
    np.testing.assert_array_equal(pool.points, again.points)
    np.testing.assert_array_equal(front(pool, [0, 1], np.ones(2)), front(again, [0, 1], np.ones(2)))
    for get in (lambda it: it.found, lambda it: it.best, lambda it: it.near_optimal.nearest_prior):
        np.testing.assert_array_equal(get(one).shares, get(other).shares)


def test_rounding_moves_no_proposal(surrogate):
    (_, pool), (_, again) = with_and_without_rounding(surrogate, "simulate")
    for name in sorted(set(PROPOSERS) - {"sources"}):  # which looks at runs, not at predictions
        points = [
            PROPOSERS[name](surrogate, SPACE, np.full(2, 0.5), one.points, PRIOR[None], 4, 0).points
            for one in (pool, again)
        ]
        np.testing.assert_array_equal(*points)
