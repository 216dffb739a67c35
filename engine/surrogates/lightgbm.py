"""Gradient-boosted trees, one a metric, as RegMix fits them (arXiv:2407.01492), but never stopped on test
runs.

RegMix: learning rate 0.01, at most 1,000 rounds, stop after 3 without gain. Its notebook stops on its test
set; here the runs are cut into folds, each member stops on the fold it has not seen, and the mean of the
members predicts. `min_child_samples` grows with the runs: the library's default of 20 forbids any split below
40 rows. The learning
rate is 0.1: fitted on 64 of RegMix's training runs and tested on its other training runs it ranks as 0.01 does
(Spearman .954 both, with linear leaves .969 both), in a ninth of the CPU time, and with as few trees to load.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from engine.surrogates.base import Spanned, centre_and_spread, noise_of

MEMBERS = 3
RATE, ROUNDS, PATIENCE = 0.1, 1000, 3
RUNS_PER_LEAF = 32  # one more run in the smallest leaf for each so many runs, up to the library's 20


@dataclass(kw_only=True)
class LightGBM(Spanned):
    """texts: the boosters as LightGBM writes them, [M][MEMBERS], as the bytes of one JSON list.

    An array of strings would give each the length of the longest: seconds to unpack.
    """

    title = "LightGBM"
    summary = "RegMix's boosted trees: strong from a few hundred runs on, a staircase below."
    complexity = 5
    smallest_leaf: ClassVar[int] = 2
    leaves: ClassVar[dict] = {}

    texts: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        fits = [cls._members(weights[rows], losses[rows, m], seed) for m, rows in enumerate(~np.isnan(losses).T)]
        texts, noise = zip(*fits, strict=True)
        return cls(noise=np.array(noise), texts=np.frombuffer(json.dumps(texts).encode(), np.uint8))

    @classmethod
    def _members(cls, weights: np.ndarray, losses: np.ndarray, seed: int) -> tuple[list[str], float]:
        """The boosters of one metric as texts, and the mean square of what each missed on its held-out
        fold.
        """
        _, spread = centre_and_spread(losses)
        fold = np.random.default_rng(seed).permutation(len(losses)) % min(MEMBERS, len(losses))
        texts, missed = [], np.empty(len(losses))
        for member in range(MEMBERS):
            held = fold == member % (fold.max() + 1)
            booster = cls._boost(weights, losses, held, seed)
            missed[held] = losses[held] - booster.predict(weights[held], num_threads=1)
            texts.append(booster.model_to_string(importance_type="split"))
        return texts, noise_of(missed[:, None], spread)[0]

    @classmethod
    def _boost(cls, weights: np.ndarray, losses: np.ndarray, held: np.ndarray, seed: int):
        import lightgbm

        settings = {
            "objective": "regression", "learning_rate": RATE, "metric": "l2", "verbosity": -1, "seed": seed,
            "min_child_samples": int(np.clip(len(losses) // RUNS_PER_LEAF, cls.smallest_leaf, 20)),
            "num_threads": 1, "deterministic": True, "force_col_wise": True, **cls.leaves,
        }  # fmt: skip
        train = lightgbm.Dataset(weights[~held], losses[~held], params=settings)
        test = lightgbm.Dataset(weights[held], losses[held], reference=train, params=settings)
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        return lightgbm.train(settings, train, ROUNDS, valid_sets=[test], callbacks=[stop],
                              keep_training_booster=True)  # fmt: skip

    @cached_property
    def _boosters(self) -> list[list]:
        import lightgbm

        texts = json.loads(self.texts.tobytes())
        return [[lightgbm.Booster(model_str=text) for text in members] for members in texts]

    def _predictions(self, weights: np.ndarray) -> np.ndarray:
        """(N, M, MEMBERS)."""
        weights = np.ascontiguousarray(weights, float)
        threads = 1 if len(weights) < 10_000 else 0
        return np.stack(
            [
                np.stack([b.predict(weights, num_threads=threads) for b in members], axis=1)
                for members in self._boosters
            ],
            axis=1,
        )

    def mean(self, weights):
        return self._predictions(weights).mean(axis=2)

    def factor(self, weights):
        predictions = self._predictions(weights)
        return (predictions - predictions.mean(axis=2, keepdims=True)) / np.sqrt(MEMBERS - 1)


@dataclass(kw_only=True)
class LightGBMLinear(LightGBM):
    """The same with a linear model in every leaf, which needs a few runs and a penalty to be one."""

    title = "LightGBM, linear leaves"
    summary = "Boosted trees with a straight line in every leaf: trees that can go beyond their best run."
    complexity = 4
    smallest_leaf = 5
    leaves = {"linear_tree": True, "linear_lambda": 0.1}  # noqa: RUF012 (a ClassVar of the parent)
