"""The power law of data mixing: L(p) = c + (A . p)^(-a), all A positive.

One of the forms that Data Mixing Laws compares (arXiv:2403.16952). The constant b of A . p + b is absorbed in A,
since shares sum to one. A loss falls as a power of the tokens that help it, each domain counting A_j tokens.
"""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.law import HIGHEST, Law, fitted_line, floors_below

PENALTY = 1e-3  # a weak prior that all A are equal, and the power has its starting value
DEPTHS = np.array([0.2, 0.8, 3.0])
POWERS = np.array([0.2, 0.6, 2.0])


@dataclass(kw_only=True)
class PowerLaw(Law):
    """law (M, D + 2): floor, logarithm of the power, logarithms of A."""

    title = "Power law"
    summary = "Each loss is a floor plus a power of the tokens that help it: smooth and rigid."
    complexity = 2

    @staticmethod
    def value_and_slope(weights, law):
        helping = np.exp(np.clip(law[..., 2:], -HIGHEST, HIGHEST))
        base = np.maximum(helping @ weights.T, 1e-12)  # (..., R)
        power = np.exp(np.clip(law[..., 1:2], -5, 3))
        logs = np.log(base)
        part = np.exp(np.minimum(-power * logs, HIGHEST))
        by_power, by_helping = -power * logs * part, (-power * part / base)[..., None] * weights
        by_helping = by_helping * helping[..., None, :]
        slope = np.concatenate([np.ones((*part.shape, 1)), by_power[..., None], by_helping], axis=-1)
        return law[..., :1] + part, slope

    @staticmethod
    def starts(weights, targets, present):
        """For an assumed floor and power, (L - c)^(-1 / a) is linear in the shares."""
        floor = floors_below(targets, present, np.repeat(DEPTHS, len(POWERS)))
        power = np.tile(POWERS, len(DEPTHS))[:, None]
        above = np.maximum(targets - floor[:, :, None], 1e-9)
        level, steps = fitted_line(weights, above ** (-1 / power[:, :, None]), present)
        helping = np.log(np.maximum(level[:, :, None] + steps, 0.02 * level[:, :, None]))
        fixed = np.stack([floor, np.broadcast_to(np.log(power), floor.shape)], axis=2)
        flat = np.broadcast_to(np.log(level)[:, :, None], helping.shape)
        return np.concatenate([fixed, helping], axis=2), np.concatenate([fixed, flat], axis=2)

    @staticmethod
    def penalties(domains):
        return np.r_[0.0, np.full(domains + 1, PENALTY)]
