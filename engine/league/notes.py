"""Warnings about a study's runs: limits of the surrogates fitted on them.

R runs, D domains, M metrics.
"""

from typing import NamedTuple

import numpy as np

from engine.core.short_names import listed
from engine.surrogates.base import FEWEST

SCALES = 1e4  # ratio of the metrics' standard deviations above which they are flagged
NAMED = 6  # names in a sentence


class Words(NamedTuple):
    """What a point of a study, its coordinates and the value of one are called."""

    point: str
    coordinates: str
    value: str


WORDS = {"mixture": Words("mixture", "domains", "share"), "merge": Words("merge", "coefficients", "coefficient")}


def notes(
    weights: np.ndarray, losses: np.ndarray, domains: list[str], metrics: list[str], kind: str = "mixture"
) -> list[str]:
    """Of weights (R, D) and losses (R, M) with NaN where a run lacks a metric; empty if there are none. kind: of the
    study's points, a key of WORDS.
    """
    words = WORDS[kind]
    runs, said = len(weights), []
    different = len(np.unique(np.round(weights, 6), axis=0))
    if runs <= len(domains):
        said.append(
            f"There are {runs} runs for {len(domains)} {words.coordinates}: a straight line alone has {len(domains)} "
            "slopes, so predictions rest on the surrogates' assumptions. Measure more runs."
        )
    if different < runs:
        said.append(
            f"{runs - different} of {runs} runs repeat a {words.point}: they measure the noise, and only {different} "
            f"{words.point}s remain to learn from. In cross-validation equal {words.point}s stay together."
        )
    if never := named(domains, np.abs(weights).max(axis=0) <= 0):
        said.append(f"No run has any of {never}: its effect is unknown. Keep it out, or measure runs with it.")
    fixed = (np.ptp(weights, axis=0) < 1e-9) & (np.abs(weights).max(axis=0) > 0)
    if same := named(domains, fixed):
        said.append(f"All runs have the same {words.value} of {same}: its effect is unknown.")
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
            f"The metrics' standard deviations differ {varied.max() / varied.min():.0e}-fold: in a plain weighted mean "
            "only the largest would count. Change the priorities, or give them units: then each is divided by its own."
        )
    return said


def named(names: list[str], which: np.ndarray) -> str:
    """The names selected by which (N,) bool, the first few of many; empty if there are none."""
    return listed([name for name, is_one in zip(names, which, strict=True) if is_one], NAMED)
