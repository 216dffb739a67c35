"""Final values from early ones: exact where the law is a line, honest where it is noise, and as wide as misses."""

import numpy as np

from engine.analysis.finals import FEWEST, Early, predicted_finals

NOISE = 0.01


def world(seed: int, runs: int) -> tuple[Early, np.ndarray]:
    """Early losses of 3 domains and what became of them: a line in the own loss, and in the first share."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(4), runs)
    own = 2 + shares[:, :3] @ [[-0.5, 0.1, 0.0], [0.1, -0.4, 0.0], [0.0, 0.0, -0.3]] + 0.02 * rng.random((runs, 3))
    finals = 0.2 + 0.8 * own + 0.3 * shares[:, :1]
    return Early(own, np.column_stack([own, shares])), finals


def parts(early: Early, finals: np.ndarray, known: int) -> tuple[Early, np.ndarray, Early, np.ndarray]:
    one, other = (Early(early.own[rows], early.beside[rows]) for rows in (slice(known), slice(known, None)))
    return one, finals[:known], other, finals[known:]


def test_what_follows_exactly_is_predicted_exactly():
    known, finals, asked, wanted = parts(*world(0, 40), 30)
    found = predicted_finals(known, finals, asked)
    np.testing.assert_allclose(found.mean, wanted, atol=2e-3)
    assert found.half.max() < 0.02 and np.abs(found.missed).max() < 5e-3


def test_intervals_hold_what_they_say_of_runs_that_nobody_saw():
    inside, left_out = [], []
    for seed in range(40):
        early, finals = world(seed, 45)
        finals = finals + NOISE * np.random.default_rng(seed + 100).standard_normal(finals.shape)
        known, finals, asked, wanted = parts(early, finals, 25)
        found = predicted_finals(known, finals, asked)
        inside.append(np.mean(np.abs(found.mean - wanted) <= found.half))
        left_out.append(found.inside(0))
    assert 0.91 < np.mean(inside) < 0.99
    assert 0.9 < np.mean(left_out) < 1


def test_features_that_say_nothing_cost_little():
    early, finals = world(1, 60)
    rng = np.random.default_rng(0)
    own_alone = 1 + 0.5 * early.own + NOISE * rng.standard_normal(finals.shape)
    known, finals, asked, wanted = parts(Early(early.own, rng.standard_normal((60, 12))), own_alone, 30)
    missed = predicted_finals(known, finals, asked).mean - wanted
    assert np.sqrt(np.mean(missed**2)) < 1.3 * NOISE


def test_left_out_runs_are_those_of_fits_without_them():
    early, finals = world(2, 20)
    finals = finals + NOISE * np.random.default_rng(5).standard_normal(finals.shape)
    whole = predicted_finals(early, finals, early)
    rest = np.arange(20) != 3
    without = Early(early.own[rest], early.beside[rest])
    alone = predicted_finals(without, finals[rest], Early(early.own[3:4], early.beside[3:4]))
    np.testing.assert_allclose(finals[3] - alone.mean[0], whole.missed[3], atol=NOISE)


def test_a_value_that_was_not_measured_early_is_told_from_the_rest():
    early, finals = world(3, 40)
    early.own[:, 1] = np.nan
    known, finals, asked, wanted = parts(early, finals, 30)
    np.testing.assert_allclose(predicted_finals(known, finals, asked).mean, wanted, atol=0.02)


def test_too_few_runs_say_nothing():
    early, finals = world(4, 12)
    finals[FEWEST - 1 :, 0] = np.nan
    found = predicted_finals(early, finals, early)
    assert np.isnan(found.mean[:, 0]).all() and np.isnan(found.inside(0)) and np.isfinite(found.mean[:, 1]).all()
    early.own[0, 1] = np.nan
    found = predicted_finals(early, finals, early)
    assert np.isnan(found.mean[0, 1]) and np.isfinite(found.mean[1:, 1]).all()
