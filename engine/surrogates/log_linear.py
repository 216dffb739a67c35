"""The log-linear law of data mixing: L(p) = c + exp(t . p), one exponential per metric.

Data Mixing Laws (arXiv:2403.16952) and Olmix (arXiv:2602.12237). The factor k of k exp(t . p) is absorbed in
t, since shares sum to one. The asymptote is exp(c) in the papers; here its sign is free, so scores can be
fitted too.
"""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.law import DEPTHS, HIGHEST, Law, fitted_line, floors_below

PENALTY = 1e-4  # a weak prior that all t are equal: a domain that no run contains must stay finite


@dataclass(kw_only=True)
class LogLinear(Law):
    """law (M, D + 1): asymptote and exponents."""

    title = "Log-linear law"
    summary = "Each loss is a floor plus one exponential of the shares: a published law that extends to larger models."
    complexity = 2
    convex = True

    @staticmethod
    def value_and_slope(weights, law):
        part = np.exp(np.minimum(law[..., 1:] @ weights.T, HIGHEST))
        slope = np.concatenate([np.ones((*part.shape, 1)), part[..., None] * weights], axis=-1)
        return law[..., :1] + part, slope

    @staticmethod
    def starts(weights, targets, present):
        """For an assumed asymptote the logarithm is linear in the shares."""
        floor = floors_below(targets, present, DEPTHS)
        level, steps = fitted_line(weights, np.log(np.maximum(targets - floor[:, :, None], 1e-9)), present)
        flat = np.concatenate([floor[:, :, None], np.broadcast_to(level[:, :, None], steps.shape)], axis=2)
        return flat + np.concatenate([np.zeros((*steps.shape[:2], 1)), steps], axis=2), flat

    @staticmethod
    def penalties(domains):
        return np.r_[0.0, np.full(domains, PENALTY)]
