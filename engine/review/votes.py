"""Pairwise votes ("which would you train?") as strengths with intervals: the Bradley-Terry model.

P(i is preferred to j) = 1 / (1 + exp(s_j - s_i)) (Bradley and Terry 1952). Three cases need care. A vote for
neither counts half for each. A candidate that won, or lost, all of its votes has no finite estimate, so every candidate
also gets half a win and half a loss against an average one, which fades as votes come in. Candidates that no chain of
votes connects cannot be compared at all, so each connected group has strengths of its own. K candidates.
"""

from dataclasses import dataclass

import numpy as np

from engine.spec.statistics import ci_half_width

PRIOR = 0.5  # wins, and losses, of every candidate against an average one


@dataclass(frozen=True)
class Preference:
    """strength (K,): log odds against the average of its group; ci_half_width (K,): 95%; covariance (K, K) of
    the strengths; group (K,): candidates of different groups cannot be compared; wins (K, K): of row over column, a
    vote for neither half for each."""

    strength: np.ndarray
    ci_half_width: np.ndarray
    covariance: np.ndarray
    group: np.ndarray
    wins: np.ndarray

    def apart(self, one: int, other: int) -> bool:
        """Whether the votes separate these two (95%)."""
        same = self.group[one] == self.group[other]
        pair = self.covariance[np.ix_([one, other], [one, other])]
        std = np.sqrt(pair[0, 0] + pair[1, 1] - 2 * pair[0, 1])
        return bool(same and abs(self.strength[one] - self.strength[other]) > ci_half_width(std))


def bradley_terry(wins: np.ndarray) -> Preference:
    """Strengths from wins (K, K), by Newton's method; intervals from the curvature at the optimum (Laplace)."""
    wins = np.asarray(wins, float)
    group = groups(wins + wins.T)
    strength, covariance = np.zeros(len(wins)), np.zeros(wins.shape)
    for one in np.unique(group):
        rows = np.flatnonzero(group == one)
        strength[rows], covariance[np.ix_(rows, rows)] = _fit(wins[np.ix_(rows, rows)])
    return Preference(strength, ci_half_width(np.sqrt(covariance.diagonal())), covariance, group, wins)


def _fit(wins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strengths (k,) that sum to 0, and their covariance (k, k). Concave, so Newton's method converges."""
    strength, games = np.zeros(len(wins)), wins + wins.T
    for _ in range(100):
        slope, curvature = _slope(strength, wins, games)
        step = np.linalg.solve(curvature, slope)
        strength += step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-10:
            break
    centred = np.eye(len(wins)) - 1 / len(wins)  # votes do not determine a common offset
    return centred @ strength, centred @ np.linalg.inv(_slope(strength, wins, games)[1]) @ centred


def _slope(strength: np.ndarray, wins: np.ndarray, games: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (k,) of the log-likelihood with the prior, and its negative Hessian (k, k)."""
    chance = 1 / (1 + np.exp(strength[None] - strength[:, None]))  # (k, k) that the row is preferred to the column
    average = 1 / (1 + np.exp(-strength))
    slope = (wins - games * chance).sum(axis=1) + PRIOR - 2 * PRIOR * average
    weight = games * chance * (1 - chance)
    curvature = np.diag(weight.sum(axis=1) + 2 * PRIOR * average * (1 - average)) - weight
    return slope, curvature


def groups(games: np.ndarray) -> np.ndarray:
    """(K,) the connected group of each candidate, by the votes between them (K, K): numbered from 0."""
    group = np.full(len(games), -1)
    for first in range(len(games)):
        if group[first] >= 0:
            continue
        number, open_ = group.max() + 1, [first]
        while open_:
            at = open_.pop()
            if group[at] < 0:
                group[at] = number
                open_ += np.flatnonzero((games[at] > 0) & (group < 0)).tolist()
    return group
