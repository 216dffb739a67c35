"""Small against large: rank correlations with intervals, regret, gaps, and no winner inside the noise."""

import numpy as np
import pytest

from engine.analysis.scaling import WAYS, JointLaw, check, groups_of
from engine.analysis.trust import trust
from engine.core.errors import Problem


def seeds(means, noise, count=3, seed=0):
    rng = np.random.default_rng(seed)
    return [mean + noise * rng.normal(size=count) for mean in means]


def test_a_faithful_proxy():
    truth = np.linspace(3.0, 3.5, 8)
    found = trust(truth + 0.7, np.full(8, 0.02), seeds(truth, 0.002), chosen=0)
    assert found.rank == pytest.approx(1) and found.rank_interval[0] > 0.7
    assert found.top == 1 and found.regret == 0 and found.best == 0
    assert found.top_interval == (1, 1), "the differences are far beyond the seeds' noise"
    assert abs(found.gap) < 0.01, "a common level between sizes is no error"
    assert found.noise == pytest.approx(0.002, rel=0.6) and found.rivals == [0]
    assert found.seeds.tolist() == [3] * 8


def test_a_proxy_that_misleads():
    truth = np.linspace(3.0, 3.5, 6)
    found = trust(-truth, np.full(6, 0.02), seeds(truth, 0.002), chosen=5)
    assert found.rank == pytest.approx(-1) and found.top == 0
    assert found.regret == pytest.approx(0.5, abs=0.01)
    assert found.gap < -0.3, "it measures worse than predicted"


def test_nothing_wins_inside_the_noise():
    found = trust(np.arange(5.0), np.full(5, 0.1), seeds(np.full(5, 3.0), 0.05), chosen=0)
    assert len(found.rivals) >= 4
    low, high = found.rank_interval
    assert low < 0 < high
    low, high = found.top_interval
    assert low == 0 <= found.top <= high == 1


def test_single_seeds_say_so():
    found = trust(np.arange(4.0), np.full(4, 0.1), [np.array([x]) for x in (1.0, 2.0, 3.0, 4.0)], chosen=0)
    assert found.noise is None and found.rivals == list(range(4)), "without repeats nothing can be called best"


def test_too_few():
    with pytest.raises(Problem, match="at least 3"):
        trust(np.arange(2.0), np.ones(2), seeds([1.0, 2.0], 0.1), chosen=0)


# Over scale ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scaled():
    """Runs of a known law at three sizes: (weights, fidelity, losses)."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(4), 90)
    sizes = np.array([[1e6, 1e8], [4e6, 2e8], [16e6, 8e8]])
    fidelity = sizes[np.repeat([0, 1, 2], [50, 28, 12])]
    scale = (fidelity[:, 0] / 1e6) ** -0.1 * (fidelity[:, 1] / 1e8) ** -0.05
    losses = 1.5 + np.exp(-1.2 * weights[:, :2] + 0.4) * scale[:, None]
    return weights, fidelity, losses + 0.003 * rng.normal(size=losses.shape)


def test_every_way_is_judged_at_the_largest_size_which_it_has_not_seen(scaled):
    found = check(*scaled, np.array([0.5, 0.5]))
    assert found.runs == [50, 28, 12] and found.level
    assert [way.title for way in found.ways] and not found.refused
    assert found.sizes == sorted(found.sizes)
    for way in found.ways:
        assert way.rank > 0.9 and way.rank_interval[0] > 0.6
    errors = [np.median(way.relative_error) for way in found.ways]
    assert errors == sorted(errors) and errors[0] < 0.5
    assert len(found.ways) == len(WAYS)


def test_sizes_whose_numbers_rise_together_are_named_by_every_way(scaled):
    weights, fidelity, losses = scaled
    together = np.stack([fidelity[:, 0], 20 * fidelity[:, 0]], axis=1)
    for way in check(weights, together, losses, np.array([0.5, 0.5])).ways:
        assert any("grow together" in note for note in way.notes), way.title


def test_two_sizes_give_the_order_only(scaled):
    weights, fidelity, losses = (part[50:] for part in scaled)
    found = check(weights, fidelity, losses, np.array([0.5, 0.5]))
    assert not found.level and found.ways[0].rank > 0.9
    assert any("one size" in why for why in found.refused.values()), "a process over sizes wants two to begin with"


def test_one_size_and_few_runs_are_refused(scaled):
    weights, fidelity, losses = scaled
    with pytest.raises(Problem, match="all runs have one size"):
        check(weights[:50], fidelity[:50], losses[:50], np.ones(2) / 2)
    with pytest.raises(Problem, match="3 runs are at the largest"):
        check(weights[:81], fidelity[:81], losses[:81], np.ones(2) / 2)


def test_sizes_are_told_apart_by_compute():
    assert groups_of(np.array([[1e6, 1e8], [1e6, 1.01e8], [2e6, 1e8], [8e6, 1e8]])).tolist() == [0, 0, 1, 2]


def test_a_joint_law_predicts_with_doubt(scaled):
    weights, fidelity, losses = scaled
    mean, std = JointLaw.fit(weights, fidelity, losses).predict(weights[:3], fidelity[-3:])
    assert mean.shape == std.shape == (3, 2) and (std > 0).all()
