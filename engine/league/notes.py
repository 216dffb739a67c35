"""What is unexpected about a study's runs, in sentences: what surrogates fitted on them can not say.

R runs, D domains, M metrics.
"""

import numpy as np

from engine.surrogates.base import FEWEST

SCALES = 1e4  # ratio of the metrics' spreads from which on they count as wildly different
NAMED = 6  # names in a sentence


def notes(weights: np.ndarray, losses: np.ndarray, domains: list[str], metrics: list[str]) -> list[str]:
    """Of weights (R, D) and losses (R, M) with NaN where a run lacks a metric; empty where all is well."""
    runs, said = len(weights), []
    different = len(np.unique(np.round(weights, 6), axis=0))
    if runs <= len(domains):
        said.append(
            f"There are {runs} runs for {len(domains)} domains: a straight line alone has {len(domains)} slopes, so "
            "what surrogates say rests on their assumptions. Train more runs."
        )
    if different < runs:
        said.append(
            f"{runs - different} of {runs} runs repeat a mixture: they tell of the noise, but {different} mixtures "
            "are all there is to learn from. In cross-validation equal mixtures stay together."
        )
    if never := named(domains, weights.max(axis=0) <= 0):
        said.append(f"No run holds any of {never}: what it does is not known. Keep it out, or train runs with it.")
    fixed = (np.ptp(weights, axis=0) < 1e-9) & (weights.max(axis=0) > 0)
    if same := named(domains, fixed):
        said.append(f"All runs hold the same share of {same}: its effect cannot be told.")
    return said + _of_metrics(losses, metrics)


def _of_metrics(losses: np.ndarray, metrics: list[str]) -> list[str]:
    known, said = np.isfinite(losses), []
    counts = known.sum(axis=0)
    spread = np.array([np.std(x[np.isfinite(x)]) if np.isfinite(x).any() else 0.0 for x in losses.T])
    if few := named(metrics, counts < FEWEST):
        said.append(f"Fewer than {FEWEST} runs measured {few}: no surrogate can be fitted. Leave it out, or run more.")
    partial = (counts >= FEWEST) & (counts < len(losses))
    counted = [f"{name} ({count} of {len(losses)})" for name, count in zip(metrics, counts, strict=True)]
    if some := named(counted, partial):
        said.append(f"Not every run measured {some}: each metric is fitted on the runs that have it.")
    same_value = np.nanmax(losses, axis=0, initial=-np.inf) == np.nanmin(losses, axis=0, initial=np.inf)
    constant = (counts >= FEWEST) & same_value
    if same := named(metrics, constant):
        said.append(f"All runs measured the same {same}: there is nothing to rank, and it stays out of every mean.")
    varied = spread[(spread > 0) & ~same_value]
    if len(varied) > 1 and varied.max() > SCALES * varied.min():
        said.append(
            f"The metrics' spreads differ {varied.max() / varied.min():.0e}-fold: in a plain weighted mean only the "
            "largest would count. Turn the priorities, or give them units, so that each is divided by its spread."
        )
    return said


def named(names: list[str], which: np.ndarray) -> str:
    """The names chosen by which (N,) bool, the first few of many; empty for none."""
    chosen = [name for name, is_one in zip(names, which, strict=True) if is_one]
    more = f" and {len(chosen) - NAMED} more" if len(chosen) > NAMED else ""
    return ", ".join(chosen[:NAMED]) + more
