"""The power of a confirmation: against simulated runs, against a table, and where nothing can be claimed."""

import numpy as np
import pytest
import scipy  # its parts are imported where they are used: statistics take half a second

from engine.analysis.power import claim, detectable, mixtures_needed, noise_at_most, power, seeds_needed


def test_power_is_the_share_of_simulated_confirmations_that_find_it():
    rng, found, gap, seeds, mixtures = np.random.default_rng(0), 0, 1.5, 4, 3
    draws = rng.standard_normal((20_000, mixtures, seeds))
    draws[:, 0] += gap
    noise = np.sqrt(draws.var(axis=2, ddof=1).mean(axis=1))
    apart = np.abs(draws[:, 0].mean(axis=1) - draws[:, 1].mean(axis=1))
    found = (apart > scipy.stats.t.ppf(0.975, mixtures * (seeds - 1)) * noise * np.sqrt(2 / seeds)).mean()
    assert power(gap, 1.0, seeds, mixtures) == pytest.approx(found, abs=0.012)


@pytest.mark.parametrize(("gap", "seeds"), [(1.0, 17), (0.8, 26), (0.5, 64), (0.2, 394)])
def test_seeds_as_in_tables_of_power(gap, seeds):
    """Cohen 1988: two groups, two-sided 5%, power 80%."""
    assert seeds_needed(gap, 1.0) == seeds
    assert seeds_needed(10 * gap, 10.0) == seeds and seeds_needed(-gap, 1.0) == seeds


def test_more_mixtures_measure_the_noise_better():
    needed = [seeds_needed(3.0, 1.0, mixtures) for mixtures in (2, 5, 20)]
    assert needed == sorted(needed, reverse=True) and needed[0] > needed[-1]
    least = mixtures_needed(3.2, 1.0, 2)
    assert power(3.2, 1.0, 2, least) >= 0.8 > power(3.2, 1.0, 2, least - 1)
    assert mixtures_needed(1.0, 1.0, 2) is None, "two seeds never tell so little, however many mixtures there are"


def test_one_seed_claims_nothing():
    one = claim("natural", -5.0, 1.0, 3, seeds=1, mixtures=9)
    assert (one.power, one.detectable, one.mixtures) == (0, None, None)
    assert one.seeds == 2 and one.seeds_at_most >= one.seeds


def test_what_is_detectable_has_the_power_and_no_gap_is_out_of_reach():
    least = detectable(0.3, 3, 4)
    assert power(least, 0.3, 3, 4) == pytest.approx(0.8, abs=1e-6)
    assert seeds_needed(0.0, 0.3) is None and seeds_needed(1e9, 0.3) == 2
    assert noise_at_most(0.3, 3) > noise_at_most(0.3, 30) > 0.3
