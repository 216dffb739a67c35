"""LambdaRank (Burges 2010) by LightGBM: boosted trees that learn the order of the runs, not their losses.

All runs are one query; the target is a run's rank. A score has no unit: a monotone curve (isotonic regression of
the losses on the held-out scores of a member) turns it into a loss, and its residuals are the
uncertainty.
"""

from dataclasses import dataclass

import numpy as np

from engine.spec.statistics import groups
from engine.surrogates.base import centre_and_spread, noise_of
from engine.surrogates.lightgbm import LightGBM, packed

ROUNDS = 120
KNOTS = 64  # most points of a curve


@dataclass(kw_only=True)
class LambdaRank(LightGBM):
    """scores, levels (M, KNOTS): the curve from score to loss, both growing."""

    title = "LambdaRank"
    summary = "Boosted trees that learn only which of two runs is better; their scores are mapped to losses."
    complexity = 8

    scores: np.ndarray
    levels: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        texts, noise, curves = [], [], []
        for m, rows in enumerate(~np.isnan(losses).T):
            own, scored = cls._out_of_fold(weights[rows], losses[rows, m], seed)
            curve = rising(scored, losses[rows, m])
            missed = losses[rows, m] - np.interp(scored, *curve)
            texts.append(own)
            curves.append(curve)
            noise.append(noise_of(missed[:, None], centre_and_spread(losses[rows, m])[1])[0])
        scores, levels = np.stack(curves, axis=1)
        return cls(noise=np.array(noise), texts=packed(texts), scores=scores, levels=levels)

    @classmethod
    def _boost(cls, weights, losses, held, seed):
        import lightgbm

        count = int((~held).sum())
        levels = groups(losses[~held])
        settings = {
            "objective": "lambdarank",
            "learning_rate": 0.1,
            "verbosity": -1,
            "seed": seed,
            "num_threads": 1,
            "min_child_samples": int(np.clip(len(losses) // 32, 2, 20)),
            "deterministic": True,
            "force_col_wise": True,
            "label_gain": ",".join(map(str, range(count))),
            "lambdarank_truncation_level": count,
        }
        train = lightgbm.Dataset(weights[~held], levels, group=[count], params=settings)
        return lightgbm.train(settings, train, ROUNDS, keep_training_booster=True)

    def _predictions(self, weights):
        scored = super()._predictions(weights)
        for m in range(scored.shape[1]):
            scored[:, m] = np.interp(scored[:, m], self.scores[m], self.levels[m])
        return scored


def rising(scores: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (KNOTS,), (KNOTS,) of the isotonic curve from scores to losses (R,), one for each of its steps."""
    from scipy.optimize import isotonic_regression

    different, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(which, losses) / counts  # runs of one score have one loss to the trees
    found = isotonic_regression(means, weights=counts)
    starts = found.blocks[:-1]
    centres = np.add.reduceat(different * counts, starts) / np.add.reduceat(counts, starts)
    levels = found.x[starts]
    kept = np.unique(np.linspace(0, len(starts) - 1, KNOTS).astype(int))
    kept = np.append(kept, np.repeat(kept[-1], KNOTS - len(kept)))
    return centres[kept], levels[kept]
