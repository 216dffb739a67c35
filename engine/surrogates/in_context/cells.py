"""What the network reads of a study: one row of numbers for each cell, a run's share of a domain.

Beside the share and the run's loss it is given what closed forms tell at once: the coefficients of two ridge
regressions and what these miss of each run when it is left out (Allen 1974). A network can learn to regress, but that
alone takes most of its training (Garg et al., arXiv:2208.01066). T tables, n runs, D domains.
"""

import numpy as np

from engine.surrogates.warps import FLOOR

CHANNELS = 18
RIDGES = (0.05, 1.0)  # penalties, for features whose squares sum to 1 and targets of variance 1


def cells(shares: np.ndarray, targets: np.ndarray, repeats: np.ndarray) -> np.ndarray:
    """(T, n, D, CHANNELS) in float32 of shares (T, n, D), standardised targets (T, n) and repeats (T, D): passes that a
    share of one makes, NaN where unknown."""
    _, runs, domains = shares.shape
    logs, roots = np.log(shares + FLOOR), np.sqrt(shares)
    own_log, own_root = logs.std(axis=1, keepdims=True), roots.std(axis=1, keepdims=True)
    z_log, z_root = ((x - x.mean(axis=1, keepdims=True)) / (s + 1e-3) for x, s in ((logs, own_log), (roots, own_root)))
    y = targets[:, :, None]
    known = np.isfinite(repeats)[:, None]
    passes = np.log1p(shares * np.nan_to_num(repeats)[:, None]) / 3
    lines = np.concatenate([z_log, z_root], axis=2) / np.sqrt(2 * domains)
    coefficients, missed = zip(*(ridge(lines, targets, penalty) for penalty in RIDGES), strict=True)
    columns = [roots, logs / 3 + 1, z_log, z_root, y, y * z_log, y * z_root, passes, known, own_log / 2, own_root * 3]
    columns += [np.full((1, 1, 1), np.log(runs) / 3 - 1), np.full((1, 1, 1), np.log(domains) / 3 - 0.7)]
    for slopes in coefficients:
        columns += [slopes[:, None, :domains], slopes[:, None, domains:]]
    columns.append(np.clip(missed[1], -5, 5)[:, :, None])
    found = np.empty((*shares.shape, CHANNELS), np.float32)
    for place, column in enumerate(columns):
        found[..., place] = column
    return found


def ridge(lines: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (T, P), on the scale of features of unit variance, and leave-one-out misses (T, n) of features (T,
    n, P)."""
    kernel = lines @ lines.transpose(0, 2, 1) + penalty * np.eye(lines.shape[1])
    inverse = np.linalg.inv(kernel)
    dual = np.einsum("tnm,tm->tn", inverse, targets)
    slopes = np.einsum("tnp,tn->tp", lines, dual) / np.sqrt(lines.shape[2]) * 3
    return slopes, dual / np.einsum("tnn->tn", inverse)
