"""Which cheap proxies rank mixtures as a reference does: rank correlations without what noise takes of them.

N mixtures, S seeds, the same ones for every mixture.
"""

from dataclasses import dataclass

import numpy as np

from engine.spec.statistics import spearman

ENOUGH = 0.8  # what the lower bound of a fidelity's rank correlation must exceed to be recommended
DRAWS = 1000
LOW, HIGH = 0.025, 0.975


def reliability(values: np.ndarray) -> np.ndarray:
    """(...,) 1 minus the noise of the mixtures' means over their variance; values (..., N, S), S at least 2.

    What a seed adds to all mixtures alike changes no rank, and is taken out first. 0 or less: the seeds differ as much
    as the mixtures do, and nothing is known.
    """
    values = np.asarray(values, float)
    n, seeds = values.shape[-2:]
    mean = values.mean(-1)  # (..., N)
    rest = values - mean[..., None] - values.mean(-2, keepdims=True) + values.mean((-2, -1), keepdims=True)
    noise = (rest**2).sum((-2, -1)) / ((n - 1) * (seeds - 1)) / seeds
    between = mean.var(-1, ddof=1)
    found: np.ndarray = np.where(between > 0, 1 - noise / np.where(between > 0, between, 1), 0.0)
    return found


def corrected(candidate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(...,) the rank correlation that seed means would have without noise, rho / sqrt(reliability of both), at most 1
    (Spearman 1904); NaN where a reliability is 0 or less. Both (..., N, S)."""
    observed = spearman(np.asarray(reference, float).mean(-1), np.asarray(candidate, float).mean(-1))
    one, other = reliability(candidate), reliability(reference)
    both = np.where((one > 0) & (other > 0), one * other, np.nan)
    found: np.ndarray = np.clip(observed / np.sqrt(both), -1, 1)
    return found


@dataclass(frozen=True)
class Judged:
    """A candidate against the reference. observed: the rank correlation of seed means; rank: without noise, None where
    it is unknown; low, high: its 95% interval; reliability: of the candidate; cost: in that of the reference."""

    name: str
    observed: float
    rank: float | None
    low: float
    high: float
    reliability: float
    cost: float

    @property
    def enough(self) -> bool:
        """Whether it may be relied on: the lower bound exceeds ENOUGH."""
        return self.rank is not None and self.low > ENOUGH


def judged(
    candidates: dict[str, np.ndarray], reference: np.ndarray, costs: dict[str, float], seed: int = 0
) -> list[Judged]:
    """Every candidate (N, S) by its name against the reference (N, S), the cheapest first.

    Intervals are of bootstraps over mixtures, the same ones for all candidates, so that two may be compared draw by
    draw. A draw of unknown reliability counts as the worst for the lower end and the best for the upper one.
    """
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(reference), size=(DRAWS, len(reference)))
    found = []
    for name, values in candidates.items():
        here, drawn = float(corrected(values, reference)), corrected(values[rows], reference[rows])
        low, high = np.quantile(np.nan_to_num(drawn, nan=-1), LOW), np.quantile(np.nan_to_num(drawn, nan=1), HIGH)
        known = bool(np.isfinite(here))
        observed = float(spearman(reference.mean(1), values.mean(1)))
        trust = float(reliability(values))
        ends = (min(float(low), here), max(float(high), here)) if known else (float(low), float(high))
        found.append(Judged(name, observed, here if known else None, *ends, trust, costs[name]))
    return sorted(found, key=lambda one: one.cost)


def recommended(found: list[Judged]) -> Judged | None:
    """The cheapest that may be relied on; None where none may."""
    return next((one for one in sorted(found, key=lambda one: one.cost) if one.enough), None)
