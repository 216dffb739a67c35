"""Which sizes to buy further runs at: what a run of each would tell of a choice at the target, by what it costs.

The choice is between two mixtures at the target's size, so what counts is the variance of their difference. A run of
any size tells what its mixture is worth, through that size's line and noise; a run near the target also tells how steep
the line is there. A budget is spent in parts, each on the size that lowers that variance most per FLOP (6 N T per run:
Kaplan et al., 2020). M metrics, P points: the two mixtures, then candidates; D domains, S sizes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from engine.analysis.size_notes import at_size
from engine.analysis.sizes import Sizes
from engine.core.errors import Problem
from engine.spec.sizes import Size
from engine.spec.statistics import first_lowest, lowest_key, ordered, weighted_sum

PARTS = 16  # of the budget
MOST = 64  # runs of one part
MOST_RUNS = 512  # of a plan: nobody trains more before looking again
KEPT = 3  # sizes beside the cheapest and the target
FLOPS = 6  # of a weight and a token, in training
LINE = ("slope", "noise", "level_var", "slope_var")  # of a size, in the order of its line


@dataclass(frozen=True)
class Buy:
    """Runs at a size: mixtures (B, D), in the order in which they tell most."""

    size: Size
    mixtures: np.ndarray

    @property
    def flops(self) -> float:
        return len(self.mixtures) * cost(self.size)


@dataclass(frozen=True)
class Plan:
    """buys: those that tell most for the budget; gap: how much lower the first mixture's aggregate is predicted than
    the second's at the target; before, after: standard deviations of that, now and expected after the runs; alone: the
    same where the budget buys runs of one size only, MOST_RUNS at most; unpriced: sizes that do not tell both
    parameters and tokens."""

    buys: tuple[Buy, ...]
    gap: float
    before: float
    after: float
    alone: tuple[tuple[Buy, float], ...]
    unpriced: tuple[Size, ...]


@dataclass(frozen=True)
class Known:
    """What is known after some runs. covariance (M, P, P): of what the points are worth; level_var, slope_var (S, M) of
    the options' lines; slope_precision (M,): what runs at the target tell of its slope, if it is no
    size yet."""

    covariance: np.ndarray
    level_var: np.ndarray
    slope_var: np.ndarray
    slope_precision: np.ndarray


def plan(
    sizes: Sizes,
    target: tuple[float, float],
    pair: np.ndarray,
    candidates: np.ndarray,
    metric_weights: np.ndarray,
    flops: float,
) -> Plan:
    """How to spend `flops` on the choice between two mixtures, pair (2, D), at the target (parameters, tokens).

    candidates (C, D): mixtures that runs may be of. Raises Problem where no run can be bought for it.
    """
    asked = _Asked(sizes, target, np.concatenate([pair, candidates]), metric_weights)
    affordable = [k for k, size in enumerate(asked.options) if cost(size) <= flops]
    if not affordable:
        cheapest = lowest_key({one: cost(one) for one in asked.options}) if asked.options else None
        least = "" if cheapest is None else f" One run of the cheapest, {cheapest}, takes {cost(cheapest):.2g}."
        raise Problem(f"Cannot buy a run for {flops:.2g} FLOPs.{least}")
    before = asked.deviation(asked.now)
    affordable = asked.promising(flops, affordable)
    alone = [(one, std) for k in affordable for (one,), std in [asked.spend(flops, [k])]]
    offers = [asked.spend(flops, affordable), *(((one,), std) for one, std in alone)]
    # Going part by part may miss what one size alone does better.
    best = lowest_key({k: std for k, (_, std) in enumerate(offers)})
    buys, after = offers[best]
    first, second = weighted_sum(sizes.at(*target).mean(pair), metric_weights)
    return Plan(buys, float(second - first), before, after, tuple(alone), asked.unpriced)


def cost(size: Size) -> float:
    """FLOPs of a run."""
    assert size.parameters is not None and size.tokens is not None  # only such sizes are options
    return FLOPS * size.parameters * size.tokens


class _Asked:
    """A question: the options, their lines, and how far each point (P, D) is from the middle in what it is worth."""

    def __init__(self, sizes: Sizes, target: tuple[float, float], points: np.ndarray, metric_weights: np.ndarray):
        self.sizes, self.points, self.metric_weights = sizes, points, metric_weights
        self.target = target
        there = sizes.at(*target)
        self.off = (sizes.process.mean(points) - sizes.centre).T  # (M, P)
        priced = [one.parameters is not None and one.tokens is not None for one in sizes.sizes]
        placed = np.isfinite(sizes.lines.slope).all(axis=1)
        self.own = [k for k in range(len(sizes.sizes)) if priced[k] and placed[k]]
        self.unpriced = tuple(one for one, known in zip(sizes.sizes, priced, strict=True) if not known)
        self.options = [sizes.sizes[k] for k in self.own]
        lines = [[getattr(sizes.lines, name)[k] for k in self.own] for name in LINE]
        places = np.array([one.place for one in self.options], float).reshape(-1, 2)
        same = np.flatnonzero(at_size(places, np.array(target, float)))
        self.new = not len(same)
        self.there = len(self.options) if self.new else int(same[0])  # the option that is the target itself
        if self.new:  # what is expected of it is where its runs begin
            self.options.append(Size(*target, 0))
            for values, name in zip(lines, LINE, strict=True):
                values.append(getattr(there, name))
        self.steep = there.slope
        self.slope, self.noise, level_var, slope_var = (np.array(values) for values in lines)
        self.now = Known(sizes.process.covariance(points), level_var, slope_var, np.zeros(len(self.off)))

    def deviation(self, known: Known) -> float:
        """Standard deviation of the aggregate's difference between the first two points, at the target."""
        lines = self.sizes.lines
        slope_var = lines.slope_var.copy()
        slope_var[self.own] = known.slope_var[: len(self.own)]
        there = replace(self.sizes, lines=replace(lines, slope_var=slope_var)).at(*self.target)
        steep = 1 / (1 / np.maximum(there.slope_var, 1e-300) + known.slope_precision)
        one, two = known.covariance[:, 0], known.covariance[:, 1]
        apart = one[:, 0] + two[:, 1] - 2 * one[:, 1]
        variance = there.slope**2 * apart + steep * (self.off[:, 0] - self.off[:, 1]) ** 2
        std = there.scale * np.sqrt(np.maximum(variance, 0)) * self.metric_weights
        return float(np.sqrt(std @ there.correlation @ std))

    def bought(self, known: Known, k: int, count: int) -> tuple[Known, list[int]]:
        """What is known after some runs of an option, each at the candidate that tells most; and at which points."""
        covariance, level_var, slope_var = known.covariance, known.level_var.copy(), known.slope_var.copy()
        slope_precision, chosen = known.slope_precision.copy(), []
        for _ in range(count):
            error = (self.noise[k] + level_var[k])[:, None] + slope_var[k][:, None] * self.off**2
            total = np.einsum("mpp->mp", covariance) + error / self.slope[k][:, None] ** 2
            seen = self.noise[k][:, None] + self.slope[k][:, None] ** 2 * np.einsum("mpp->mp", covariance)
            fall = self._fall(covariance, total, slope_var[k], seen if k == self.there else None)
            c = 2 + int(first_lowest(-fall[2:]))
            precision = self.off[:, c] ** 2 / seen[:, c]
            if self.new and k == self.there:
                slope_precision += precision
            level_var[k] = 1 / (1 / level_var[k] + 1 / seen[:, c])
            slope_var[k] = 1 / (1 / slope_var[k] + precision)
            column = covariance[:, :, c]
            covariance = covariance - column[:, :, None] * column[:, None, :] / total[:, c, None, None]
            chosen.append(c)
        return Known(covariance, level_var, slope_var, slope_precision), chosen

    def _fall(
        self, covariance: np.ndarray, total: np.ndarray, slope_var: np.ndarray, seen: np.ndarray | None
    ) -> np.ndarray:
        """(P,) by how much a run at each point lowers the variance that is asked about. total (M, P): variance of what
        it would say of its point's worth; seen (M, P): of its loss, where it tells of the target's own slope."""
        weight = covariance[:, 0] - covariance[:, 1]
        fall = self.steep[:, None] ** 2 * weight**2 / total
        if seen is not None:
            now = slope_var[:, None]
            fall = fall + (now - 1 / (1 / now + self.off**2 / seen)) * (self.off[:, :1] - self.off[:, 1:2]) ** 2
        found: np.ndarray = self.metric_weights**2 @ fall
        return found

    def _offers(self, known: Known, part: float, options: list[int]) -> list[tuple[float, int, Known, list[int]]]:
        """Of each option: how much runs for a part of the budget lower the variance per FLOP, the option, what is
        known after them, and their points. One option alone is not weighed."""
        offers, variance = [], self.deviation(known) ** 2 if len(options) > 1 else 0.0
        for k in options:
            count = min(MOST, max(1, int(part / cost(self.options[k]))))
            after, points = self.bought(known, k, count)
            fall = variance - self.deviation(after) ** 2 if len(options) > 1 else 0.0
            offers.append((fall / (count * cost(self.options[k])), k, after, points))
        return offers

    def promising(self, flops: float, options: list[int]) -> list[int]:
        """The options that a plan is made of: the target, the cheapest, and those that begin best."""
        cheapest = lowest_key({k: cost(self.options[k]) for k in options})
        offers = self._offers(self.now, flops / PARTS, options)
        best = ordered(-np.array([fall for fall, *_ in offers]))[:KEPT]
        kept = {cheapest, *(offers[place][1] for place in best)} | ({self.there} & set(options))
        return sorted(kept)

    def spend(self, flops: float, options: Iterable[int]) -> tuple[tuple[Buy, ...], float]:
        """The runs that a budget buys of some options, and the standard deviation after them."""
        known, left, options = self.now, flops, list(options)
        chosen: dict[int, list[int]] = {k: [] for k in options}
        while options := [k for k in options if cost(self.options[k]) <= left]:
            if sum(map(len, chosen.values())) >= MOST_RUNS:
                break
            offers = self._offers(known, min(flops / PARTS, left), options)
            _, k, known, points = offers[lowest_key({place: -fall for place, (fall, *_) in enumerate(offers)})]
            chosen[k] += points
            left -= len(points) * cost(self.options[k])
        buys = [Buy(self.options[k], self.points[points]) for k, points in chosen.items() if points]
        return tuple(sorted(buys, key=lambda one: -one.flops)), self.deviation(known)
