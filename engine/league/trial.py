"""What a league is judged on: the runs, split into folds. R runs, D domains, M metrics, F repeats, N candidates."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.core.errors import Problem
from engine.surrogates import SURROGATES
from engine.surrogates.base import Surrogate
from engine.surrogates.conditions import Conditions
from engine.surrogates.stack import Stack

FEWEST_RUNS = 5


class Dosed(NamedTuple):
    """Runs of cut text: weights, doses (R, D), losses (R, M)."""

    weights: np.ndarray
    doses: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Trial:
    """The input of all fits: weights (R, D), losses (R, M) with NaN, parts (F, folds, R) bool of the runs each fit is
    tested on, metric_weights (M,) signed weights of the metrics, seed, candidates (N, D) or None. repeats (D,): as in
    Conditions; dosed: runs of cut text, which are in every fit that knows of conditions and are never held out: what is
    asked for is the usual text.
    """

    weights: np.ndarray
    losses: np.ndarray
    parts: np.ndarray
    metric_weights: np.ndarray
    seed: int
    candidates: np.ndarray | None = None
    repeats: np.ndarray | None = None
    dosed: Dosed | None = None

    def fitted(self, name: str, rows: np.ndarray, metrics: np.ndarray | slice = slice(None)) -> Surrogate:
        """A surrogate of some runs (R,) bool or places, and of some metrics. Raises Problem."""
        weights, losses = self.weights[rows], self.losses[rows][:, metrics]
        if self.repeats is None:
            return SURROGATES[name].fit(weights, losses, self.seed)
        doses = np.ones_like(weights)
        if self.dosed is not None:
            weights = np.concatenate([weights, self.dosed.weights])
            losses = np.concatenate([losses, self.dosed.losses[:, metrics]])
            doses = np.concatenate([doses, self.dosed.doses])
        return SURROGATES[name].fit(weights, losses, self.seed, Conditions(self.repeats, doses))


def with_members(surrogates: list[str] | None) -> list[str]:
    """The names to cross-validate, by default all; a stack alone brings its own members. Raises Problem."""
    names = list(SURROGATES) if surrogates is None else list(surrogates)
    if unknown := [name for name in names if name not in SURROGATES]:
        raise Problem(f"Cannot fit {', '.join(unknown)}: the surrogates are {', '.join(SURROGATES)}.")
    return list(dict.fromkeys([*Stack.CANDIDATES, "stack"])) if names == ["stack"] else names


def trial_of(
    weights: np.ndarray,
    losses: np.ndarray,
    folds: int = 5,
    repeats: int = 3,
    seed: int = 0,
    priorities: np.ndarray | None = None,
    candidates: np.ndarray | None = None,
) -> Trial:
    """The runs checked and split into folds. Raises Problem if they cannot be cross-validated."""
    weights, losses = np.asarray(weights, float), np.asarray(losses, float)
    if len(weights) < FEWEST_RUNS:
        raise Problem(
            f"Cannot cross-validate on {len(weights)} runs: at least {FEWEST_RUNS} finished runs are needed. "
            "Wait for more proxies, or add runs."
        )
    metrics = losses.shape[1]
    metric_weights = np.full(metrics, 1 / metrics) if priorities is None else np.asarray(priorities, float)
    parts = _folds(weights, folds, repeats, seed)
    losses = np.where(np.isfinite(losses), losses, np.nan)
    if not (np.nanmax(losses, axis=0, initial=-np.inf) > np.nanmin(losses, axis=0, initial=np.inf)).any():
        raise Problem(
            f"Cannot compare surrogates: none of the {metrics} metrics varies over the {len(weights)} runs, so there "
            "is nothing to rank. Check the metrics' columns, or train mixtures that differ more."
        )
    return Trial(weights, losses, parts, metric_weights, seed, candidates)


def _folds(weights: np.ndarray, folds: int, repeats: int, seed: int) -> np.ndarray:
    """(repeats, folds, R) bool: the runs each fit is tested on. Equal mixtures stay together."""
    _, mixture = np.unique(np.round(weights, 6), axis=0, return_inverse=True)
    groups = mixture.max() + 1
    if groups < 2:
        raise Problem("Cannot cross-validate: all runs have the same mixture. Train other mixtures too.")
    folds = min(folds, groups)
    rng = np.random.default_rng(seed)
    fold = np.array([(rng.permutation(groups) % folds)[mixture.ravel()] for _ in range(repeats)])
    parts: np.ndarray = fold[:, None, :] == np.arange(folds)[:, None]
    return parts
