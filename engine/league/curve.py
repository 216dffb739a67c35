"""The learning curve: how well a surrogate would rank with fewer runs, and whether more are worth it.

A surrogate is fitted to some of the training runs of each fold and tested on the runs of that fold. Its distance from a
rank correlation of one falls roughly as a power of the number of runs, a n^-b (Hestness et al., arXiv:1712.00409); the
line through the points gives the number from which doubling the runs gains less than GAIN. S sizes, R runs.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.jobs.process_pool import Do
from engine.league.racing import Progress
from engine.league.scores import bootstrap, rank_correlations, score_of
from engine.league.standing import BASELINE
from engine.league.trial import Trial
from engine.surrogates import title_of
from engine.surrogates.base import FEWEST

GAIN = 0.01  # of rank correlation: a doubling that gains less is not worth its runs
STEPS = (0.125, 0.25, 0.375, 0.5, 0.75, 1.0)  # of a fold's training runs
SMALLEST = 6
FARTHEST = 4  # times the runs: curves are not extrapolated further


@dataclass(frozen=True)
class Curve:
    """sizes (S,): runs fitted on. scores: name -> one [score, low, high] per size, 95%; None for a size that could not
    be fitted. enough: runs from which a doubling gains less than GAIN for the surrogate `of`, with its 80% interval
    `between`; None if the line gives none. state: "enough", "more", "far" (beyond FARTHEST times the runs),
    "flat" (more runs have not helped) or "short" (fewer than three sizes: no line).
    """

    of: str
    runs: int
    sizes: list[int]
    scores: dict[str, list[list[float] | None]]
    state: str
    enough: int | None
    between: list[int] | None

    @property
    def verdict(self) -> str:
        """The finding as one sentence."""
        title, worth = title_of(self.of), f"doubling the runs gains less than {GAIN} of rank correlation"
        if self.state == "flat":
            return (
                f"More runs have not made {title} rank better: it has learnt what it can, or the rest is within noise."
            )
        if self.state == "short":
            return f"{self.runs} runs are too few for a learning curve: how many are enough is unknown."
        if self.state == "far":
            return (
                f"More runs are worth it: more than {(FARTHEST - 1) * self.runs} further runs before {worth}, further "
                "than this curve can be extrapolated."
            )
        assert self.between is not None and self.enough is not None  # as its two other states have them
        low, high = self.between
        if self.state == "enough":
            fewest = " or fewer" if self.enough <= rounded(self.sizes[0]) else ""
            return f"{self.enough} runs{fewest} would have been enough ({low} to {high}): from there on {worth}."
        more, least, most = self.enough - self.runs, max(0, low - self.runs), max(0, high - self.runs)
        return f"More runs are worth it: about {more} of them ({least} to {most}), then {worth}."

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


def learning_curve(trial: Trial, default: str, held_out: dict[str, np.ndarray], do: Do, progress: Progress) -> Curve:
    """The curve of the default surrogate beside the trivial baseline; the full size is taken from the league's own
    held-out means (2, R, M). Fits the folds of the first repeat, of two where runs are few.
    """
    names = [name for name in (default, BASELINE) if name in held_out]
    full = int((~trial.parts[0, 0]).sum())
    sizes = sorted({round(full * step) for step in STEPS if full * step >= SMALLEST})
    repeats = min(len(trial.parts), 2 if len(trial.weights) <= 128 else 1)
    folds = trial.parts.shape[1]
    tasks = [(name, size, *cell) for name in names for size in sizes[:-1] for cell in np.ndindex(repeats, folds)]
    means = {(name, size): np.full((repeats, *trial.losses.shape), np.nan) for name in names for size in sizes[:-1]}
    for place, mean in do(_fit_some, tasks, lambda done, total: progress(done, total, "learning curve")):
        name, size, repeat, fold = tasks[place]
        means[name, size][repeat, trial.parts[repeat, fold]] = mean
    means |= {(name, size): held_out[name][:1] for name in names for size in sizes[-1:]}
    drawn = {key: _drawn(trial, mean) for key, mean in means.items()}
    scores = {name: [_summary(drawn[name, size]) for size in sizes] for name in names}
    return Curve(default, len(trial.weights), sizes, scores, *_verdict(len(trial.weights), sizes, default, drawn))


def _fit_some(trial: Trial, name: str, size: int, repeat: int, fold: int) -> np.ndarray:
    """Mean of the fold's runs by a fit to `size` of the others; NaN if that is too few."""
    test = trial.parts[repeat, fold]
    rows = np.random.default_rng([trial.seed, repeat, fold]).permutation(np.flatnonzero(~test))[:size]
    known = np.isfinite(trial.losses[rows]).sum(axis=0) >= FEWEST
    mean = np.full((test.sum(), len(known)), np.nan)
    if known.any():
        fitted = trial.fitted(name, rows, known)
        mean[:, known] = fitted.mean(trial.weights[test])
    return mean


def _drawn(trial: Trial, mean: np.ndarray) -> np.ndarray | None:
    """(1 + DRAWS,) score of held-out means (F, R, M), then on resampled runs; None if one could not be fitted."""
    if np.isnan(mean).any():
        return None
    ranks = rank_correlations(np.broadcast_to(trial.losses, mean.shape), mean, trial.metric_weights)
    resampled = bootstrap(trial.losses, mean[0], trial.metric_weights, trial.seed)[:, 0]
    return np.concatenate([[score_of(ranks).mean()], resampled])


def _summary(drawn: np.ndarray | None) -> list[float] | None:
    return None if drawn is None else [float(drawn[0]), *np.nanquantile(drawn[1:], [0.025, 0.975]).tolist()]


def _verdict(
    runs: int, sizes: list[int], name: str, drawn: dict[tuple[str, int], np.ndarray | None]
) -> tuple[str, int | None, list[int] | None]:
    """State, enough and between of a Curve."""
    known = [size for size in sizes if drawn[name, size] is not None]
    if len(known) < 3:
        return "short", None, None
    scores = np.array([drawn[name, size] for size in known])  # (S, 1 + DRAWS)
    points = np.array([enough_runs(np.array(known), column) for column in scores.T])
    first, others = points[0], points[1:]
    if np.isnan(first):
        return "flat", None, None
    if first > FARTHEST * runs:
        return "far", None, None
    low, high = np.nanquantile(np.where(np.isnan(others), np.inf, others), [0.1, 0.9], method="nearest")
    between = [rounded(low), rounded(min(high, FARTHEST * runs))]
    return "enough" if first <= runs else "more", rounded(first), between


def enough_runs(sizes: np.ndarray, scores: np.ndarray) -> float:
    """From how many runs on a doubling gains less than GAIN, by the line of log(1 - score) over log size (S,).

    At least the smallest size; NaN where the line does not fall.
    """
    lacks = np.log(np.maximum(1 - scores, 1e-4))
    slope, level = np.polyfit(np.log(sizes), lacks, 1)
    if slope >= -1e-3 or not np.isfinite(slope):
        return np.nan
    gain_at_one = np.exp(level) * (1 - 2**slope)
    exponent = np.log(gain_at_one / GAIN) / -slope
    return float(max(sizes[0], np.exp(min(exponent, 30))))


def rounded(runs: float) -> int:
    """Rounded to its precision: to the next 4, above a hundred to the next 10, above a thousand to the next 100."""
    step = 4 if runs < 100 else 10 if runs < 1000 else 100
    return int(np.ceil(runs / step - 1e-9)) * step
