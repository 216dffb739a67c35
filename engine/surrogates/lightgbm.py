"""Gradient-boosted trees, one per metric, as RegMix fits them (arXiv:2407.01492), but never stopped on test
runs.

RegMix: learning rate 0.01, at most 1,000 rounds, stop after 3 without gain, otherwise the library's defaults. Its
notebook stops on its test set; here the runs are cut into folds, each member stops on its held-out fold, and
the mean of the members predicts. One default is not RegMix's: `min_child_samples` grows with the runs to the library's
20, which forbids any split below 40 rows and has RegMix's trees predict a constant there.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from engine.surrogates.base import Ensemble, centre_and_spread, noise_of

MEMBERS = 3
RUNS_PER_LEAF = 32  # runs per run in the smallest leaf, up to the library's 20


@dataclass(kw_only=True)
class LightGBM(Ensemble):
    """texts: the boosters as LightGBM writes them, [M][MEMBERS], as the bytes of one JSON list.

    An array of strings would give each the length of the longest: seconds to unpack.
    """

    title = "LightGBM"
    summary = "RegMix's boosted trees: strong from a few hundred runs on, coarse steps below."
    complexity = 8
    slow = True
    smallest_leaf: ClassVar[int] = 2
    rate: ClassVar[float] = 0.01
    rounds: ClassVar[int] = 1000
    patience: ClassVar[int | None] = 3  # rounds without gain on the held-out fold; None: never stop
    settings: ClassVar[dict] = {}

    texts: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        fits = [cls._members(weights[rows], losses[rows, m], seed) for m, rows in enumerate(~np.isnan(losses).T)]
        texts, noise = zip(*fits, strict=True)
        return cls(noise=np.array(noise), texts=packed(texts))

    @classmethod
    def _members(cls, weights: np.ndarray, losses: np.ndarray, seed: int) -> tuple[list[str], float]:
        """The boosters of one metric as texts, and each one's mean squared error on its held-out fold."""
        texts, predicted = cls._out_of_fold(weights, losses, seed)
        return texts, noise_of((losses - predicted)[:, None], centre_and_spread(losses)[1])[0]

    @classmethod
    def _out_of_fold(cls, weights: np.ndarray, losses: np.ndarray, seed: int) -> tuple[list[str], np.ndarray]:
        """The boosters of one metric as texts, and their held-out predictions (R,)."""
        fold = np.random.default_rng(seed).permutation(len(losses)) % min(MEMBERS, len(losses))
        texts, predicted = [], np.empty(len(losses))
        for member in range(MEMBERS):
            held = fold == member % (fold.max() + 1)
            booster = cls._boost(weights, losses, held, seed)
            predicted[held] = booster.predict(weights[held], num_threads=1)
            texts.append(booster.model_to_string(importance_type="split"))
        return texts, predicted

    @classmethod
    def _boost(cls, weights: np.ndarray, losses: np.ndarray, held: np.ndarray, seed: int):
        import lightgbm

        settings = {
            "objective": "regression",
            "learning_rate": cls.rate,
            "metric": "l2",
            "verbosity": -1,
            "seed": seed,
            "min_child_samples": int(np.clip(len(losses) // RUNS_PER_LEAF, cls.smallest_leaf, 20)),
            "num_threads": 1,
            "deterministic": True,
            "force_col_wise": True,
            **cls.settings,
        }
        train = lightgbm.Dataset(weights[~held], losses[~held], params=settings)
        if cls.patience is None:
            return lightgbm.train(settings, train, cls.rounds, keep_training_booster=True)
        test = lightgbm.Dataset(weights[held], losses[held], reference=train, params=settings)
        stop = lightgbm.early_stopping(cls.patience, verbose=False)
        return lightgbm.train(
            settings, train, cls.rounds, valid_sets=[test], callbacks=[stop], keep_training_booster=True
        )

    @cached_property
    def boosters(self) -> list[list]:
        """[M][MEMBERS] of lightgbm.Booster."""
        import lightgbm

        texts = json.loads(self.texts.tobytes())
        return [[lightgbm.Booster(model_str=text) for text in members] for members in texts]

    def _predictions(self, weights: np.ndarray) -> np.ndarray:
        """(N, M, MEMBERS)."""
        weights = np.ascontiguousarray(weights, float)
        threads = 1 if len(weights) < 10_000 else 0
        return np.stack(
            [np.stack([b.predict(weights, num_threads=threads) for b in members], axis=1) for members in self.boosters],
            axis=1,
        )

    def contributions(self, weights: np.ndarray) -> np.ndarray:
        """(N, M, D + 1) SHAP values of each domain's share, then what they start from; they sum to the mean.

        LightGBM's own `pred_contrib` (exact for trees: Lundberg et al., arXiv:1802.03888). Raises Problem for trees
        with linear leaves, which LightGBM does not explain.
        """
        weights = np.ascontiguousarray(np.atleast_2d(weights), float)
        return np.stack(
            [
                np.mean([b.predict(weights, pred_contrib=True, num_threads=1) for b in members], axis=0)
                for members in self.boosters
            ],
            axis=1,
        )


def packed(texts) -> np.ndarray:
    """Texts of boosters as the bytes of a JSON list."""
    return np.frombuffer(json.dumps(texts).encode(), np.uint8)
