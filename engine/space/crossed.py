"""Groups that share domains, such as sources and topics: which mixtures keep the bounds of all of them.

Disjoint groups have a projection of one price each (engine/space/simplex.py); crossed ones are a quadratic programme.
D domains, C constraints rows @ shares >= least.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import Problem
from engine.space.groups import TOLERANCE, Block

if TYPE_CHECKING:
    from engine.space.simplex import Simplex

NO_ROOM = 1e-14  # of the system below: it has a solution, but for rounding
SLACK = TOLERANCE / 10  # of each bound, so that bounds which meet in one point do not contradict each other by rounding
GROUP = "group "  # before the name of one, in words
STEPS = 10  # of its active set, for each constraint, at most: a few are usual


@dataclass(frozen=True)
class Crossed:
    """rows (C, D), least (C,): what mixtures keep; names (C,): each in words, with its number; empty for those that
    cannot give way: the sum, shares of at least 0, and ratios."""

    rows: np.ndarray
    least: np.ndarray
    names: tuple[str, ...]

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The Euclidean projections (n, D) of points (n, D). Raises Problem where no mixture keeps all bounds.

        A least-distance programme: the multipliers are the non-negative least squares of one linear system, found by
        an active set in finitely many steps (Lawson and Hanson 1974, chapter 23). Dykstra's iterations take
        50 to 200 sweeps to come as near; this is exact, and takes .02 ms for 6 domains, .3 ms for 64.
        """
        from scipy.optimize import nnls  # a quarter of a command's start, and few studies have crossed groups

        found, aim = np.empty_like(points), np.zeros(points.shape[1] + 1)
        aim[-1] = 1.0
        for place, point in enumerate(points):
            short = self.least - self.rows @ point
            size = max(np.abs(short).max(), TOLERANCE)  # so that a far point's system is as well scaled as a near one's
            system = np.concatenate([self.rows.T, (short / size)[None]])
            multipliers, _ = nnls(system, aim, maxiter=STEPS * len(short))
            rest = system @ multipliers - aim
            if -rest[-1] <= NO_ROOM:  # the bounds contradict each other, with these multipliers
                self.refuse()
            found[place] = point - size * rest[:-1] / rest[-1]
        return found

    def refuse(self) -> None:
        """Raise Problem that names the bounds that cannot be kept together, and by how much they miss each other."""
        from scipy.optimize import linprog

        count = self.rows.shape[1]
        hard = np.array([name == "" for name in self.names])
        rows = -np.column_stack([self.rows, ~hard])  # every bound that may give way does by the last variable
        sure = {"primal_feasibility_tolerance": SLACK, "dual_feasibility_tolerance": SLACK}
        found = linprog(np.eye(count + 1)[-1], rows, -self.least, bounds=[(0, None)] * (count + 1), options=sure)
        if found.status:
            raise Problem("Cannot keep the ratios of all groups: together they leave no mixture. Free some of them.")
        against = np.flatnonzero(found.ineqlin.marginals < -TOLERANCE)
        clash = [self.names[row] for row in against if self.names[row]]
        tied = (self.rows[against].min(axis=1) < 0) & (self.rows[against].max(axis=1) > 0)
        kept = " while groups keep their ratios" if tied.any() else ""
        clash = clash or [name for name in self.names if name.startswith(GROUP)]  # too near to tell which
        raise Problem(
            f"Cannot keep these bounds together{kept}: {', '.join(dict.fromkeys(clash))}. Each of them would have to "
            f"give way by {found.x[-1]:.2g} of the tokens. Widen some, until one mixture keeps all."
        )


def crossed_of(space: "Simplex", blocks: tuple[Block, ...]) -> Crossed:
    """The constraints of domains and of the groups that share some, whose own they are. Raises Problem where no mixture
    is left."""
    names, lower, upper = space.names, space.lower, space.upper
    count, rows, least, said = len(names), list[np.ndarray](), list[float](), list[str]()

    def keep(row: np.ndarray, bound: float, words: str) -> None:
        rows.append(row)
        least.append(bound)
        said.append(words)

    for sign in (1.0, -1.0):
        keep(np.full(count, sign), sign, "")
    for i, name in enumerate(names):
        keep(np.eye(count)[i], lower[i], f"{name} at least {lower[i]:.4g}" if lower[i] > 0 else "")
        if upper[i] < 1:
            keep(-np.eye(count)[i], -upper[i], f"{name} at most {upper[i]:.4g}")
    for group, block in zip(space.groups, blocks, strict=True):
        member = np.isin(np.arange(count), block.places).astype(float)
        if group.lower > 0:
            keep(member, group.lower, f"{GROUP}{group.name} at least {group.lower:.4g}")
        if group.upper < 1:
            keep(-member, -group.upper, f"{GROUP}{group.name} at most {group.upper:.4g}")
        for place, ratio in zip(block.places, () if block.ratios is None else block.ratios, strict=False):
            for sign in (1.0, -1.0):
                keep(sign * (np.eye(count)[place] - ratio * member), 0.0, "")
    slack = np.where(np.arange(len(least)) < 2, 0, SLACK)  # the sum is one
    made = Crossed(np.array(rows), np.array(least) - slack, tuple(said))
    made.nearest(np.full((1, count), 1 / count))  # is there any?
    return made
