"""How a search over merge coefficients chooses what to measure next: one function per strategy, one table.

A strategy is a pure function (history, question) -> points (n, D), so a paused or killed search resumes from its
measurements. A batch is built and measured together. D coordinates, M metrics.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.search.acquisition import INCUMBENTS, improvement
from engine.search.limits import LEAST, Limits
from engine.space.box import Box
from engine.spec.statistics import lowest, ordered, weighted_sum
from engine.surrogates import SURROGATES
from engine.surrogates.base import Surrogate
from engine.surrogates.on_box import OnBox

POOL = 4096  # points that compete in a round
SIGMA = 0.25  # of CMA-ES at its start, in ranges of a coordinate
LATEST = 512  # most measured points that a round is fitted to: those nearest to the best
FEW = 64  # points that compete at least where there are limits


@dataclass(frozen=True)
class History:
    """The measurements: points (R, D) and losses (R, M). own: how many of the last rows this search measured; errors
    (R, M): standard errors of the losses, asked for only where there are limits."""

    points: np.ndarray
    losses: np.ndarray
    own: int
    errors: np.ndarray | None = None

    @property
    def known_errors(self) -> np.ndarray:
        """(R, M); 0 where they are not known."""
        return np.zeros_like(self.losses) if self.errors is None else np.nan_to_num(self.errors)

    def mine(self) -> tuple[np.ndarray, np.ndarray]:
        """Points and losses that this search has measured."""
        start = len(self.points) - self.own
        return self.points[start:], self.losses[start:]


@dataclass(frozen=True)
class Question:
    """The problem: the box, the centre (D,) that it starts from, signed weights of the metrics (M,), the budget in
    evaluations, how many are measured at once, the surrogate of guided rounds, and the seed.

    spread: every round draws new random weights of the metrics (ParEGO: Knowles 2006), for a front instead of one best;
    limits: what merges are to keep, None without any.
    """

    box: Box
    centre: np.ndarray
    metric_weights: np.ndarray
    evaluations: int
    batch_size: int
    surrogate: str = "gp"
    seed: int = 0
    spread: bool = False
    limits: Limits | None = None

    def scores(self, history: History, metric_weights: np.ndarray | None = None) -> np.ndarray:
        """(R,) what measurements are ranked by, the lowest first: their aggregates, behind all that keep the limits
        those that do not. metric_weights (M,): by default the question's."""
        total = weighted_sum(history.losses, self.metric_weights if metric_weights is None else metric_weights)
        if self.limits is None or not len(total):
            return total
        return self.limits.order(total, history.losses, history.known_errors)

    def rng(self, history: History) -> np.random.Generator:
        """The generator for the seed and the search's progress."""
        return np.random.default_rng([self.seed, history.own])


def guided(history: History, question: Question) -> np.ndarray:
    """Rounds guided by a surrogate: a Sobol start, then noisy expected improvement in batches."""
    if len(history.points) < 2 * len(question.centre) + 4:
        return sobol(history, question)
    rng, box = question.rng(history), question.box
    metric_weights = question.metric_weights
    if question.spread:
        counted = np.flatnonzero(metric_weights)
        weights = rng.dirichlet(np.ones(len(counted)))
        metric_weights = np.zeros_like(metric_weights)
        metric_weights[counted] = weights * np.sign(question.metric_weights[counted])
    order = ordered(question.scores(history, metric_weights))
    best = history.points[order]
    if len(best) > LATEST:
        near = lowest(np.abs(history.points - best[0]).sum(axis=1), LATEST)
        history = History(history.points[near], history.losses[near], 0, history.known_errors[near])
    member = SURROGATES[question.surrogate].fit(box.features(history.points), history.losses, question.seed)
    surrogate = OnBox.around(member, box)
    pool = np.concatenate([box.draw(best[0], POOL // 2, rng), box.draw(question.centre, POOL // 2, rng)])
    runs = history.points
    if question.limits is not None:
        pool, runs = allowed(question.limits, surrogate, pool, history), kept_or_near(question.limits, history, best)
    return improvement(surrogate, box, metric_weights, pool, runs, question.batch_size, question.seed).points


def allowed(limits: Limits, surrogate: Surrogate, pool: np.ndarray, history: History) -> np.ndarray:
    """The points of a pool (N, D) that would keep the limits if they measured what is predicted, with the usual errors;
    where few do, those that come nearest."""
    usual = np.maximum(np.median(history.known_errors, axis=0), LEAST)
    excess = limits.beyond(surrogate.mean(pool), usual)
    found: np.ndarray = pool[lowest(excess, max(FEW, int((excess <= 0).sum())))]
    return found


def kept_or_near(limits: Limits, history: History, best: np.ndarray) -> np.ndarray:
    """The measured points that a new one is to be better than: those that keep the limits, if any do."""
    kept = limits.kept(history.losses, history.known_errors)
    return history.points[kept] if kept.any() else best[:INCUMBENTS]


def sobol(history: History, question: Question) -> np.ndarray:
    """Scrambled Sobol points, in their order."""
    from scipy.stats import qmc

    sampler = qmc.Sobol(len(question.centre), rng=question.seed)
    if history.own:
        sampler.fast_forward(history.own)
    box = question.box
    points: np.ndarray = box.lower + sampler.random(question.batch_size) * (box.upper - box.lower)
    return points


def cma(history: History, question: Question) -> np.ndarray:
    """CMA-ES (Hansen 2016) by the package cmaes. Its state is replayed from its measurements, generation by
    generation."""
    from cmaes import CMA

    width = question.box.upper - question.box.lower
    unit = (question.box.project(question.centre[None])[0] - question.box.lower) / width
    size = max(question.batch_size, 4)
    bounds = np.tile([0.0, 1.0], (len(width), 1))
    found = CMA(mean=unit, sigma=SIGMA, bounds=bounds, seed=question.seed, population_size=size)
    points = history.mine()[0]
    scores = question.scores(history)[len(history.points) - history.own :]
    for start in range(0, len(points) - size + 1, size):
        asked = [found.ask() for _ in range(size)]
        found.tell(list(zip(asked, scores[start : start + size].tolist(), strict=True)))
    batch: np.ndarray = np.array([found.ask() for _ in range(size)])
    done = len(points) % size  # of a generation that was cut off: the same draws come again
    proposed: np.ndarray = question.box.lower + batch[done:] * width
    return proposed


def at_random(history: History, question: Question) -> np.ndarray:
    """Uniform points: the baseline of every strategy."""
    return question.box.sample(question.batch_size, question.rng(history))


def grid(history: History, question: Question) -> np.ndarray:
    """A full grid with as many steps per coordinate as the budget allows (2 at least), in a fixed random order."""
    size = len(question.centre)
    steps = max(2, int(question.evaluations ** (1 / size) + 1e-9))
    if size * np.log2(steps) > 40:
        raise Problem(
            f"Cannot search {size} coordinates on a grid: two steps each are {2.0**size:.3g} points. Choose cma."
        )
    total = steps**size
    order = np.random.default_rng(question.seed)
    places = order.permutation(total) if total <= 1 << 20 else order.integers(total, size=question.evaluations)
    chosen = places[history.own : history.own + question.batch_size]
    digits = np.stack([chosen // steps**k % steps for k in range(size)], axis=1) / (steps - 1)
    points: np.ndarray = question.box.lower + digits * (question.box.upper - question.box.lower)
    return points


STRATEGIES: dict[str, Callable[[History, Question], np.ndarray]] = {
    "guided": guided,
    "cma": cma,
    "sobol": sobol,
    "random": at_random,
    "grid": grid,
}
TITLES = {
    "guided": "Guided by a surrogate",
    "cma": "CMA-ES",
    "sobol": "Sobol: space-filling",
    "random": "Random",
    "grid": "Grid",
}
