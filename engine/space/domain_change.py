"""When domains change: which runs still count, which domains to vary again, and the cost (Olmix's reuse).

Olmix (arXiv:2602.12237): the ratios inside the group that a change does not touch are frozen and the group becomes
one virtual domain, so a new search needs runs for the touched domains only. R runs, D old and E new domains.
"""

from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem

TRACE = 0.02  # share of a removed domain up to which a run still counts
RUNS_A_DOMAIN = 3  # K >= 3 (D + 1) runs are enough for the log-linear law (Olmix)


@dataclass(frozen=True)
class Change:
    """From the old domains to the new.

    parts: old domain -> {new domain: fraction of it}: {"web": {"web": 1}} unchanged, {"web": {"blogs": 0.7, "news":
    0.3}} split (in the ratio in which it was sampled), {"web": {}} removed. New domains without a part of an old one
    are added. A replaced domain is removed and added. Raises Problem for parts that do not sum to one.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]
    parts: dict[str, dict[str, float]]

    def __post_init__(self) -> None:
        for name in self.old:
            parts = self.parts.get(name)
            if parts is None:
                raise Problem(f"Cannot change domains: {name!r} is missing. Say what it becomes.")
            unknown = [part for part in parts if part not in self.new]
            if unknown or (parts and abs(sum(parts.values()) - 1) > 1e-6) or any(v < 0 for v in parts.values()):
                raise Problem(
                    f"Cannot turn {name!r} into {parts}: give fractions of at least 0 of the new domains "
                    f"{', '.join(self.new)} that sum to 1, or none where it is removed."
                )

    @property
    def unchanged(self) -> list[str]:
        """Domains that are in both and keep their text."""
        return [name for name in self.old if self.parts[name] == {name: 1}]

    @property
    def touched(self) -> list[str]:
        """New domains that must vary again: added, or made from others."""
        return [name for name in self.new if name not in self.unchanged]

    @property
    def removed(self) -> list[str]:
        return [name for name in self.old if not self.parts[name]]

    def matrix(self) -> np.ndarray:
        """(D, E): old shares @ matrix are new shares."""
        return np.array([[self.parts[old].get(new, 0.0) for new in self.new] for old in self.old])


@dataclass(frozen=True)
class Reuse:
    """rows: runs that still count; weights (rows, E): their mixtures of the new domains; virtual (V, E): the touched
    domains, each alone, and last the frozen group: mixtures of these V are what new runs and search vary; names (V,);
    needed: new runs for the law over V; from_scratch: new runs for a law over all domains."""

    rows: np.ndarray
    weights: np.ndarray
    virtual: np.ndarray
    names: list[str]
    needed: int
    from_scratch: int


def reuse(change: Change, weights: np.ndarray, best: np.ndarray) -> Reuse:
    """The runs at weights (R, D) that still count after a change; best (D,): the mixture whose ratios are frozen.

    A run counts while its share of what was removed is at most 2%; the rest is scaled up to one. Raises Problem
    where nothing changes.
    """
    if not change.touched and not change.removed:
        raise Problem("Cannot plan a change of domains: nothing changes. Add, split, replace or remove one.")
    gone = [change.old.index(name) for name in change.removed]
    rows = np.flatnonzero(weights[:, gone].sum(axis=1) <= TRACE)
    moved = weights[rows] @ change.matrix()
    moved /= moved.sum(axis=1, keepdims=True)
    names = list(change.touched)
    virtual = np.eye(len(change.new))[[change.new.index(name) for name in names]]
    if change.unchanged:
        frozen = np.array([best[change.old.index(name)] if name in change.unchanged else 0.0 for name in change.new])
        if frozen.sum() <= 0:  # the best mixture held none of them: all alike
            frozen = np.array([float(name in change.unchanged) for name in change.new])
        virtual = np.concatenate([virtual, frozen[None] / frozen.sum()])
        names.append("unchanged: " + ", ".join(change.unchanged))
    needed = RUNS_A_DOMAIN * (len(names) + 1) if change.touched else 0
    return Reuse(rows, moved, virtual, names, needed, RUNS_A_DOMAIN * (len(change.new) + 1))
