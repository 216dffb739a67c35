"""What many runs bought: the interval of a difference between runs of one seed, and what is made of it."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from engine.spec.rivals import RIVALS
from engine.studies.bought import BOUGHT, LOST, NOTHING, UNKNOWN, Bought, half_widths, method_of


def test_the_interval_of_one_rival_is_students():
    gap = np.array([-0.3, -0.1, -0.2, -0.25])
    (half,) = half_widths([gap])
    low, high = ttest_1samp(gap, 0).confidence_interval(0.95)
    assert (gap.mean() - half, gap.mean() + half) == pytest.approx((low, high))


def test_the_spread_is_pooled_and_one_seed_tells_nothing():
    assert half_widths([np.array([0.1]), np.array([0.2])]) == [None, None]
    rng = np.random.default_rng(0)
    gaps = [rng.normal(shift, 0.1, 3) for shift in (0, 5, -3)]
    halves = half_widths([*gaps, np.array([0.4])])
    assert halves[0] == pytest.approx(halves[2]) and halves[3] == pytest.approx(halves[0] * 3**0.5)
    covered = [
        abs(one.mean()) <= half_widths([one, *rng.normal(7, 1, (3, 3))])[0] for one in rng.normal(0, 1, (400, 3))
    ]
    assert 0.91 < np.mean(covered) < 0.985


@pytest.mark.parametrize(
    ("gap", "half", "verdict"), [(-1, 0.5, BOUGHT), (1, 0.5, LOST), (-1, 2, NOTHING), (1, None, UNKNOWN)]
)
def test_nothing_is_bought_within_noise(gap, half, verdict):
    assert Bought("MixMin", gap, half, 3, 1.0, 70).verdict == verdict


def test_a_label_tells_its_method():
    for name, rival in RIVALS.items():
        assert method_of(rival.title) == method_of(f"{rival.title} (2)") == name
    assert method_of("best predicted") is None
