"""A number over sizes by the law E + A N^-a + B T^-b, as far as the sizes tell it.

The exponents a and b stand on a grid and are averaged by their marginal likelihood; E, A and B are integrated out
(Bayesian regression; the form is that of Hoffmann et al., 2022). So one size too few leaves an exponent as open as it
was before, N and T that rise together leave open which of the two did it, and the interval says so by its width.
S sizes; fidelity (S, 2): parameters and tokens, 1 where they are unknown.
"""

import itertools

import numpy as np

EXPONENTS = (0.05, 0.15, 0.3, 0.5, 0.8)
MISFITS = (0.002, 0.005, 0.015, 0.05)  # standard deviations of a size around the law, relative
STEEPNESS = 0.15  # standard deviation of the relative change by e-fold more parameters or tokens, before any run


def curve(
    fidelity: np.ndarray, values: np.ndarray, variances: np.ndarray, target: np.ndarray, unit: float
) -> tuple[float, float]:
    """Mean and variance of a number at `target` (2,), from its values (S,) with variances (S,) at sizes.

    unit: that the number is of the order of; the law is centred on the last size.
    """
    logs, there = np.log(fidelity) - np.log(fidelity[-1]), np.log(target) - np.log(fidelity[-1])
    scaled, errors = values / unit, variances / unit**2
    prior = np.array([100.0, STEEPNESS**2, STEEPNESS**2])
    found = []
    for a, b in itertools.product(EXPONENTS, EXPONENTS):
        known, point = _features(logs, a, b), _features(there[None], a, b)[0]
        spread = known * prior @ known.T
        for misfit in MISFITS:
            covariance = spread + np.diag(errors + misfit**2)
            cross = known * prior @ point
            solved = np.linalg.solve(covariance, np.stack([scaled - 1, cross], axis=1))
            likelihood = -((scaled - 1) @ solved[:, 0] + np.linalg.slogdet(covariance)[1]) / 2
            variance = point * prior @ point - cross @ solved[:, 1] + misfit**2
            found.append((likelihood, 1 + cross @ solved[:, 0], variance))
    likelihoods, means, spreads = np.array(found).T
    weights = np.exp(likelihoods - likelihoods.max())
    weights /= weights.sum()
    mean = weights @ means
    return unit * mean, unit**2 * float(weights @ (spreads + (means - mean) ** 2))


def _features(logs: np.ndarray, a: float, b: float) -> np.ndarray:
    """(S, 3) features of log N and log T (S, 2) from the last size: of slope 1 there."""
    return np.stack([np.ones(len(logs)), np.expm1(-a * logs[:, 0]) / -a, np.expm1(-b * logs[:, 1]) / -b], axis=1)
