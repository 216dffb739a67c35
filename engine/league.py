"""The league: every surrogate judged by cross-validation on the study's own runs, then fitted to all of them.

A rank correlation from a few dozen runs is itself noisy, so it comes with an interval, and the default
surrogate is the plainest of those that the noise cannot tell from the best: the difference in rank
correlation to the best one is bootstrapped over runs, and a surrogate whose difference is inside the 68%
interval around zero counts as level. What cross-validation says of the errors' size also calibrates the final
fits (R runs, M metrics, F repeats).
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from engine.errors import Problem
from engine.jobs import Job
from engine.surrogates import SURROGATES, Surrogate, save
from engine.workspace import checked_name

FEWEST_RUNS = 5
LEVELS = {
    "50": 0.674490,
    "80": 1.281552,
    "95": 1.959964,
}  # nominal coverage in percent -> standard deviations
DRAWS = 200  # bootstrap draws over runs

Progress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class Standing:
    """What cross-validation found out about one surrogate. Rank correlations are Spearman's, -1 to 1.

    spearman, rmse, scale (M,): per metric (rmse in the metric's unit; scale multiplies the standard
    deviation). mean_spearman: their mean, with its 95% interval `interval`; aggregate_spearman: of the
    metrics' weighted mean. score: the mean of the two, which the league is sorted by. coverage: nominal
    percent -> share of measured losses inside, before and after calibration. regret: how much worse the run
    it would have picked is than the best run, in the aggregate's unit. seconds: of all its fits. level: the
    noise cannot tell it from the best. correlation (M, M): of the metrics' standardised errors. mean, std (R,
    M): out of fold, calibrated. problem: why it could not be fitted, instead of all the rest.
    """

    name: str
    spearman: list[float] | None = None
    mean_spearman: float | None = None
    interval: list[float] | None = None
    aggregate_spearman: float | None = None
    score: float | None = None
    rmse: list[float] | None = None
    coverage: dict[str, float] | None = None
    calibrated_coverage: dict[str, float] | None = None
    regret: float | None = None
    seconds: float = 0.0
    level: bool = False
    scale: list[float] | None = None
    correlation: list[list[float]] | None = None
    mean: list[list[float]] | None = None
    std: list[list[float]] | None = None
    problem: str | None = None


@dataclass(frozen=True)
class League:
    """Standings, best score first, those with a problem last; `default`: the surrogate to use."""

    standings: tuple[Standing, ...]
    default: str
    runs: int
    folds: int
    repeats: int
    seed: int

    def __getitem__(self, name: str) -> Standing:
        return next(standing for standing in self.standings if standing.name == name)

    def to_dict(self) -> dict:
        """As JSON can hold it: no NaN, no arrays."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict) -> "League":
        """What `to_dict` gave."""
        return cls(**{**value, "standings": tuple(Standing(**standing) for standing in value["standings"])})


def cross_validate(
    weights: np.ndarray, losses: np.ndarray, surrogates: list[str] | None = None, *,
    folds: int = 5, repeats: int = 3, seed: int = 0, priorities: np.ndarray | None = None,
    progress: Progress | None = None,
) -> League:  # fmt: skip
    """Judge surrogates on runs: weights (R, D), losses (R, M) with NaN where unmeasured; all of the table by
    default.

    priorities (M,): signed weights of the metrics in the aggregate (their mean by default). Duplicated
    mixtures share a fold, else a surrogate would be asked what it was told. progress(done, total, note) is
    called before each fit.
    Raises Problem for fewer than 5 runs, for unknown names, and when no surrogate can be fitted.
    """
    weights, losses = np.asarray(weights, float), np.asarray(losses, float)
    names = list(SURROGATES) if surrogates is None else list(surrogates)
    _check(weights, names)
    parts = _folds(weights, folds, repeats, seed)
    metrics = losses.shape[1]
    share = np.full(metrics, 1 / metrics) if priorities is None else np.asarray(priorities, float)
    judged, scores = {}, {}
    for place, name in enumerate(names):
        report = _reporter(progress, place * parts.size, len(names) * parts.size, SURROGATES[name].title)
        started = time.process_time()
        try:
            mean, std = _out_of_fold(SURROGATES[name], weights, losses, parts, seed, report)
        except Problem as problem:
            judged[name] = Standing(name, problem=str(problem))
            continue
        standing = _judge(name, losses, mean, std, share)
        scores[name] = _bootstrap(losses, mean.mean(axis=0), share, seed)
        interval = np.quantile(scores[name][:, 1], [0.025, 0.975]).tolist()
        judged[name] = replace(standing, interval=interval, seconds=time.process_time() - started)
    if not scores:
        raise Problem(f"Cannot judge any surrogate on these {len(weights)} runs. {judged[names[0]].problem}")
    return _ranked(judged, scores, len(weights), folds, repeats, seed)


def run(job: Job) -> None:
    """The job "fit": the league of a study's runs, and every surrogate fitted to all of them, calibrated and
    saved.

    spec: {"study", "fingerprint", "domains" [D], "metrics" [M], "runs" [R ids], "weights" [R][D],
    "losses" [R][M] with null, "surrogates" [names] or null, "folds", "repeats", "seed", "priorities" [M] or
    absent}. Saves to surrogates/<study>/<fingerprint>/<name>.npz in the workspace and emits
    `league.finished`.
    """
    spec = job.spec
    weights, losses = np.array(spec["weights"], float), np.array(spec["losses"], float)
    names = spec.get("surrogates") or list(SURROGATES)
    folder = job.workspace / "surrogates" / checked_name(spec["study"], "study")
    folder = folder / checked_name(spec["fingerprint"], "fingerprint")
    final = 0.1  # of the whole, for the last fits
    league = cross_validate(
        weights, losses, names, folds=spec.get("folds", 5), repeats=spec.get("repeats", 3),
        seed=spec.get("seed", 0),
        priorities=spec.get("priorities"),
        progress=lambda done, total, note: job.progress((1 - final) * done / total, 1, note),
    )  # fmt: skip
    fitted = [standing for standing in league.standings if standing.problem is None]
    for place, standing in enumerate(fitted):
        job.progress(1 - final + final * place / len(fitted), 1, f"{SURROGATES[standing.name].title}: final fit")
        save_final(standing, weights, losses, league.seed, folder)
    job.emit("league.finished", study=spec["study"], fingerprint=spec["fingerprint"], runs=len(weights),
             league=league.to_dict())  # fmt: skip
    job.progress(1, 1, "done")


def save_final(standing: Standing, weights: np.ndarray, losses: np.ndarray, seed: int, folder: Path) -> None:
    """Fit one surrogate to all runs, calibrate it by its standing, and save it as `<name>.npz`."""
    surrogate: Surrogate = SURROGATES[standing.name].fit(weights, losses, seed)
    save(surrogate.calibrated(standing.scale, standing.correlation), folder / f"{standing.name}.npz")


def _check(weights: np.ndarray, names: list[str]) -> None:
    if len(weights) < FEWEST_RUNS:
        raise Problem(
            f"Cannot cross-validate on {len(weights)} runs: at least {FEWEST_RUNS} finished runs are needed. "
            "Wait for more proxies, or add runs."
        )
    if unknown := [name for name in names if name not in SURROGATES]:
        raise Problem(f"Cannot fit {', '.join(unknown)}: the surrogates are {', '.join(SURROGATES)}.")


def _reporter(progress: Progress | None, before: int, total: int, title: str) -> Callable[[int, int], None]:
    def report(done: int, parts: int) -> None:
        if progress:
            progress(before + done, total, f"{title}: fit {done + 1} of {parts}")

    return report


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


def _out_of_fold(kind, weights, losses, parts, seed, report) -> tuple[np.ndarray, np.ndarray]:
    """(F, R, M) means and standard deviations, each predicted by a fit that has not seen that run."""
    mean, std = np.empty((2, len(parts), *losses.shape))
    count = len(parts) * len(parts[0])
    for repeat, fold in np.ndindex(parts.shape[:2]):
        report(repeat * len(parts[0]) + fold, count)
        test = parts[repeat, fold]
        fitted = kind.fit(weights[~test], losses[~test], seed)
        mean[repeat, test], std[repeat, test] = fitted.predict(weights[test])
    return mean, std


def _judge(name: str, losses: np.ndarray, mean: np.ndarray, std: np.ndarray, share: np.ndarray) -> Standing:
    """The standing of out-of-fold predictions (F, R, M), without interval and time."""
    missed = losses - mean
    scale = np.sqrt(np.nanmean((missed / std) ** 2, axis=(0, 1)))
    scale = np.maximum(scale, 1e-6)  # a metric that never varies is predicted exactly
    whole = ~np.isnan(losses).any(axis=1)
    ranks = rank_correlations(np.broadcast_to(losses, mean.shape), mean, share).mean(axis=0)
    aggregate, picked = losses[whole] @ share, mean[:, whole] @ share
    regret = (aggregate[picked.argmin(axis=1)] - aggregate.min()).mean() if whole.any() else None
    standardised = (missed / (std * scale)).mean(axis=0)
    return Standing(
        name=name, spearman=ranks[2:].tolist(), mean_spearman=float(ranks[1]),
        aggregate_spearman=float(ranks[0]),
        score=float(ranks[:2].mean()), rmse=np.sqrt(np.nanmean(missed**2, axis=(0, 1))).tolist(),
        coverage=_coverage(missed / std), calibrated_coverage=_coverage(missed / (std * scale)),
        regret=None if regret is None else float(regret), scale=scale.tolist(),
        correlation=_correlation(standardised[whole]).tolist(),
        mean=mean.mean(axis=0).round(6).tolist(), std=(std.mean(axis=0) * scale).round(6).tolist(),
    )  # fmt: skip


def rank_correlations(losses: np.ndarray, predicted: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(..., 2 + M) Spearman of the aggregate, the mean over metrics, and each metric; inputs (..., R, M).

    The aggregate is over runs that have every metric. What cannot be ranked (no variation) counts as 0.
    """
    each = _spearman(np.moveaxis(losses, -1, 0), np.moveaxis(predicted, -1, 0))
    whole = _spearman(losses @ share, predicted @ share)
    return np.stack([whole, each.mean(axis=0), *each], axis=-1)


def _spearman(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Rank correlation over the last axis, NaN in `measured` left out. Ties get their mean rank."""
    from scipy.stats import rankdata

    missing = np.isnan(measured)
    ranks = [rankdata(np.where(missing, np.inf, values), axis=-1) for values in (measured, predicted)]
    count = np.maximum(1, (~missing).sum(axis=-1, keepdims=True))
    left, right = (np.where(missing, 0, r - r.sum(axis=-1, keepdims=True, where=~missing) / count) for r in ranks)
    size = np.sqrt((left**2).sum(axis=-1) * (right**2).sum(axis=-1))
    return np.where(size > 1e-9, (left * right).sum(axis=-1) / np.maximum(size, 1e-9), 0.0)


def _coverage(standardised: np.ndarray) -> dict[str, float]:
    """Nominal percent -> share of the measured losses inside that interval."""
    measured = np.abs(standardised[~np.isnan(standardised)])
    return {level: float((measured <= width).mean()) for level, width in LEVELS.items()}


def _correlation(standardised: np.ndarray) -> np.ndarray:
    """(M, M) correlation of errors (R, M), shrunk towards none as few runs demand (R / (R + 10))."""
    runs, metrics = standardised.shape
    if runs < 3:
        return np.eye(metrics)
    second = standardised.T @ standardised / runs
    size = np.sqrt(np.maximum(np.diag(second), 1e-300))
    return np.eye(metrics) + (second / np.outer(size, size) - np.eye(metrics)) * runs / (runs + 10)


def _bootstrap(losses: np.ndarray, predicted: np.ndarray, share: np.ndarray, seed: int) -> np.ndarray:
    """(DRAWS, 2) score and mean Spearman on runs drawn with replacement; the same draws for every
    surrogate.
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(losses), (DRAWS, len(losses)))
    found = rank_correlations(losses[draws], predicted[draws], share)[:, :2]
    return np.stack([found.mean(axis=1), found[:, 1]], axis=1)


def _ranked(judged: dict[str, Standing], scores: dict[str, np.ndarray], runs, folds, repeats, seed) -> League:
    """Sort, mark those that are level with the best, and take the plainest of these."""
    best = max(scores, key=lambda name: judged[name].score)
    for name in scores:
        behind = judged[best].score - judged[name].score
        noise = (scores[best][:, 0] - scores[name][:, 0]).std()
        judged[name] = replace(judged[name], level=bool(behind <= noise))
    level = [name for name in scores if judged[name].level]
    default = min(level, key=lambda name: (SURROGATES[name].complexity, -judged[name].score))
    order = sorted(judged.values(), key=lambda one: np.inf if one.score is None else -one.score)
    return League(tuple(order), default, runs, folds, repeats, seed)
