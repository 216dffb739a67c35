"""Repeated cross-validation of all surrogates on the same folds, in parallel in a process pool.

Every fit on 80% of the runs is used three times: for its held-out predictions, as a refit for the stability of the
recommended mixture, and for the stack's weights, which come from its predictions. The
stack needs no fit of its own: for each fold its weights come from the other folds' predictions. Surrogates that are
slow are repeated once; their standing says so. R runs, D domains, M metrics, F repeats, N candidates.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from engine.core.errors import Problem
from engine.jobs.process_pool import Do, process_pool
from engine.league.scores import (
    bootstrap,
    coverage,
    drawn_regrets,
    error_correlation,
    numbers,
    rank_correlations,
    regret_of,
    scale_of,
    score_of,
)
from engine.league.standing import League, Standing, ranked
from engine.spec.statistics import lowest, weighted_sum
from engine.surrogates import SURROGATES
from engine.surrogates.base import Surrogate
from engine.surrogates.conditions import Conditions
from engine.surrogates.stack import Stack, convex_weights

FEWEST_RUNS = 5
RECOMMENDED = 0.01  # of the candidates: a refit recommends the mean of that many of the best

Progress = Callable[[float, float, str], None]


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


@dataclass
class HeldOut:
    """Held-out predictions of one surrogate: mean, std (F, R, M), not calibrated; aggregates
    (F x folds, N) of the candidates, or None; seconds: CPU of all fits.
    """

    mean: np.ndarray
    std: np.ndarray
    aggregates: np.ndarray | None
    seconds: float = 0.0


def cross_validate(
    weights: np.ndarray,
    losses: np.ndarray,
    surrogates: list[str] | None = None,
    *,
    folds: int = 5,
    repeats: int = 3,
    seed: int = 0,
    priorities: np.ndarray | None = None,
    candidates: np.ndarray | None = None,
    progress: Progress | None = None,
) -> tuple[League, dict[str, np.ndarray]]:
    """Cross-validate surrogates on runs: weights (R, D), losses (R, M) with NaN if unmeasured; by default all.

    priorities (M,): signed weights of the metrics in the aggregate (their mean by default); candidates (N, D):
    mixtures that refits choose from, for `stability`. Duplicated mixtures share a fold, else training data would
    leak into the test. progress(done, total, note) is called often. Also returns name -> calibrated held-out mean
    and standard deviation (2, R, M). Raises Problem for fewer than 5 runs, for unknown names, where no metric
    varies, and when no surrogate can be fitted.
    """
    names = with_members(surrogates)
    trial = trial_of(weights, losses, folds, repeats, seed, priorities, candidates)
    with process_pool(1, trial) as do:
        return judged(trial, names, do, progress or (lambda *_: None))


def with_members(surrogates: list[str] | None) -> list[str]:
    """The names to cross-validate, by default all; a stack alone brings its own members. Raises Problem."""
    names = list(SURROGATES) if surrogates is None else list(surrogates)
    if unknown := [name for name in names if name not in SURROGATES]:
        raise Problem(f"Cannot fit {', '.join(unknown)}: the surrogates are {', '.join(SURROGATES)}.")
    return list(dict.fromkeys([*Stack.CANDIDATES, "stack"])) if names == ["stack"] else names


def trial_of(weights, losses, folds=5, repeats=3, seed=0, priorities=None, candidates=None) -> Trial:
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


def judged(trial: Trial, names: list[str], do: Do, progress: Progress) -> tuple[League, dict[str, np.ndarray]]:
    """The league without its curve, and the calibrated held-out predictions: see `cross_validate`."""
    held_out, problems = _all_fits(trial, names, do, progress)
    members = None
    if "stack" in names and len(held_out) > 1:
        held_out["stack"], members = _stacked(trial, held_out)
    elif "stack" in names:
        problems["stack"] = "There is nothing to combine: fewer than two other surrogates could be fitted."
    if not held_out:
        raise Problem(f"Cannot fit any surrogate on these {len(trial.weights)} runs. {problems[names[0]]}")
    standings = {name: Standing(name, problem=text) for name, text in problems.items()}
    scores, regrets = {}, {}
    for _, (standing, *drawn) in do(_judge, list(held_out.items()), lambda *_: progress(1, 1, "judging")):
        standings[standing.name] = standing
        scores[standing.name], regrets[standing.name] = drawn
    if members is not None:
        standings["stack"] = replace(standings["stack"], members=members)
    scale = {name: np.array(standings[name].scale) for name in held_out}
    kept = {name: np.stack([one.mean.mean(0), one.std.mean(0) * scale[name]]) for name, one in held_out.items()}
    found, default, why = ranked({name: standings[name] for name in names if name in standings}, scores, regrets)
    folds = trial.parts.shape[1]
    return League(tuple(found), default, len(trial.weights), folds, len(trial.parts), trial.seed, why=why), kept


def _folds(weights: np.ndarray, folds: int, repeats: int, seed: int) -> np.ndarray:
    """(repeats, folds, R) bool: the runs each fit is tested on. Equal mixtures stay together."""
    _, mixture = np.unique(np.round(weights, 6), axis=0, return_inverse=True)
    groups = mixture.max() + 1
    if groups < 2:
        raise Problem("Cannot cross-validate: all runs have the same mixture. Train other mixtures too.")
    folds = min(folds, groups)
    rng = np.random.default_rng(seed)
    fold = np.array([(rng.permutation(groups) % folds)[mixture.ravel()] for _ in range(repeats)])
    return fold[:, None, :] == np.arange(folds)[:, None]


def _all_fits(trial: Trial, names: list[str], do: Do, progress: Progress) -> tuple[dict[str, HeldOut], dict[str, str]]:
    """Held-out predictions of every surrogate but the stack, and the errors of those that failed."""
    folds = trial.parts.shape[1]
    repeats = {name: 1 if SURROGATES[name].slow else len(trial.parts) for name in names if name != "stack"}
    slow_first = sorted(repeats, key=lambda name: not SURROGATES[name].slow)  # else one process ends much later
    tasks = [(name, *cell) for name in slow_first for cell in np.ndindex(repeats[name], folds)]
    empty = (len(trial.losses), trial.losses.shape[1])
    count = None if trial.candidates is None else len(trial.candidates)
    found = {
        name: HeldOut(*np.empty((2, repeats[name], *empty)), count and np.empty((repeats[name] * folds, count)))
        for name in repeats
    }
    problems: dict[str, str] = {}
    for place, result in do(_fit_and_predict, tasks, lambda done, n: progress(done, n, f"{done} fits of {n}")):
        name, repeat, fold = tasks[place]
        if isinstance(result, str):
            problems[name] = result
            continue
        test = trial.parts[repeat, fold]
        found[name].mean[repeat, test], found[name].std[repeat, test], aggregates, seconds = result
        found[name].seconds += seconds
        if count:
            found[name].aggregates[repeat * folds + fold] = aggregates
    return {name: found[name] for name in repeats if name not in problems}, problems


def _fit_and_predict(trial: Trial, name: str, repeat: int, fold: int):
    """Mean and std of the fold's runs, aggregates (N,) of the candidates, CPU seconds; or why there is no fit."""
    started = time.process_time()
    test = trial.parts[repeat, fold]
    try:
        fitted = trial.fitted(name, ~test)
    except Problem as problem:
        return str(problem)
    seconds = time.process_time() - started
    aggregates = None if trial.candidates is None else weighted_sum(fitted.mean(trial.candidates), trial.metric_weights)
    return *fitted.predict(trial.weights[test]), aggregates, seconds


def _stacked(trial: Trial, held_out: dict[str, HeldOut]) -> tuple[HeldOut, dict[str, float]]:
    """The stack of all fitted surrogates, on the first repeat, which all have; and its weights on all runs.

    A fold is predicted with the weights that were best on the other folds.
    """
    means, stds = (np.array([getattr(one, key)[0] for one in held_out.values()]) for key in ("mean", "std"))
    mean, std = np.empty_like(means[0]), np.empty_like(means[0])
    folds = trial.parts.shape[1]
    aggregates = None if trial.candidates is None else np.empty((folds, len(trial.candidates)))
    for fold, test in enumerate(trial.parts[0]):
        weights = convex_weights(means[:, ~test], trial.losses[~test])
        mean[test] = np.tensordot(weights, means[:, test], 1)
        variance = stds[:, test] ** 2 + (means[:, test] - mean[test]) ** 2
        std[test] = np.sqrt(np.tensordot(weights, variance, 1))
        if aggregates is not None:
            aggregates[fold] = weights @ [one.aggregates[fold] for one in held_out.values()]
    weights = convex_weights(means, trial.losses)
    members = {name: float(weight) for name, weight in zip(held_out, weights, strict=True) if weight > 0}
    seconds = sum(one.seconds / len(one.mean) for name, one in held_out.items() if name in members)
    return HeldOut(mean[None], std[None], aggregates, seconds), members


def _judge(trial: Trial, name: str, one: HeldOut) -> tuple[Standing, np.ndarray, np.ndarray]:
    """The standing of held-out predictions, and its bootstrapped scores and regrets (DRAWS,)."""
    losses, mean, std = trial.losses, one.mean, one.std
    missed = losses - mean
    scale = scale_of(missed, std)
    ranks = rank_correlations(np.broadcast_to(losses, mean.shape), mean, trial.metric_weights).mean(axis=0)
    standardised = missed / (std * scale)
    whole = ~np.isnan(losses).any(axis=1)
    drawn = bootstrap(losses, mean.mean(axis=0), trial.metric_weights, trial.seed)
    standing = Standing(
        name=name,
        spearman=numbers(ranks[2:]),
        mean_spearman=float(ranks[1]),
        aggregate_spearman=numbers(ranks[:1])[0],
        score=float(score_of(ranks)),
        interval=np.nanquantile(drawn[:, 1], [0.025, 0.975]).tolist(),
        rmse=np.sqrt(np.nanmean(missed**2, axis=(0, 1))).tolist(),
        coverage=coverage(missed / std),
        calibrated_coverage=coverage(standardised),
        regret=regret_of(losses, mean, trial.metric_weights),
        stability=_stability(trial, one.aggregates),
        seconds=one.seconds,
        repeats=len(mean),
        scale=scale.tolist(),
        correlation=error_correlation(standardised.mean(axis=0)[whole]).tolist(),
    )
    regrets = drawn_regrets(losses, mean.mean(axis=0), trial.metric_weights, trial.seed)
    return standing, drawn[:, 0], regrets


def _stability(trial: Trial, aggregates: np.ndarray | None) -> float | None:
    """Mean L1 between the mixtures that refits recommend, each the mean of the best candidates by aggregates (F, N)."""
    if aggregates is None:
        return None
    count = max(1, round(RECOMMENDED * aggregates.shape[1]))
    chosen = np.array([lowest(values, count) for values in aggregates])
    mixtures = trial.candidates[chosen].mean(axis=1)
    gaps = np.abs(mixtures[:, None] - mixtures).sum(axis=2)
    return float(gaps[np.triu_indices(len(gaps), 1)].mean())
