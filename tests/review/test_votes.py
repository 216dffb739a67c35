"""Pairwise votes: Bradley-Terry against its closed form, ties, sweeps, and candidates that nothing connects."""

import numpy as np
import pytest
from scipy.optimize import minimize

from engine.review.answers import by_losses
from engine.review.dossier import preferences
from engine.review.votes import PRIOR, bradley_terry, groups
from store.reviews import Candidate, Event


def test_two_candidates_have_the_odds_of_their_votes():
    """The known answer: log(a / b), with a standard error of sqrt(1 / a + 1 / b). The prior fades with the votes."""
    found = bradley_terry([[0, 6000], [4000, 0]])
    difference = found.strength[0] - found.strength[1]
    assert difference == pytest.approx(np.log(6000 / 4000), abs=1e-3)
    pair = found.covariance
    std = np.sqrt(pair[0, 0] + pair[1, 1] - 2 * pair[0, 1])
    assert std == pytest.approx(np.sqrt(1 / 6000 + 1 / 4000), rel=1e-3)
    assert found.apart(0, 1) and not bradley_terry([[0, 6], [4, 0]]).apart(0, 1)


def test_the_strengths_are_where_the_likelihood_is_highest():
    wins = np.array([[0, 5, 2, 7], [3, 0, 4, 1], [2, 2, 0, 3.5], [1, 0, 2.5, 0]])

    def loss(s):
        pairs = sum(wins[i, j] * np.log1p(np.exp(s[j] - s[i])) for i in range(4) for j in range(4))
        return pairs + PRIOR * (np.log1p(np.exp(-s)) + np.log1p(np.exp(s))).sum()

    best = minimize(loss, np.zeros(4), tol=1e-12)
    found = bradley_terry(wins)
    assert found.strength == pytest.approx(best.x - best.x.mean(), abs=1e-4)
    assert (np.diff(found.strength) < 0).all()


def test_many_votes_recover_the_strengths_behind_them():
    truth, rng = np.array([1.0, 0.3, -0.4, -0.9]), np.random.default_rng(5)
    wins = np.zeros((4, 4))
    for i in range(4):
        for j in range(i):
            won = rng.binomial(400, 1 / (1 + np.exp(truth[j] - truth[i])))
            wins[i, j], wins[j, i] = won, 400 - won
    found = bradley_terry(wins)
    assert (np.abs(found.strength - truth) < 2 * found.ci_half_width).all()
    assert found.ci_half_width.max() < 0.25


def test_a_sweep_stays_finite_and_unsure():
    few, many = bradley_terry([[0, 2], [0, 0]]), bradley_terry([[0, 200], [0, 0]])
    assert np.isfinite(few.strength).all() and not few.apart(0, 1)
    assert many.apart(0, 1) and many.strength[0] > few.strength[0]


def test_ties_say_that_two_are_level():
    found = bradley_terry([[0, 5], [5, 0]])  # ten votes for neither
    assert found.strength == pytest.approx([0, 0], abs=1e-9)
    assert found.ci_half_width[0] < bradley_terry([[0, 0.5], [0.5, 0]]).ci_half_width[0]


def test_predictions_that_are_equal_on_paper_keep_their_order():
    """0.1 + 0.2 and 0.3 differ in the last bit, and by another sum in the other direction."""
    for totals in ((0.1 + 0.2, 0.3, 1.0), (0.3, 0.1 + 0.2, 1.0)):
        found = [
            Candidate(name, "s", {"aggregate": {}, "predicted": {"aggregate": total, "aggregate_std": 0.1}}, "", 0.0)
            for name, total in zip("abc", totals, strict=True)
        ]
        assert [one["id"] for one in by_losses(found)] == ["a", "b", "c"]


def test_candidates_of_equal_votes_keep_their_order():
    votes = [("a", "b"), ("b", "c"), ("c", "a")]
    events = [
        Event(n, "s", over, "vote", f"voter {n}", {"over": under, "neither": False}, float(n))
        for n, (over, under) in enumerate(votes)
    ]
    for names in (["a", "b", "c"], ["c", "a", "b"]):
        assert [one["id"] for one in preferences(events, names)] == names


def test_what_no_vote_connects_is_not_compared():
    wins = np.zeros((5, 5))
    wins[0, 1] = wins[1, 2] = 30
    wins[3, 4] = 30
    assert groups(wins + wins.T).tolist() == [0, 0, 0, 1, 1]
    found = bradley_terry(wins)
    assert found.apart(0, 2) and found.apart(3, 4)
    assert not found.apart(0, 4), "however far their strengths are apart"
