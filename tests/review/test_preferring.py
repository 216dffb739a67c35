"""Preference learning: votes drawn from a known utility give it back, with probabilities that hold."""

import numpy as np
import pytest
from scipy.special import ndtr

from engine.review import preferring
from engine.review.preferring import features_of, taste


def voted(utility: np.ndarray, pairs, rng, each: int = 1) -> np.ndarray:
    """Wins (N, N) of votes on pairs, drawn from a utility in probits."""
    wins = np.zeros((len(utility), len(utility)))
    for one, other in pairs:
        won = rng.binomial(each, ndtr(utility[one] - utility[other]))
        wins[one, other] += won
        wins[other, one] += each - won
    return wins


def every_pair(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(i)]


def test_votes_from_a_known_utility_rank_as_it_does():
    """A utility with its peak inside the simplex; also at points that nobody voted on."""
    rng = np.random.default_rng(3)
    points = rng.dirichlet(np.ones(3), 24)
    truth = -12 * ((points - [0.5, 0.3, 0.2]) ** 2).sum(axis=1)
    asked = [(i, j) for i, j in every_pair(24) if max(i, j) < 16]
    found = taste(features_of(points, True), voted(truth, asked, rng, each=4))

    def ranks(values):
        return values.argsort().argsort()

    assert np.corrcoef(ranks(found.mean[:16]), ranks(truth[:16]))[0, 1] > 0.9
    assert np.corrcoef(ranks(found.mean[16:]), ranks(truth[16:]))[0, 1] > 0.7, "points without votes"
    inside = np.abs(found.mean - (truth - truth.mean())) < 2.5 * found.std
    assert inside.mean() > 0.85
    assert found.std[16:].mean() > found.std[:16].mean()


def test_its_probabilities_are_calibrated():
    """Of 100 small worlds with a utility drawn from the prior: what is above with probability p is so in a share p."""
    rng = np.random.default_rng(11)
    said, true = [], []
    for _ in range(100):
        points = rng.dirichlet(np.ones(4), 8)
        features = features_of(points, True)
        length = np.exp(rng.normal(np.log(preferring.MEDIAN[0]), preferring.SPREAD[0]))
        size = np.exp(rng.normal(np.log(preferring.MEDIAN[1]), preferring.SPREAD[1]))
        distances = [preferring._squares(z) for z in features]
        kernel = sum(preferring.GP.correlate(5 * d / length**2) for d in distances) / len(distances)
        truth = size * np.linalg.cholesky(kernel + 1e-9 * np.eye(8)) @ rng.standard_normal(8)
        pairs = [every_pair(8)[k] for k in rng.choice(28, 12, replace=False)]
        found = taste(features, voted(truth, pairs, rng))
        for one, other in every_pair(8):
            said.append(found.above(one, other))
            true.append(truth[one] > truth[other])
    said, true = np.array(said), np.array(true)
    said, true = np.maximum(said, 1 - said), np.where(said > 0.5, true, ~true)
    for low, high in ((0.5, 0.6), (0.6, 0.75), (0.75, 0.9), (0.9, 1.0)):
        here = (said >= low) & (said <= high)
        print(f"said {said[here].mean():.3f}, true {true[here].mean():.3f}, pairs {here.sum()}")
        assert here.sum() > 30 and abs(said[here].mean() - true[here].mean()) < 0.06


def test_two_points_have_the_probit_of_their_votes():
    """The known answer with many votes: f_one - f_other = Phi^-1(share)."""
    found = taste(features_of(np.array([[0.9, 0.1], [0.1, 0.9]]), True), np.array([[0, 7000], [3000, 0]]))
    assert found.mean[0] - found.mean[1] == pytest.approx(0.5244, abs=0.02)
    assert found.above(0, 1) > 0.999 and found.chosen(0, 1) == pytest.approx(0.7, abs=0.01)


def test_nothing_is_preferred_within_noise():
    points = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    wins = np.zeros((3, 3))
    wins[0, 1] = 1
    one_vote = taste(features_of(points, True), wins)
    assert one_vote.mean[0] > one_vote.mean[1] and one_vote.tied(0) == [1, 2]
    tied = taste(features_of(points, True), np.full((3, 3), 5.0) - 5 * np.eye(3))
    assert np.abs(tied.mean).max() < 1e-6 and tied.tied(0) == [1, 2]
    wins[0, 1] = wins[0, 2] = 12
    assert taste(features_of(points, True), wins).tied(0) == []


def test_chances_of_being_the_best_sum_to_one():
    rng = np.random.default_rng(2)
    points = rng.dirichlet(np.ones(3), 6)
    found = taste(features_of(points, True), voted(np.arange(6) / 2, every_pair(6), rng, each=2))
    chance = found.best()
    assert chance.sum() == pytest.approx(1) and chance.argmax() == found.mean.argmax()
    assert (found.best() == chance).all(), "the same votes tell the same"


def test_no_votes_tell_nothing_and_equal_points_are_level():
    points = np.array([[0.5, 0.5], [0.5, 0.5], [0.9, 0.1]])
    empty = taste(features_of(points, True), np.zeros((3, 3)))
    assert np.allclose(empty.mean, 0) and empty.tied(2) == [0, 1]
    wins = np.zeros((3, 3))
    wins[0, 2] = 8
    found = taste(features_of(points, True), wins)
    assert found.mean[0] == pytest.approx(found.mean[1], abs=0.02), "the same mixture under two names"
    merges = taste(features_of(np.array([[0.2, 1.5], [-0.4, 0.3]]), False), wins[[0, 2]][:, [0, 2]])
    assert merges.mean[0] > merges.mean[1]
