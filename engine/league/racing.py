"""Fits of all surrogates over the same folds, in parallel, in which slow surrogates race: successive halving.

After one fold, and after two, the worse half of the slow surrogates ends there, as far as they are behind beyond noise
(arXiv:1502.07943). Behind the best; those that extrapolate, behind the best that extrapolates, since the default is
chosen among them. R runs, M metrics, F repeats, N candidates.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.jobs.process_pool import Do
from engine.league.scores import bootstrap
from engine.league.standing import WORTH
from engine.league.trial import Trial
from engine.spec.statistics import lowest_key, ordered, weighted_sum
from engine.surrogates import SURROGATES

RUNGS = (1, 2)  # folds after which slow surrogates are compared
SURE = 0.975  # of the draws in which it is behind
FEWEST = 8  # held-out runs

Progress = Callable[[float, float, str], None]
Result = tuple[np.ndarray, np.ndarray, np.ndarray | None, float]  # mean, std (T, M), aggregates (N,), CPU seconds


@dataclass
class HeldOut:
    """Held-out predictions of one surrogate: mean, std (F, R, M), not calibrated; aggregates (F x folds, N) of the
    candidates, or None; seconds: CPU of all fits; fits: their number; raced: why it ended early, None where it did not.
    NaN where there was no fit.
    """

    mean: np.ndarray
    std: np.ndarray
    aggregates: np.ndarray | None
    seconds: float = 0.0
    fits: int = 0
    raced: str | None = None

    @property
    def tested(self) -> np.ndarray:
        """(R,) bool: the runs that were held out of some fit."""
        found: np.ndarray = ~np.isnan(self.mean).all(axis=(0, 2))
        return found


def all_fits(trial: Trial, names: list[str], do: Do, progress: Progress) -> tuple[dict[str, HeldOut], dict[str, str]]:
    """Held-out predictions of every surrogate but the stack, and the errors of those that failed.

    Slow ones are repeated once, the others as often as the trial says.
    """
    folds = trial.parts.shape[1]
    repeats = {name: 1 if SURROGATES[name].slow else len(trial.parts) for name in names if name != "stack"}
    found = {name: _nothing(trial, count) for name, count in repeats.items()}
    problems: dict[str, str] = {}
    slow = [name for name in repeats if SURROGATES[name].slow]
    quick = [(name, *cell) for name in repeats if name not in slow for cell in np.ndindex(repeats[name], folds)]
    most = len(quick) + folds * len(slow)
    done = 0
    for start, end in zip((0, *RUNGS), (*RUNGS, folds), strict=True):
        tasks = [(name, 0, fold) for name in slow for fold in range(start, min(end, folds))]
        tasks += [] if done else quick  # the last, else one process ends much later
        for place, result in do(_fit_and_predict, tasks, _counted(progress, done, most)):
            _keep(trial, found, problems, tasks[place], result)
        done += len(tasks)
        slow = [name for name in slow if name not in problems]
        if end < folds:
            for name, why in behind(trial, {name: found[name] for name in found if name not in problems}, slow, end):
                found[name].raced = why
                slow.remove(name)
    return {name: found[name] for name in repeats if name not in problems}, problems


def _counted(progress: Progress, before: int, most: int) -> Callable[[int, int], None]:
    """Progress of some fits as that of all. most: how many there are if none ends early."""
    return lambda done, _: progress(before + done, most, f"{before + done} fits of {most} at most")


def _nothing(trial: Trial, repeats: int) -> HeldOut:
    """Held-out predictions that are all to come."""
    shape = (repeats, *trial.losses.shape)
    fits = repeats * trial.parts.shape[1]
    aggregates = None if trial.candidates is None else np.full((fits, len(trial.candidates)), np.nan)
    return HeldOut(np.full(shape, np.nan), np.full(shape, np.nan), aggregates)


def _keep(
    trial: Trial, found: dict[str, HeldOut], problems: dict[str, str], task: tuple[str, int, int], result: Result | str
) -> None:
    """Note what a fit said of its fold's runs, or why there is none."""
    name, repeat, fold = task
    if isinstance(result, str):
        problems[name] = result
        return
    test, one = trial.parts[repeat, fold], found[name]
    one.mean[repeat, test], one.std[repeat, test], aggregates, seconds = result
    one.seconds += seconds
    one.fits += 1
    if one.aggregates is not None:
        one.aggregates[repeat * trial.parts.shape[1] + fold] = aggregates


def _fit_and_predict(trial: Trial, name: str, repeat: int, fold: int) -> Result | str:
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


def behind(trial: Trial, found: dict[str, HeldOut], slow: list[str], folds: int) -> list[tuple[str, str]]:
    """Of the slow surrogates, the worse half as far as they are behind beyond noise, and why; by the first `folds`."""
    rows = trial.parts[0, :folds].any(axis=0)
    losses = trial.losses[rows]
    if rows.sum() < FEWEST:
        return []  # a rank correlation of a handful is no evidence
    drawn = {
        name: bootstrap(losses, one.mean[0, rows], trial.metric_weights, trial.seed)[:, 0]
        for name, one in found.items()
        if one.raced is None
    }
    middle = {name: float(np.nanmean(scores)) for name, scores in drawn.items()}
    ended = []
    for name in (slow[k] for k in ordered(np.array([middle[name] for name in slow]))[: len(slow) // 2]):
        rivals = [rival for rival in middle if SURROGATES[rival].extrapolates or not SURROGATES[name].extrapolates]
        best = lowest_key({rival: -middle[rival] for rival in rivals})
        lead = drawn[best] - drawn[name]
        if np.nanmean(lead > WORTH) >= SURE:
            ended.append((name, _why(name, best, middle, folds, trial.parts.shape[1])))
    return ended


def _why(name: str, best: str, middle: dict[str, float], folds: int, of: int) -> str:
    there = f"{folds} of {of} folds"
    return (
        f"Ended after {there}, being slow and behind beyond noise: rank correlation {middle[name]:.3f} there, "
        f"{SURROGATES[best].title} {middle[best]:.3f}."
    )
