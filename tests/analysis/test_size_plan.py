"""A budget for runs of several sizes goes where it tells most of the choice at the target."""

from functools import cache

import numpy as np
import pytest

from engine.analysis.size_plan import cost, plan
from engine.analysis.sizes import Sizes
from engine.core.errors import Problem
from tests.analysis.test_sizes import BETTER, TWO, fitted, runs_at, truth

PAIR = np.array([[0.5, 0.45, 0.05], [0.2, 0.2, 0.6]])
CANDIDATES = np.random.default_rng(1).dirichlet(np.ones(3), 30)
EVEN = np.array([0.5, 0.5])
FEW_LARGE = {(1e8, 2e9): 40, (3e8, 2e10): 2}


def planned(sizes: dict, target=(3e8, 2e10), flops=2e20):
    return _planned(tuple(sizes.items()), target, flops)


@cache
def _planned(sizes: tuple, target: tuple, flops: float):
    return plan(fitted(dict(sizes)), target, PAIR, CANDIDATES, EVEN, flops)


def counts(found) -> dict[float | None, int]:
    return {one.size.parameters: len(one.mixtures) for one in found.buys}


def test_a_plan_keeps_to_its_budget_and_is_no_worse_than_one_size_alone():
    for sizes in (TWO, FEW_LARGE):
        found = planned(sizes)
        assert 0 < sum(one.flops for one in found.buys) <= 2e20
        assert found.after < found.before and found.after <= min(std for _, std in found.alone)
        assert all(len(one.mixtures) == one.flops / cost(one.size) for one in found.buys)
        np.testing.assert_allclose(np.concatenate([one.mixtures for one in found.buys]).sum(axis=1), 1)


def test_large_runs_are_bought_where_the_line_at_the_target_is_not_known():
    known, unknown = planned(TWO), planned(FEW_LARGE)
    large = {
        name: sum(one.flops for one in found.buys if one.size.parameters > 2e8)
        for name, found in (("known", known), ("unknown", unknown))
    }
    assert large["unknown"] > large["known"]
    new = planned(TWO, target=(1e9, 2e10), flops=2e21)
    assert counts(new).get(1e9, 0) > 0, "the target itself can be bought before it has runs"
    small = next(std for one, std in new.alone if one.size.parameters < 2e8)
    assert small > 0.9 * new.before, "small runs alone never tell how steep a new size is"


@pytest.mark.slow
def test_what_it_expects_is_what_refitting_finds():
    """Five times: the runs of the plan are measured and fitted; the interval then is about as wide as was promised."""
    ratios, missed = [], []
    for seed in range(5):
        weights, fidelity, losses = runs_at(FEW_LARGE, seed)
        found = plan(Sizes.fit(weights, fidelity, losses, BETTER), (3e8, 2e10), PAIR, CANDIDATES, EVEN, 2e20)
        rng = np.random.default_rng(seed)
        for one in found.buys:
            count = len(one.mixtures)
            more = truth(one.mixtures, *one.size.place) + 0.003 * rng.standard_normal((count, 2))
            weights, losses = np.concatenate([weights, one.mixtures]), np.concatenate([losses, more])
            fidelity = np.concatenate([fidelity, np.tile(np.array(one.size.place, float), (count, 1))])
        after = plan(Sizes.fit(weights, fidelity, losses, BETTER), (3e8, 2e10), PAIR, CANDIDATES, EVEN, 2e20)
        ratios.append(after.before / found.after)
        true = float((truth(PAIR[1:], 3e8, 2e10) - truth(PAIR[:1], 3e8, 2e10))[0] @ EVEN)
        missed.append(abs(after.gap - true) / after.before)
    assert 0.5 < np.median(ratios) < 2
    assert np.median(missed) < 2


def test_a_budget_under_one_run_names_what_one_costs():
    with pytest.raises(Problem, match=r"One run of the cheapest, 100M parameters and 2B tokens, takes 1.2e\+18"):
        planned(TWO, flops=1e17)


def test_sizes_that_do_not_tell_both_numbers_are_not_bought():
    weights, fidelity, losses = runs_at(TWO)
    fidelity[:40, 1] = np.nan
    with pytest.raises(Problem):
        plan(Sizes.fit(weights, fidelity, losses, BETTER), (3e8, 2e10), PAIR, CANDIDATES, EVEN, 1e17)
