"""The row of an unseen metric or domain from few runs, and unseen combinations of domains: how well each is predicted,
judged by leaving out what is known.

A new metric is taken as a combination of the known ones and of the logarithms of the shares, fitted on the few runs
that measured it (ridge, its penalty by generalised cross-validation), so its effects are the same combination of
theirs. How much the known metrics may explain is what predicts left-out rows best: losses of domains, each of which
hangs most on its own domain, span little of each other; scores of skills span much. A new domain is taken as a
combination of the known ones over the metrics, weighed by how sure the few runs are of each. Both are low-rank: what
the known rows do not span is left out, and the judgement says how much that is. R runs, D domains, M metrics, n few
runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from engine.core.errors import Problem
from engine.spec.statistics import Z95, first_lowest, ordered, spearman
from engine.surrogates.base import Surrogate

FEWEST_KNOWN = 3  # rows that a new one is a combination of
PENALTIES = np.geomspace(1e-5, 10, 31)  # of a ridge, on columns whose variances sum to one, per run
PARTS = (0.0, 0.05, 0.2, 0.5, 0.8, 1.0)  # that known metrics may explain, beside the shares themselves
SURE, RESAMPLES = 0.95, 1000
FLOOR = 0.01  # share below which the logarithm of one falls no further


@dataclass(frozen=True)
class Row:
    """effect (K,): predicted of a new metric on K domains, or of a new domain on K metrics; std (K,)."""

    effect: np.ndarray
    std: np.ndarray


def logs(weights: np.ndarray) -> np.ndarray:
    """The logarithms of shares, which fall no further below FLOOR."""
    found: np.ndarray = np.log(weights + FLOOR)
    return found


@dataclass(frozen=True)
class Shares:
    """logs (n, D): of the shares of runs; changes (K, D): of these between a mixture and those without each domain."""

    logs: np.ndarray
    changes: np.ndarray

    @classmethod
    def of(cls, weights: np.ndarray, at: np.ndarray, ends: np.ndarray) -> "Shares":
        """Of runs at weights (n, D), a mixture (D,) and those without each of K domains (K, D)."""
        return cls(logs(weights), logs(at) - logs(ends))

    def take(self, rows: np.ndarray) -> "Shares":
        """Only some of the runs."""
        return Shares(self.logs[rows], self.changes)


def metric_row(few: np.ndarray, known: np.ndarray, effects: np.ndarray, shares: Shares, part: float) -> Row:
    """The row of a new metric from its values at few runs (n,), the known metrics there (n, M), their effects (K, M).

    shares: of those runs; part: of what the two explain, what known metrics may explain, from 0 (the shares alone) to
    1. Raises Problem for fewer than 3 known metrics, or 4 runs.
    """
    if known.shape[1] < FEWEST_KNOWN or len(few) < 4:
        raise Problem(
            f"Cannot predict what domains do to a new metric from {len(few)} runs and {known.shape[1]} other metrics: "
            f"4 runs and {FEWEST_KNOWN} metrics are the fewest."
        )
    return _ridge([known, shares.logs], few, [effects, shares.changes], [part, 1 - part])


def domain_row(few: np.ndarray, std: np.ndarray, effects: np.ndarray) -> Row:
    """The row of a new domain from noisy estimates of its effects (M,) with standard deviations (M,), and the rows of
    known domains (D, M): the estimates, drawn towards combinations of those.

    Raises Problem for fewer than 3 known domains or metrics.
    """
    if len(effects) < FEWEST_KNOWN or len(few) < FEWEST_KNOWN:
        raise Problem(
            f"Cannot predict what a new domain does from {len(effects)} domains and {len(few)} metrics: "
            f"{FEWEST_KNOWN} of each are the fewest."
        )
    centre, away = effects.mean(axis=0), effects - effects.mean(axis=0)
    kept = len(effects) / (len(effects) + 2.0)  # of the sample's covariance; the rest is the same in all directions
    sample = away.T @ away / max(1, len(effects) - 1)
    covariance = kept * sample + (1 - kept) * np.diag(np.diag(sample)) + 1e-12 * np.eye(len(few))
    gain = covariance @ np.linalg.inv(covariance + np.diag(std**2))
    posterior = covariance - gain @ covariance
    return Row(centre + gain @ (few - centre), np.sqrt(np.maximum(np.diag(posterior), 0)))


def _ridge(blocks: list[np.ndarray], values: np.ndarray, asked: list[np.ndarray], parts: list[float]) -> Row:
    """Values (n,) as a combination of the columns of blocks (n, K), at differences of these (P, K); std of the
    combination. parts: of each block, of the variance of all columns."""
    columns, at = [], []
    for block, change, part in zip(blocks, asked, parts, strict=True):
        spread = block.std(axis=0)
        used = spread > 1e-12
        scale = np.sqrt(part / max(1, used.sum())) / spread[used]
        columns.append((block[:, used] - block[:, used].mean(axis=0)) * scale)
        at.append(change[:, used] * scale)
    return _solved(np.hstack(columns), values - values.mean(), np.hstack(at))


def _solved(unit: np.ndarray, values: np.ndarray, asked: np.ndarray) -> Row:
    """Centred values (n,) by a ridge on columns (n, K), asked at (P, K); the penalty by generalised
    cross-validation."""
    left, sizes, right = np.linalg.svd(unit, full_matrices=False)
    inside = left.T @ values
    rest = float((values**2).sum() - (inside**2).sum())
    best, penalty, noise = np.inf, float(PENALTIES[-1]), float(np.var(values))
    for tried in PENALTIES * len(values):
        kept = sizes**2 / (sizes**2 + tried)
        missed, free = rest + float((((1 - kept) * inside) ** 2).sum()), len(values) - 1 - kept.sum()
        if free > 0 and (score := missed / free**2) < best:
            best, penalty, noise = score, float(tried), missed / free
    turned = asked @ right.T
    effect = turned @ (sizes / (sizes**2 + penalty) * inside)
    return Row(effect, np.sqrt(noise * (turned**2 / (sizes**2 + penalty)).sum(axis=1)))


@dataclass(frozen=True)
class Judged:
    """How rows that were left out were predicted from n runs each. runs: n; rank: Spearman of predicted and true
    effects, the mean over rows; error: root mean square, relative to the true effects' own, so that saying that nothing
    has an effect has 1; widening: what standard deviations are multiplied by for 95% of the true effects to lie within
    intervals; direct_rank, direct_error: by the few runs alone; rows: how many were left out; part: that other rows
    explain, 0 where they do not help; mean_error: by the mean of the other rows; better: of resamples of the rows, the
    part in which `error` is below both of these trivial answers."""

    runs: int
    rank: float
    error: float
    widening: float
    direct_rank: float
    direct_error: float
    rows: int
    part: float
    mean_error: float = 1.0
    better: float = 0.0

    @property
    def tells(self) -> bool:
        """Whether such a row tells more than the trivial answers do, beyond the noise of which rows there are."""
        return self.better >= SURE


def judge_metric_rows(losses: np.ndarray, effects: np.ndarray, shares: Shares, runs: int) -> Judged:
    """Leave out each metric in turn, but for so many runs, and predict its effects (K, M) from the others.

    losses (R, M) without NaN. The part that known metrics explain is the one with which left-out rows are predicted
    best; with the part 0 only the runs themselves count. Raises Problem for fewer than 4 metrics, or runs.
    """
    if losses.shape[1] <= FEWEST_KNOWN:
        raise Problem(
            f"Cannot judge what {runs} runs tell of a new metric: {FEWEST_KNOWN + 1} known metrics are the fewest, of "
            f"which each is predicted by the others, and there are {losses.shape[1]}."
        )
    told: dict[float, list[LeftOut]] = {part: [] for part in PARTS}
    rng = np.random.default_rng(0)
    for m in range(losses.shape[1]):
        others, some = np.arange(losses.shape[1]) != m, rng.choice(len(losses), runs, replace=False)
        few, known, own = losses[some, m], losses[some][:, others], shares.take(some)
        rows = {part: metric_row(few, known, effects[:, others], own, part) for part in PARTS}
        for part, row in rows.items():
            told[part].append(LeftOut(effects[:, m], row, rows[0.0].effect, effects[:, others].mean(axis=1)))
    judged = [_judged(several, runs, part) for part, several in told.items()]
    return judged[int(first_lowest(np.array([one.error for one in judged])))]


def few_of_domain(
    weights: np.ndarray, losses: np.ndarray, domain: int, count: int, change: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The effects of a domain (M,) and their standard deviations by so many runs that have it, and all that do not.

    change (D,): in the logarithms of the shares (`logs`), by which it is left out. Raises Problem where too few runs
    have it.
    """
    has = np.flatnonzero(weights[:, domain] > FLOOR)
    if not 0 < count <= len(has) or len(weights) - len(has) < weights.shape[1]:
        raise Problem(
            f"Cannot tell what this domain does: {len(has)} runs have more than {FLOOR:.0%} of it, and "
            f"{len(weights) - len(has)} do not. It takes some with it, and as many without as there are domains."
        )
    rows = np.concatenate([np.flatnonzero(weights[:, domain] <= FLOOR), rng.choice(has, count, replace=False)])
    found = [_ridge([logs(weights[rows])], values[rows], [change[None]], [1.0]) for values in losses.T]
    return np.array([one.effect[0] for one in found]), np.array([one.std[0] for one in found])


def foreign_rows(effects: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The rows of domains (D, M), where what one does to its own metric is taken for what others do to it: it is
    unlike all else. own (M,): whose loss each metric is, -1 for nobody's."""
    found = effects.copy()
    for m, d in enumerate(own.tolist()):
        if d >= 0:
            found[d, m] = np.delete(effects[:, m], d).mean()
    return found


def judge_domain_rows(
    weights: np.ndarray, losses: np.ndarray, effects: np.ndarray, changes: np.ndarray, own: np.ndarray, runs: int
) -> Judged:
    """Leave out each domain in turn, but for so many runs that have it, and predict its effects from the others'.

    losses (R, M) without NaN, effects (D, M), changes (D, D): as in `few_of_domain`; own (M,): whose loss each metric
    is, -1 for nobody's: effects of a domain on its own are unlike all others, and left out. Raises Problem where fewer
    than 3 domains can be left out so.
    """
    told: list[LeftOut] = []
    rng, usual = np.random.default_rng(0), foreign_rows(effects, own)
    for d in range(len(effects)):
        others, foreign = np.arange(len(effects)) != d, own != d
        try:
            few, std = few_of_domain(weights, losses[:, foreign], d, runs, changes[d], rng)
            known = usual[others][:, foreign]
            told.append(LeftOut(effects[d, foreign], domain_row(few, std, known), few, known.mean(axis=0)))
        except Problem:
            continue
    if len(told) < FEWEST_KNOWN:
        raise Problem(
            f"Cannot judge what {runs} runs tell of a new domain: {len(told)} of {len(effects)} domains have as many "
            "runs with and enough without them. Use a design in which some mixtures lack a domain."
        )
    return _judged(told, runs, 1.0)


@dataclass(frozen=True)
class Combined:
    """How runs with much of two domains were predicted without any such run. pairs [K]: of domains; runs (K,): how many
    were left out; error, usual (K,): root mean square of what was missed, of these and of as many runs at random, in
    standard deviations over runs."""

    pairs: list[tuple[int, int]]
    runs: np.ndarray
    error: np.ndarray
    usual: np.ndarray


def judge_combinations(
    fit: Callable[[np.ndarray, np.ndarray], Surrogate],
    weights: np.ndarray,
    values: np.ndarray,
    most: int = 6,
    seed: int = 0,
) -> Combined:
    """Predict runs with much of both of two domains (each above its upper third over the runs) from all others.

    weights (R, D), values (R,) of one metric; most: domains that are paired, those whose shares vary most. Raises
    Problem where no pair has three such runs.
    """
    rng, high = np.random.default_rng(seed), weights > np.quantile(weights, 2 / 3, axis=0)
    domains = np.sort(ordered(-weights.std(axis=0))[:most])
    pairs: list[tuple[int, int]] = []
    runs: list[int] = []
    error: list[float] = []
    usual: list[float] = []
    for one, other in combinations(domains.tolist(), 2):
        held = high[:, one] & high[:, other]
        if not 3 <= held.sum() <= len(weights) // 2:
            continue
        drawn = np.isin(np.arange(len(weights)), rng.choice(len(weights), held.sum(), replace=False))
        missed = [
            values[rows] - fit(weights[~rows], values[~rows, None]).mean(weights[rows])[:, 0] for rows in (held, drawn)
        ]
        pairs.append((one, other))
        runs.append(int(held.sum()))
        for told, gap in zip((error, usual), missed, strict=True):
            told.append(float(np.sqrt((gap**2).mean()) / values.std()))
    if not pairs:
        raise Problem("Cannot judge combinations of domains: no two of them have three runs with much of both.")
    return Combined(pairs, np.array(runs), np.array(error), np.array(usual))


@dataclass(frozen=True)
class LeftOut:
    """A row that was left out: its true effects, what was predicted, what the few runs alone said, and the mean of the
    other rows, (K,) each."""

    truth: np.ndarray
    row: Row
    alone: np.ndarray
    mean: np.ndarray


def _judged(told: list[LeftOut], runs: int, part: float) -> Judged:
    ranks = [[float(spearman(one.truth, guess)) for guess in (one.row.effect, one.alone)] for one in told]
    rank, direct_rank = np.nanmean(ranks, axis=0).tolist()
    guesses = [[one.row.effect, one.alone, one.mean, np.zeros_like(one.truth)] for one in told]
    squares = np.array(
        [[((guess - one.truth) ** 2).sum() for guess in own] for one, own in zip(told, guesses, strict=True)]
    )  # (rows, 4), the last of the true effects themselves
    errors = np.sqrt(squares.sum(axis=0) / squares[:, 3].sum())
    drawn = np.random.default_rng(0).integers(len(told), size=(RESAMPLES, len(told)))
    again = squares[drawn].sum(axis=1)  # (RESAMPLES, 4)
    missed = np.concatenate([np.abs(one.row.effect - one.truth) / np.maximum(one.row.std, 1e-12) for one in told])
    return Judged(
        runs,
        rank,
        float(errors[0]),
        max(1.0, float(np.quantile(missed, 0.95)) / Z95),
        direct_rank,
        float(errors[1]),
        len(told),
        part,
        float(errors[2]),
        float((again[:, 0] < again[:, 2:].min(axis=1)).mean()),
    )
