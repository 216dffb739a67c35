"""The mixtures that every study must beat: natural, uniform and UniMax; and the epochs each domain would
see.
"""

import numpy as np

from engine.core.errors import Problem
from engine.space.simplex import Simplex


def natural(available: np.ndarray) -> np.ndarray:
    """(D,) shares in proportion to the available tokens (D,): one pass over everything."""
    available = np.asarray(available, float)
    shares: np.ndarray = available / available.sum()
    return shares


def uniform(available: np.ndarray) -> np.ndarray:
    """(D,) the same share for every domain."""
    return np.full(len(available), 1 / len(available))


def unimax(available: np.ndarray, budget: float, cap: float) -> np.ndarray:
    """(D,) as even as `cap` epochs of each domain allow (UniMax, arXiv:2304.09151).

    available (D,) and budget in tokens. The smallest domain takes its cap or an even part of what is left,
    then the next; that is the Euclidean projection of the uniform mixture onto the caps. Raises Problem as
    `epoch_caps`.
    """
    caps = epoch_caps(available, budget, cap)
    space = Simplex(tuple(str(i) for i in range(len(caps))), upper=caps)
    nearest: np.ndarray = space.project(uniform(available)[None])[0]
    return nearest


def epoch_caps(available: np.ndarray, budget: float, cap: float) -> np.ndarray:
    """(D,) the largest share of each domain: `cap` passes over its tokens at a budget in tokens, at most 1.

    available (D,): NaN where unknown; such a domain may take all. Raises Problem when the text does not last: no
    mixture keeps to the cap.
    """
    available = np.asarray(available, float)
    if budget <= 0 or cap <= 0 or (available <= 0).any():
        raise Problem(
            f"Cannot work out epochs for a budget of {budget:g} tokens, a cap of {cap:g} epochs "
            f"and domains of {', '.join(f'{tokens:g}' for tokens in available)} tokens: all must be above 0."
        )
    caps = np.where(np.isnan(available), 1.0, np.minimum(1, cap * available / budget))
    if caps.sum() < 1 - 1e-9:
        enough = np.ceil(budget / available.sum() * 10) / 10
        raise Problem(
            f"Cannot fill a budget of {budget:,.0f} tokens within {cap:g} epochs: all domains together have "
            f"{available.sum():,.0f} tokens. Allow {enough:g} epochs or more, "
            f"add text, or cut the budget to {cap * available.sum():,.0f}."
        )
    return caps


def baselines(available_tokens: np.ndarray, budget_tokens: float, cap: float) -> dict[str, np.ndarray]:
    """The three baselines by name, each (D,). natural and uniform may break the cap: `epochs` tells."""
    return {
        "natural": natural(available_tokens),
        "uniform": uniform(available_tokens),
        "unimax": unimax(available_tokens, budget_tokens, cap),
    }


def epochs(shares: np.ndarray, available_tokens: np.ndarray, budget_tokens: float) -> np.ndarray:
    """How often each domain is seen at the budget: shares (..., D) -> (..., D) passes over its tokens.

    available_tokens (D,): None or NaN where unknown, which gives NaN.
    """
    seen: np.ndarray = np.asarray(shares, float) * budget_tokens / np.asarray(available_tokens, float)
    return seen
