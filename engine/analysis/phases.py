"""Does the order in which text is read matter? Laws of order, judged against "it does not" by held-out contrasts.

A contrast is the difference between two runs of the same total shares in different orders, so that only order is in it.
Laws (LAWS of effective exposure and transport: Marin, 2026; cheap pairs at equal totals: common random numbers):

- exposure: a token of the last phase counts gamma times one of the first, so an order acts as another mixture.
- transport: theta x (what the level predicts of the early mixtures minus the late ones), of either sign.
- line: a Gaussian process on the order with a linear kernel, which is a ridge regression.

Each predicts every contrast from the others. How well these agree is tested by flipping the contrasts' signs, which
changes nothing where order does not matter: the test is exact for any noise, and holds for all laws and all metrics
together. F phases, D domains, K contrasts, C columns: a study's metrics, and their weighted mean last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from engine.core.errors import Problem
from engine.spec.phases import contrast, furthest, order_of, phases_at, random_order, total_of
from engine.spec.statistics import first_lowest

LEVEL = 0.025  # of the test: absence is called absence in 97.5 of 100 studies, of all metrics together
FLIPS = 1999
FEWEST = 6  # contrasts: with fewer even the most extreme signs could come about by chance
GAMMAS = 2.0 ** np.array([-3, -2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2, 3])
RIDGES = (1e-2, 0.1, 1.0)  # of the mean square of the features
EXPOSURE, TRANSPORT, LINE, NONE = "exposure", "transport", "line", "none"
LAWS = {EXPOSURE: "Effective exposure", TRANSPORT: "Transport", LINE: "A line in the order", NONE: "none"}
ROUNDED = 1e-9  # flips that come back to the contrasts as they are count as equal
CHUNK = 64  # flips at once

Level = Callable[[np.ndarray], np.ndarray]  # (n, D) shares -> (n, C) predicted of one mixture throughout


@dataclass(frozen=True)
class Contrasts:
    """phases, others (K, F, D): the runs of both sides, of the same totals; values (K, C): the first minus the other;
    scales (K,): what values were multiplied by, so that all have the noise of one run."""

    phases: np.ndarray
    others: np.ndarray
    values: np.ndarray
    scales: np.ndarray


@dataclass(frozen=True)
class Features:
    """What the laws make of phases (n, F, D). exposed: gamma -> (n, C) its whole prediction; moved (n, C): transport's
    prediction at theta 1; order (n, D)."""

    exposed: Callable[[float], np.ndarray]
    moved: np.ndarray
    order: np.ndarray


def features_of(phases: np.ndarray, level: Level, fractions: np.ndarray) -> Features:
    """The features of phases (n, F, D)."""
    n, stages, domains = phases.shape

    @cache
    def exposed(gamma: float) -> np.ndarray:
        weight = fractions * gamma ** np.linspace(0, 1, stages)
        here: np.ndarray = level(total_of(phases, weight / weight.sum()))
        return here - level(total_of(phases, fractions))

    values = level(phases.reshape(-1, domains)).reshape(n, stages, -1)
    moved = np.einsum("f,nfc->nc", fractions * contrast(fractions), values)
    return Features(exposed, moved, order_of(phases, fractions))


def features_of_contrasts(contrasts: Contrasts, level: Level, fractions: np.ndarray) -> Features:
    """The features of one side minus those of the other, at the contrasts' scales: (K, ...)."""
    one, other = (features_of(side, level, fractions) for side in (contrasts.phases, contrasts.others))
    scales = contrasts.scales[:, None]
    exposed = cache(lambda gamma: (one.exposed(gamma) - other.exposed(gamma)) * scales)
    return Features(exposed, (one.moved - other.moved) * scales, (one.order - other.order) * scales)


@dataclass(frozen=True)
class Order:
    """What the contrasts say. matters: whether order adds anything beyond noise in any column; chance (C,): the
    probability that a column would look so if it did not, all columns taken together; laws (C,): the best of each,
    ridges (C,): of those that are lines; gains (C,): how much of the held-out contrasts' squares it predicts, 0 or less
    for nothing; features: of the contrasts."""

    chance: np.ndarray
    laws: tuple[str, ...]
    ridges: np.ndarray
    gains: np.ndarray
    contrasts: Contrasts
    features: Features
    level: Level
    fractions: np.ndarray

    @property
    def matters(self) -> bool:
        return bool((self.chance <= LEVEL).any())

    @property
    def used(self) -> np.ndarray:
        """(C,) the columns whose law is used: those that pass the test themselves; where only the weighted mean does,
        all that are predicted at all."""
        own: np.ndarray = (self.chance <= LEVEL) & (self.gains > 0)
        return self.gains > 0 if own[-1] and not own[:-1].any() else own

    @property
    def pays(self) -> bool:
        """Whether order adds anything to the weighted mean beyond noise."""
        return bool(self.used[-1])

    def effect(self, phases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, C) mean and standard deviation of what the order of phases (n, F, D) adds, zeros where it adds nothing
        beyond noise. The deviation is the jackknife's over contrasts."""
        count, there = len(self.contrasts.values), features_of(phases, self.level, self.fractions)
        if not self.used.any():
            return (np.zeros((len(phases), len(self.laws))),) * 2
        without = np.stack([self._effect(there, np.delete(np.arange(count), k)) for k in range(count)])
        spread = np.sqrt((count - 1) / count * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
        return self._effect(there, np.arange(count)), spread

    def mean(self, phases: np.ndarray) -> np.ndarray:
        """(n, C) the mean of `effect`."""
        return self._effect(features_of(phases, self.level, self.fractions), np.arange(len(self.contrasts.values)))

    def _effect(self, there: Features, rows: np.ndarray) -> np.ndarray:
        """(n, C) by the laws fitted to some of the contrasts."""
        found, values = np.zeros((len(there.order), len(self.laws))), self.contrasts.values[rows]
        for c in np.flatnonzero(self.used):
            if self.laws[c] == EXPOSURE:
                off = [((values[:, c] - self.features.exposed(gamma)[rows, c]) ** 2).sum() for gamma in GAMMAS]
                found[:, c] = there.exposed(GAMMAS[int(first_lowest(np.array(off)))])[:, c]
                continue
            here, own = there.moved[:, [c]], self.features.moved[rows][:, [c]]
            if self.laws[c] == LINE:
                here, own = there.order, self.features.order[rows]
            found[:, c] = here @ (_inverse(own, self.ridges[c]) @ (own.T @ values[:, c]))
        return found


def order_matters(contrasts: Contrasts, level: Level, fractions: np.ndarray, seed: int = 0) -> Order:
    """What contrasts say of order. level: of one mixture throughout, by the surrogate in use.

    Raises Problem with fewer than FEWEST contrasts.
    """
    count, columns = contrasts.values.shape
    if count < FEWEST:
        raise Problem(
            f"Cannot tell whether order matters: {count} comparisons of two orders of one mixture are measured, and it "
            f"takes {FEWEST}."
        )
    features = features_of_contrasts(contrasts, level, fractions)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (FLIPS, count))
    gains, seen, ridges = np.empty(columns), np.empty(columns), np.zeros(columns)
    laws, flipped = list[str](), np.empty((FLIPS, columns))
    for c in range(columns):
        values, guesses = contrasts.values[:, c], _guesses(features, c)
        found = np.array([gain_of(values[None], guess)[0] for *_, guess in guesses])
        name, ridges[c], _ = guesses[int(first_lowest(-found))]
        gains[c], seen[c] = found.max(), max(agreement(values[None], guess)[0] for *_, guess in guesses)
        laws.append(name if gains[c] > 0 else NONE)
        for first in range(0, FLIPS, CHUNK):
            part = signs[first : first + CHUNK] * values
            flipped[first : first + CHUNK, c] = np.max([agreement(part, guess) for *_, guess in guesses], axis=0)
    chance = chance_of(seen, flipped)
    return Order(chance, tuple(laws), ridges, gains, contrasts, features, level, fractions)


# Held out ----------------------------------------------------------------------------------------------------

Guess = Callable[[np.ndarray], np.ndarray]  # (S, K) values -> (S, K) errors of predicting each from the others


def _guesses(features: Features, c: int) -> list[tuple[str, float, Guess]]:
    """(law, ridge, guess) for a column by every law and strength of a ridge."""
    exposed = np.stack([features.exposed(gamma)[:, c] for gamma in GAMMAS])
    lines = [(LINE, ridge, _held_out(features.order, ridge)) for ridge in RIDGES]
    return [(EXPOSURE, 0.0, _chosen(exposed)), (TRANSPORT, 0.0, _held_out(features.moved[:, [c]], 0.0)), *lines]


def _inverse(features: np.ndarray, ridge: float) -> np.ndarray:
    """(P, P) the inverse of features' (K, P) products, with a ridge in parts of their mean square."""
    gram = features.T @ features
    small = 1e-12 * float(np.trace(gram)) + 1e-300
    found: np.ndarray = np.linalg.pinv(gram + np.eye(len(gram)) * (ridge * np.trace(gram) / len(gram) + small))
    return found


def _held_out(features: np.ndarray, ridge: float) -> Guess:
    """Errors of a regression on features (K, P), each value left out in turn: (y - H y) / (1 - h)."""
    hat = features @ _inverse(features, ridge) @ features.T
    left = np.maximum(1e-6, 1 - np.diag(hat))
    return lambda values: (values - values @ hat) / left


def _chosen(predicted: np.ndarray) -> Guess:
    """Errors of the best of some predictions (G, K), chosen for each value by the others."""

    def errors(values: np.ndarray) -> np.ndarray:
        off = values[:, None] - predicted  # (S, G, K)
        squares = off**2
        others = squares.sum(axis=2, keepdims=True) - squares
        best: np.ndarray = np.take_along_axis(off, others.argmin(axis=1)[:, None], axis=1)[:, 0]
        return best

    return errors


def gain_of(values: np.ndarray, guess: Guess) -> np.ndarray:
    """(S,) how much of the squares of values (S, K) a guess predicts: 1 for all, 0 or less for nothing."""
    total = (values**2).sum(axis=1)
    gain: np.ndarray = np.where(total > 0, 1 - (guess(values) ** 2).sum(axis=1) / np.maximum(total, 1e-300), 0.0)
    return gain


def agreement(values: np.ndarray, guess: Guess) -> np.ndarray:
    """(S,) the correlation of the signed roots of values (S, K) and of what a guess predicts of them, about zero: one
    pair whose loss moves a hundred times as much as others' does not decide it alone."""
    predicted = values - guess(values)
    product = values * predicted
    size = np.sqrt(np.abs(values).sum(axis=1) * np.abs(predicted).sum(axis=1))
    found: np.ndarray = (np.sign(product) * np.sqrt(np.abs(product))).sum(axis=1) / np.maximum(size, 1e-300)
    return found


def chance_of(seen: np.ndarray, flipped: np.ndarray) -> np.ndarray:
    """(C,) the probability of a value as large as that seen (C,), in any column, by its flips (B, C): Westfall and
    Young's least p-value, so that a column of few large contrasts does not hide the others."""
    rising = np.sort(flipped, axis=0)

    def own(values: np.ndarray) -> np.ndarray:
        """(n, C) the part of a column's flips that are as large as values (n, C)."""
        below = [np.searchsorted(rising[:, c], values[:, c] - ROUNDED) for c in range(values.shape[1])]
        return (1 + len(rising) - np.stack(below, axis=1)) / (1 + len(rising))

    least = own(flipped).min(axis=1)  # (B,)
    chance: np.ndarray = (1 + (least[:, None] <= own(seen[None])[0] + ROUNDED).sum(axis=0)) / (1 + len(flipped))
    return chance


# The best order ----------------------------------------------------------------------------------------------

DIRECTIONS = 64


def best_order(order: Order, total: np.ndarray, seed: int = 0) -> np.ndarray:
    """(F, D) the phases of a total (D,) with the lowest predicted weighted mean, no further than pairs of runs go; the
    same mixture throughout where order adds nothing to that mean.

    The sign that each domain prefers by itself comes first, then random ones: a law need not be a line.
    """
    tied = np.repeat(total[None], len(order.fractions), axis=0)
    if not order.pays:
        return tied
    rng = np.random.default_rng(seed)
    alone = np.diag(total) - np.outer(total, total)  # one domain early, all others a little later
    preferred = -np.sign(order.mean(_as_far(order, total, alone))[:, -1])
    directions = [total * (preferred - preferred @ total), *(random_order(total, rng) for _ in range(DIRECTIONS))]
    both = np.array([sign * one for one in directions for sign in (1, -1)])
    tried = np.concatenate([tied[None], *(_as_far(order, total, both, part) for part in (1.0, 0.5))])
    best: np.ndarray = tried[int(first_lowest(order.mean(tried)[:, -1]))]
    return best


def _as_far(order: Order, total: np.ndarray, directions: np.ndarray, part: float = 1.0) -> np.ndarray:
    """(n, F, D) the phases of a total (D,) that go so far along directions (n, D), in parts of the furthest."""
    steps = np.array([part * furthest(total, one, order.fractions) for one in directions])
    moved: np.ndarray = np.maximum(0, phases_at(total, steps[:, None] * directions, order.fractions))
    return moved
