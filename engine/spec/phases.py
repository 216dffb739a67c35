"""Phases: parts of a run's tokens that have mixtures of their own, and the runs that tell whether their order matters.

A run's shares are those of all its tokens; what is read when is its order. Total shares a (D,) and an order d (D,),
which sums to zero, give each phase f the shares a + v_f d: above the total early where d is positive, below it later.
F phases, D domains.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.core.checks import check_fields, is_number, is_whole
from engine.core.errors import Problem
from engine.spec.starts import START
from engine.spec.statistics import ordered

if TYPE_CHECKING:
    from engine.spec.fidelity import Fidelity
    from engine.spec.frame import Frame
    from engine.spec.study import StudySpec

PHASED = "phased"  # the role of a run whose phases have mixtures of their own
MOST_PHASES = 4
TRIPLES = 12  # mixtures that are trained in both orders, too, where a study does not say how many
STEPS = (1.0, 0.5)  # how far orders go, in parts of the furthest that both of a pair can go
BRANCHES = 3  # of one trunk
PLANNED = "planned phases"
SUM = 1e-6  # tolerance of a sum that must be 1


@dataclass(frozen=True)
class PhasedRun:
    """A run with phases (F, D). twin: the place of the design point with the same shares, or whose training it
    continues, None for neither; branch: whether it is a copy of the twin's weights and moments until the last phase."""

    label: str
    phases: np.ndarray
    twin: int | None
    branch: bool = False


def check_phases(spec: "StudySpec") -> None:
    """Raise Problem unless a study's phases can be trained."""
    if not spec.phases:
        for name in ("order_triples", "branches"):
            if getattr(spec, name):
                raise Problem(
                    f"Cannot use {name} = {getattr(spec, name)!r}: the study has no phases. Give them, as fractions of "
                    "the tokens, or leave it out."
                )
        return
    if spec.merge is not None or (spec.corpus is None) != (spec.fidelity is None):
        raise Problem("Cannot train in phases: only studies that train proxies of their own have phases. Leave them.")
    if not 2 <= len(spec.phases) <= MOST_PHASES:
        raise Problem(f"Cannot train in {len(spec.phases)} phases: give 2 to {MOST_PHASES}, with the fraction of each.")
    for place, phase in enumerate(spec.phases, 1):
        _check_phase(phase, f"phase {place}")
    _check_sum(fractions_of(spec))
    if spec.fidelity is None:  # imported runs, which nobody trains in them
        return
    _check_steps(fractions_of(spec), spec.fidelity)
    for name, count in (("order_triples", triples_of(spec)), ("branches", spec.branches)):
        most = spec.runs if name == "order_triples" else BRANCHES * spec.runs
        if not is_whole(count, 0, most):
            raise Problem(
                f"Cannot use {count!r} as a study's {name}: it must be a whole number from 0 to {most:,}, for "
                f"{spec.runs:,} mixtures of the design."
            )
    if not (triples_of(spec) or spec.branches or planned(spec)):
        raise Problem(
            "Cannot train in phases: with 0 mixtures in both orders, 0 branches and no shares of the phases, no run "
            f"would have any. Ask for {TRIPLES} mixtures in both orders."
        )


def _check_phase(phase: dict[str, Any], what: str) -> None:
    """Raise Problem unless it has a fraction, and shares that are shares or none."""
    check_fields(phase, ("fraction",), ("shares",), what)
    if not is_number(phase["fraction"], 0, 1) or phase["fraction"] in (0, 1):
        raise Problem(f"Cannot use {phase['fraction']!r:.80} as the fraction of {what}: it must be between 0 and 1.")
    shares = phase.get("shares")
    if shares is None:
        return
    if not isinstance(shares, dict) or not all(is_number(one, 0, 1) for one in shares.values()):
        raise Problem(f"Cannot use {shares!r:.80} as the shares of {what}: they must be a share from 0 to 1 by domain.")
    if abs(sum(shares.values()) - 1) > SUM:
        raise Problem(
            f"Cannot use the shares of {what}: they sum to {sum(shares.values()):.6g}, and must to 1; domains that are "
            "not named have 0."
        )


def _check_sum(fractions: np.ndarray) -> None:
    """Raise Problem unless fractions (F,) sum to 1."""
    listed, total = " + ".join(f"{one:g}" for one in fractions), float(fractions.sum())
    if total > 1 + SUM:
        raise Problem(
            f"Cannot train in phases of {listed}: they sum to {total:.6g}, past 1. Each is a fraction of all tokens: "
            "lower some, until they sum to 1."
        )
    if total < 1 - SUM:
        raise Problem(
            f"Cannot train in phases of {listed}: they sum to {total:.6g}, and {1 - total:.6g} of the tokens belongs "
            "to none. Raise some, until they sum to 1."
        )


def _check_steps(fractions: np.ndarray, fidelity: "Fidelity") -> None:
    """Raise Problem for a phase within the warm-up, or without a step."""
    listed = " + ".join(f"{one:g}" for one in fractions)
    for place, fraction in enumerate(fractions, 1):
        if fraction < fidelity.warmup:
            raise Problem(
                f"Cannot train in phases of {listed}: phase {place} is shorter than the warm-up, {fidelity.warmup:g} "
                "of the steps. Make it longer, or the warm-up shorter."
            )
    ends = [0, *phase_ends(fractions.tolist(), fidelity.steps)]
    for place, fraction in enumerate(fractions, 1):
        if ends[place] <= ends[place - 1]:
            raise Problem(
                f"Cannot train in phases of {listed}: phase {place} has no step of the {fidelity.steps:,} that a proxy "
                f"makes. Make it longer than {fraction:g}, or train longer proxies."
            )


def fractions_of(spec: "StudySpec") -> np.ndarray:
    """(F,) of the tokens."""
    return np.array([phase["fraction"] for phase in spec.phases], float)


def triples_of(spec: "StudySpec") -> int:
    """How many mixtures of the design are trained in both orders, too."""
    if spec.order_triples is not None:
        return spec.order_triples
    return min(TRIPLES, spec.runs) if spec.phases and spec.fidelity is not None else 0


def planned(spec: "StudySpec") -> bool:
    """Whether the study says what the shares of its phases are to be."""
    return any(phase.get("shares") is not None for phase in spec.phases)


def phase_ends(fractions: list[float], steps: int) -> list[int]:
    """The steps before which each of F phases ends, the last one with the training."""
    return [round(end * steps) for end in np.cumsum(fractions)[:-1]] + [steps]


# Totals and orders -------------------------------------------------------------------------------------------


def total_of(phases: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """(..., D) shares of all tokens, of the shares of phases (..., F, D)."""
    total: np.ndarray = np.einsum("f,...fd->...d", fractions, phases)
    return total


def contrast(fractions: np.ndarray) -> np.ndarray:
    """(F,) how much an order d raises each phase above the total: falls evenly over the training, and cancels in the
    total. For two phases alpha_1 and -alpha_0."""
    ends = np.cumsum(fractions)
    early: np.ndarray = 1 - ends - np.concatenate([[0.0], ends[:-1]])  # 1 - 2 x the middle of the phase
    return early


def phases_at(total: np.ndarray, order: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """(..., F, D) the shares of phases with a total and an order (..., D)."""
    shares: np.ndarray = total[..., None, :] + contrast(fractions)[:, None] * order[..., None, :]
    return shares


def order_of(phases: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """(..., D) the order of phases (..., F, D): the inverse of `phases_at`, with more than two phases the nearest."""
    weight = fractions * contrast(fractions)
    order: np.ndarray = np.einsum("f,...fd->...d", weight, phases) / (weight @ contrast(fractions))
    return order


def furthest(total: np.ndarray, direction: np.ndarray, fractions: np.ndarray) -> float:
    """The largest step along a direction (D,) at which every phase of a total (D,) still has shares of at least 0, for
    the step and its opposite; 0 where the direction moves what the total has not."""
    moved = np.abs(direction) * np.abs(contrast(fractions)).max()
    if (moved[total <= 0] > 0).any() or not moved.any():
        return 0.0
    return float((total[moved > 0] / moved[moved > 0]).min())


def random_order(total: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(D,) a direction that sums to zero: each domain earlier or later at random, in proportion to its share.

    Signs move more text than other draws do, and tell the domains apart. Zero where the total is; all zeros where fewer
    than two domains have a share.
    """
    there = np.flatnonzero(total > 0)
    if len(there) < 2:
        return np.zeros_like(total)
    signs = rng.permutation(np.where(np.arange(len(there)) % 2, 1.0, -1.0))
    direction = np.zeros_like(total)
    direction[there] = total[there] * (signs - signs @ total[there])
    return direction


# Runs --------------------------------------------------------------------------------------------------------


def phased_runs(spec: "StudySpec", frame: "Frame", points: np.ndarray) -> list[PhasedRun]:
    """The runs of a study's phases, beside its design `points` (n, D), which are trained as one mixture throughout.

    Pairs in opposite orders of the same totals: with the design point a triple, whose differences are order alone. Then
    branches, and the phases that the study says. Raises Problem where too few points have two domains.
    """
    if not spec.phases:
        return []
    fractions, rng = fractions_of(spec), np.random.default_rng([spec.seed, 3])
    return [*_pairs(spec, points, fractions, rng), *_branches(spec, points, fractions), *_planned(spec, frame)]


def _pairs(spec: "StudySpec", points: np.ndarray, fractions: np.ndarray, rng: np.random.Generator) -> list[PhasedRun]:
    """Of those points whose order can move the most text: nearly pure mixtures would tell nothing."""
    directions = [random_order(point, rng) for point in points]
    reach = [furthest(point, one, fractions) for point, one in zip(points, directions, strict=True)]
    orders = np.array(reach)[:, None] * np.array(directions)
    moved, count = np.abs(orders).sum(axis=1), triples_of(spec)
    if (moved > 0).sum() < count:
        raise Problem(
            f"Cannot train {count} mixtures of {spec.name!r} in both orders: {(moved > 0).sum()} of its design have "
            "two domains or more. Ask for as many, or for more runs."
        )
    made = []
    for number, place in enumerate(sorted(ordered(-moved)[:count].tolist())):
        order = STEPS[number % len(STEPS)] * orders[place]
        for sign, name in ((1, "one order"), (-1, "the other order")):
            phases = np.maximum(0, phases_at(points[place], sign * order, fractions))
            made.append(PhasedRun(f"{name}, mixture {place + 1}", phases, place))
    return made


def _branches(spec: "StudySpec", points: np.ndarray, fractions: np.ndarray) -> list[PhasedRun]:
    """Trunks are the first design points, and each branch ends on the mixture of another."""
    made, count = [], len(points)
    for number in range(spec.branches):
        trunk, step = number // BRANCHES, number % BRANCHES + 1
        other = (trunk + step * max(1, count // (BRANCHES + 1))) % count
        phases = np.array([points[trunk]] * (len(fractions) - 1) + [points[other]])
        label = f"mixture {trunk + 1}, then mixture {other + 1}"
        made.append(PhasedRun(label, phases, trunk, branch=True))
    return made


def _planned(spec: "StudySpec", frame: "Frame") -> list[PhasedRun]:
    """The phases that the study says, and one mixture with their totals: their twin. Phases without shares have the
    prior's."""
    if not planned(spec):
        return []
    names = frame.space.names
    if unknown := [name for phase in spec.phases for name in phase.get("shares") or {} if name not in names]:
        raise Problem(f"Cannot plan phases with {unknown[0]!r}: the domains of {spec.name!r} are {', '.join(names)}.")
    own = [phase.get("shares") for phase in spec.phases]
    shares = [frame.prior if one is None else np.array([one.get(name, 0.0) for name in names]) for one in own]
    phases = np.array([one / one.sum() for one in shares])
    total = total_of(phases, fractions_of(spec))
    return [
        PhasedRun(PLANNED, phases, None),
        PhasedRun("one mixture of the planned phases", np.array([total] * len(phases)), None),
    ]


def phased_count(spec: "StudySpec") -> int:
    """How many runs `phased_runs` gives."""
    return 2 * triples_of(spec) + spec.branches + 2 * planned(spec) if spec.phases else 0


def whole_trainings(spec: "StudySpec", role: str, count: int) -> float:
    """What `count` runs of a role cost, in whole trainings of a proxy: a branch costs its last phase alone, the start
    nothing."""
    if role == START:
        return 0.0
    if role != PHASED or spec.fidelity is None:
        return float(count)
    steps = spec.fidelity.steps
    shared = phase_ends(fractions_of(spec).tolist(), steps)[-2] / steps
    return count - spec.branches * shared
