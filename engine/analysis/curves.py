"""A number over sizes by the law E + A N^-a + B T^-b, as far as the sizes tell it.

The exponents a and b stand on a grid and are averaged by their marginal likelihood; E, A and B are integrated out
(Bayesian regression; the form is that of Hoffmann et al., 2022). So one size too few leaves an exponent as open as it
was before, N and T that rise together leave open which of the two did it, and the interval says so by its width.
S sizes; fidelity (S, 2): parameters and tokens, 1 where they are unknown.
"""

import numpy as np

EXPONENTS = (0.05, 0.15, 0.3, 0.5, 0.8)
GRID = np.stack(np.meshgrid(EXPONENTS, EXPONENTS), axis=-1).reshape(-1, 2)  # (E, 2): a, b
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
    known, point = _features(logs), _features(there[None])[:, 0]  # (E, S, 3), (E, 3): of each pair of exponents
    cross = np.einsum("esf,ef->es", known * prior, point)
    misfit = np.array(MISFITS)[:, None] ** 2
    own = (errors + misfit)[:, :, None] * np.eye(len(values))  # (F, S, S): of each misfit
    covariance = np.einsum("esf,etf->est", known * prior, known)[:, None] + own  # (E, F, S, S)
    right = np.stack([np.broadcast_to(scaled - 1, cross.shape), cross], axis=-1)[:, None]
    from_values, from_cross = np.moveaxis(np.linalg.solve(covariance, right), -1, 0)  # (E, F, S) each
    likelihoods = -(from_values @ (scaled - 1) + np.linalg.slogdet(covariance)[1]) / 2
    means = 1 + np.einsum("es,efs->ef", cross, from_values)
    before = np.einsum("ef,ef->e", point * prior, point)
    spreads = before[:, None] - np.einsum("es,efs->ef", cross, from_cross) + misfit[:, 0]
    weights = np.exp(likelihoods - likelihoods.max())
    weights /= weights.sum()
    mean = float((weights * means).sum())
    return unit * mean, unit**2 * float((weights * (spreads + (means - mean) ** 2)).sum())


def _features(logs: np.ndarray) -> np.ndarray:
    """(E, S, 3) features of log N and log T (S, 2) from the last size, of slope 1 there, for each pair of exponents."""
    n, t = (np.expm1(-GRID[:, one, None] * logs[:, one]) / -GRID[:, one, None] for one in (0, 1))
    return np.stack([np.ones_like(n), n, t], axis=-1)
