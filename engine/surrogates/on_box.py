"""A surrogate of merges: one of the table, evaluated at coefficients instead of shares."""

from dataclasses import dataclass, replace

import numpy as np

from engine.space.box import Box
from engine.surrogates.base import Surrogate


@dataclass(kw_only=True)
class OnBox(Surrogate):
    """member: fitted to points encoded by `Box.features`; box: bounds of its coefficients."""

    member: Surrogate
    box: Box

    @classmethod
    def around(cls, member: Surrogate, box: Box) -> "OnBox":
        """The member, with its noise and calibration."""
        own = {"noise": member.noise, "scale": member.scale, "correlation": member.correlation}
        return cls(**own, member=member, box=box)

    @property
    def title(self) -> str:
        return self.member.title

    @property
    def caveats(self) -> list[str]:
        return self.member.caveats

    @property
    def convex(self) -> bool:
        return self.member.convex

    @classmethod
    def _learn(cls, weights, losses, seed):
        raise TypeError("fit a member of the table to the box's features, and wrap it")

    def mean(self, weights):
        return self.member.mean(self.box.features(weights))

    def covariance(self, weights):
        return self.member.covariance(self.box.features(weights))

    def moments(self, weights):
        return self.member.moments(self.box.features(weights))

    def calibrated(self, scale: np.ndarray, correlation: np.ndarray) -> "OnBox":
        return replace(super().calibrated(scale, correlation), member=self.member.calibrated(scale, correlation))
