"""What runs were trained under beside their mixture: how often they repeat text.

Most surrogates see shares alone, so only runs under the usual conditions may reach them. R runs, D domains.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Conditions:
    """repeats (D,): passes over a domain's text that a share of one makes in the real run, NaN where its text is
    unknown; doses (R, D): the part of the usual text that each run saw of a domain, 1 in most."""

    repeats: np.ndarray
    doses: np.ndarray

    def take(self, rows: np.ndarray) -> Self:
        """Those of some runs."""
        return type(self)(self.repeats, self.doses[rows])

    @property
    def usual(self) -> np.ndarray:
        """(R,) which runs saw all of the usual text."""
        unchanged: np.ndarray = (self.doses == 1).all(axis=1)
        return unchanged

    @classmethod
    def unknown(cls, runs: int, domains: int) -> Self:
        """Where nothing is known of how much text there is."""
        return cls(np.full(domains, np.nan), np.ones((runs, domains)))
