"""Links of scores to losses, on worlds whose link is known, and where there is none."""

import numpy as np
import pytest

from engine.analysis.links import link
from engine.core.errors import Problem

ITEMS, CHANCE = 300, 0.25


def true_score(losses: np.ndarray) -> np.ndarray:
    return CHANCE + 0.7 / (1 + np.exp(-6 * (1.4 - losses)))


def world(seed: int, runs: int = 40, flat: float | None = None, wide: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Losses of runs, and scores of so many items; wide: of the runs' own noise, in scores."""
    rng = np.random.default_rng(seed)
    losses = rng.uniform(1.0, 2.0, runs)
    expected = true_score(losses) if flat is None else np.full(runs, flat)
    expected = np.clip(expected + wide * rng.standard_normal(runs), 0.01, 0.99)
    return losses, rng.binomial(ITEMS, expected) / ITEMS


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held, ceilings = [], []
    for seed in range(40):
        found = link(*world(seed), ITEMS, CHANCE)
        truth = true_score(found.losses)
        held.append(((found.low <= truth) & (truth <= found.high)).mean())
        ceilings.append(found.ceiling[1] - 1e-9 <= CHANCE + 0.7 <= found.ceiling[2] + 1e-9)
        assert found.linked and found.runs == 40
        assert np.all(np.diff(found.mean) <= 1e-12), "a lower loss is never a lower score"
    assert 0.88 <= np.mean(held) <= 1.0 and 0.88 <= np.mean(ceilings) <= 1.0


def test_a_ceiling_that_no_run_is_near_is_left_open():
    rng = np.random.default_rng(1)
    losses = rng.uniform(1.6, 2.2, 40)
    found = link(losses, rng.binomial(ITEMS, true_score(losses)) / ITEMS, ITEMS, CHANCE)
    assert found.ceiling[2] - found.ceiling[1] > 0.25


@pytest.mark.parametrize("level", [CHANCE, 0.26, 0.3, 0.6])
def test_where_there_is_no_link_none_is_claimed(level):
    """Also where every run guesses, which a link says as well: its steep part is out of sight."""
    assert sum(link(*world(seed, flat=level), ITEMS, CHANCE).linked for seed in range(40)) <= 2


def test_runs_that_scatter_beyond_their_items_widen_the_interval():
    narrow, wide = (link(*world(3, wide=noise), ITEMS, CHANCE) for noise in (0.0, 0.08))
    assert narrow.spread < 1.4 < wide.spread
    assert (wide.high - wide.low).mean() > 1.5 * (narrow.high - narrow.low).mean()


def test_more_items_and_runs_narrow_it_and_it_stays_an_interval():
    rng = np.random.default_rng(0)
    losses = rng.uniform(1.0, 2.0, 400)
    found = link(losses, rng.binomial(5000, true_score(losses)) / 5000, 5000, CHANCE)
    widths = found.high - found.low
    assert 0 < widths.max() < 0.02 and np.abs(found.mean - true_score(found.losses)).max() < 0.02


def test_few_runs_are_refused_and_missing_values_left_out():
    losses, scores = world(0, 12)
    with pytest.raises(Problem, match="from 11 runs: 12 whose losses differ are the fewest"):
        link(np.where(np.arange(12) == 3, np.nan, losses), scores, ITEMS, CHANCE)
    for same in (1.0, 0.4):  # the mean of equal numbers may differ from them in its last bit
        with pytest.raises(Problem, match="whose losses differ"):
            link(np.full(12, same), scores, ITEMS, CHANCE)
    assert link(losses, scores, ITEMS, CHANCE).runs == 12
