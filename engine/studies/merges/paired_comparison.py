"""Merging as a proxy for mixtures: do merges at coefficients p rank like proxies trained on shares p?

The merges cost seconds, the proxies hours: if the two rank alike, merging may replace proxy runs
(MergeMix, arXiv:2601.17858; Merge to Mix, arXiv:2505.16066). Uses the store. M metrics, P mixtures.
"""

from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.spec.merge import PAIRED
from engine.spec.statistics import correlation, counted_ranks, spearman
from engine.studies.measured import aggregate_of
from store import runs, studies
from store.database import Store

DRAWS = 1000
FEWEST = 6
LEVEL = (2.5, 97.5)


@dataclass(frozen=True)
class PairedComparison:
    """metrics: M names, then the aggregate; rank (M + 1,): Spearman over the mixtures, low, high: its 95% interval by
    resampling mixtures; merged, trained (P, M): losses of each mixture's merge and of its proxy; points (P, D): shares.
    """

    metrics: list[str]
    rank: np.ndarray
    low: np.ndarray
    high: np.ndarray
    merged: np.ndarray
    trained: np.ndarray
    points: np.ndarray
    runs: list[str]


def paired_comparison(store: Store, study: studies.Study) -> PairedComparison:
    """Compare a merge study with its mixture study. Raises Problem if there is nothing to compare yet."""
    of = (study.spec.get("merge") or {}).get("of")
    if not of:
        raise Problem(f"Cannot compare {study.name!r} with mixtures: its `of` does not name a mixture study.")
    other, own = studies.get(store, of), runs.measured(store, study.id)
    theirs = runs.measured(store, other.id)
    place = {run: row for row, run in enumerate(theirs.ids)}
    pairs = [
        (row, place[label])
        for row, (role, label) in enumerate(zip(own.roles, own.labels, strict=True))
        if role == PAIRED and label in place
    ]
    if len(pairs) < FEWEST:
        raise Problem(
            f"Cannot compare merges with mixtures yet: {len(pairs)} of them are measured both ways, and {FEWEST} are "
            "the fewest. Wait for more runs."
        )
    mine, others = (np.array(rows) for rows in zip(*pairs, strict=True))
    columns = [other.metrics.index(metric) for metric in study.metrics]
    merged, trained = own.losses[mine], theirs.losses[others][:, columns]
    aggregate = aggregate_of(store, study)
    both = [np.column_stack([losses, aggregate.of(losses)]) for losses in (merged, trained)]
    rank, low, high = correlations(*both)
    return PairedComparison(
        [*study.metrics, aggregate.title],
        rank,
        low,
        high,
        merged,
        trained,
        own.weights[mine],
        [theirs.ids[i] for i in others],
    )


def correlations(left: np.ndarray, right: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spearman (C,) between the columns of left and right (P, C), and its 95% interval by resampling rows.

    NaN where the right one does not vary, 0 where the left one does not.
    """
    count = len(left)
    drawn = np.random.default_rng(seed).integers(count, size=(DRAWS, count))
    counts = np.zeros((DRAWS, count))
    np.add.at(counts, (np.arange(DRAWS)[:, None], drawn), 1)
    known = counts * np.isfinite(right).T[:, None]  # (C, DRAWS, P)
    found = correlation(*(counted_ranks(values.T, known) for values in (right, left)), known)  # (C, DRAWS)
    ends = np.full((2, len(found)), np.nan)
    if (varied := np.isfinite(found).any(axis=1)).any():
        ends[:, varied] = np.nanpercentile(found[varied], LEVEL, axis=1)
    return spearman(right.T, left.T), ends[0], ends[1]
