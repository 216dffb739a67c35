"""Repeated cross-validation of all surrogates on the same folds: their standings, and the choice among them.

Every fit on 80% of the runs is used three times: for its held-out predictions, as a refit for the stability of the
recommended mixture, and for the stack's weights, which come from its predictions. The stack needs no fit of its own:
for each fold its weights come from the other folds' predictions. Surrogates that are slow are repeated once, and race
(racing.py); their standing says so. R runs, D domains, M metrics, F repeats, N candidates.
"""

from dataclasses import replace

import numpy as np

from engine.core.checks import or_null
from engine.core.errors import Problem
from engine.jobs.process_pool import Do, process_pool
from engine.league.racing import HeldOut, Progress, all_fits
from engine.league.scores import (
    LEVELS,
    bootstrap,
    coverage,
    drawn_regrets,
    error_correlation,
    rank_correlations,
    regret_of,
    scale_of,
    score_of,
    widths_of,
)
from engine.league.standing import League, ranked
from engine.league.trial import Trial, trial_of, with_members
from engine.spec.kinds.fit import Standing
from engine.spec.statistics import lowest
from engine.surrogates.stack import convex_weights

RECOMMENDED = 0.01  # of the candidates: a refit recommends the mean of that many of the best


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


def judged(trial: Trial, names: list[str], do: Do, progress: Progress) -> tuple[League, dict[str, np.ndarray]]:
    """The league without its curve, and the calibrated held-out predictions: see `cross_validate`."""
    held_out, problems = all_fits(trial, names, do, progress)
    members = None
    whole = {name: one for name, one in held_out.items() if one.raced is None}
    if "stack" in names and len(whole) > 1:
        held_out["stack"], members = _stacked(trial, whole)
    elif "stack" in names:
        problems["stack"] = "There is nothing to combine: fewer than two other surrogates could be fitted."
    if not held_out:
        raise Problem(f"Cannot fit any surrogate on these {len(trial.weights)} runs. {problems[names[0]]}")
    standings = {name: Standing(name, problem=text) for name, text in problems.items()}
    scores, regrets = {}, {}
    for _, (standing, *drawn) in do(_judge, list(held_out.items()), lambda *_: progress(1, 1, "judging")):
        standings[standing.name] = standing
        if standing.raced is None:
            scores[standing.name], regrets[standing.name] = drawn
    if members is not None:
        standings["stack"] = replace(standings["stack"], members=members)
    scale = {name: np.array(standings[name].scale) for name in held_out}
    kept = {name: np.stack([one.mean.mean(0), one.std.mean(0) * scale[name]]) for name, one in held_out.items()}
    found, default, why = ranked({name: standings[name] for name in names if name in standings}, scores, regrets)
    folds = trial.parts.shape[1]
    return League(tuple(found), default, len(trial.weights), folds, len(trial.parts), trial.seed, why=why), kept


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
            scored = [one.aggregates[fold] for one in held_out.values() if one.aggregates is not None]  # all have them
            aggregates[fold] = weights @ scored
    weights = convex_weights(means, trial.losses)
    members = {name: float(weight) for name, weight in zip(held_out, weights, strict=True) if weight > 0}
    seconds = sum(one.seconds / len(one.mean) for name, one in held_out.items() if name in members)
    return HeldOut(mean[None], std[None], aggregates, seconds, folds), members


def _judge(trial: Trial, name: str, one: HeldOut) -> tuple[Standing, np.ndarray, np.ndarray]:
    """The standing of held-out predictions, and its bootstrapped scores and regrets (DRAWS,)."""
    losses, mean, std = trial.losses[one.tested], one.mean[:, one.tested], one.std[:, one.tested]
    missed = losses - mean
    scale = scale_of(missed, std)
    ranks = rank_correlations(np.broadcast_to(losses, mean.shape), mean, trial.metric_weights).mean(axis=0)
    standardised = missed / (std * scale)
    whole = ~np.isnan(losses).any(axis=1)
    drawn = bootstrap(losses, mean.mean(axis=0), trial.metric_weights, trial.seed)
    standing = Standing(
        name=name,
        spearman=or_null(ranks[2:]),
        mean_spearman=float(ranks[1]),
        aggregate_spearman=or_null(ranks[:1])[0],
        score=float(score_of(ranks)),
        interval=np.nanquantile(drawn[:, 1], [0.025, 0.975]).tolist(),
        rmse=np.sqrt(np.nanmean(missed**2, axis=(0, 1))).tolist(),
        coverage=coverage(missed / std),
        calibrated_coverage=_checked_coverage(standardised, trial.parts[0][:, one.tested]),
        widths=widths_of(standardised),
        regret=regret_of(losses, mean, trial.metric_weights),
        stability=_stability(trial, one.aggregates),
        seconds=one.seconds,
        repeats=len(mean),
        fits=one.fits,
        raced=one.raced,
        scale=scale.tolist(),
        correlation=error_correlation(standardised.mean(axis=0)[whole]).tolist(),
    )
    regrets = drawn_regrets(losses, mean.mean(axis=0), trial.metric_weights, trial.seed)
    return standing, drawn[:, 0], regrets


def _checked_coverage(standardised: np.ndarray, parts: np.ndarray) -> dict[str, float]:
    """Coverage of errors (F, R, M) by the widths that the errors in other folds (folds, R) ask for."""
    counts = np.array([np.isfinite(standardised[:, part]).sum() for part in parts])
    inside = [
        coverage(standardised[:, part], widths_of(standardised[:, ~part]))
        for part, count in zip(parts, counts, strict=True)
        if count
    ]
    return {level: float(np.average([one[level] for one in inside], weights=counts[counts > 0])) for level in LEVELS}


def _stability(trial: Trial, aggregates: np.ndarray | None) -> float | None:
    """Mean L1 between the mixtures that refits recommend, each the mean of the best candidates by aggregates (F, N),
    NaN where there was no fit; None with fewer than two."""
    if trial.candidates is None or aggregates is None or np.isnan(aggregates[:, 0]).sum() > len(aggregates) - 2:
        return None
    aggregates = aggregates[~np.isnan(aggregates[:, 0])]
    count = max(1, round(RECOMMENDED * aggregates.shape[1]))
    chosen = np.array([lowest(values, count) for values in aggregates])
    mixtures = trial.candidates[chosen].mean(axis=1)
    gaps = np.abs(mixtures[:, None] - mixtures).sum(axis=2)
    return float(gaps[np.triu_indices(len(gaps), 1)].mean())
