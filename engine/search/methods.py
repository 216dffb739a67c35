"""How the answer is taken from the draws: one function per method, one table.

A method is a function (score, space, prior (D,), elite (K, D), rng) -> shares (D,): `score` gives the predicted
aggregate of mixtures (N, D), lower is better; `elite` are the best draws, best first. K elites, D domains.
"""

from collections.abc import Callable

import numpy as np

from engine.core.errors import Problem
from engine.space.simplex import Space
from engine.spec.statistics import first_lowest, lowest, no_higher, ordered
from engine.surrogates.base import Surrogate

KL_WEIGHT = 0.05  # Olmix's lambda: aggregate units per nat
KL_FLOOR = 1e-6  # share below which the pull towards the prior grows no further
STEP = 1e-5  # of the central differences, in shares
AVERAGED = 128  # draws that RegMix's notebook averages
GENERATIONS, POPULATION = 120, 96
DESCENT = 200  # steps of a descent that follows others

Score = Callable[[np.ndarray], np.ndarray]


def simulate(score: Score, space: Space, prior: np.ndarray, elite: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """RegMix (arXiv:2407.01492, section 3): the average of the best draws."""
    average: np.ndarray = space.project(elite[:AVERAGED].mean(axis=0)[None])[0]
    return average


def convex(score: Score, space: Space, prior: np.ndarray, elite: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Olmix (arXiv:2602.12237): minimise aggregate + 0.05 KL(p || prior) over the space.

    On the log-linear law with weights of one sign this is convex, so it is the one optimum; `refused` says when
    it is not.
    """
    centre = np.maximum(prior, 0) / prior.sum() + KL_FLOOR

    def regularised(points: np.ndarray) -> np.ndarray:
        shares = np.maximum(points, 0)
        divergence: np.ndarray = (shares * np.log((shares + KL_FLOOR) / centre)).sum(axis=1)
        return score(points) + KL_WEIGHT * divergence

    return descend(regularised, space, prior)


def evolve(score: Score, space: Space, prior: np.ndarray, elite: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Differential evolution (Storn and Price 1997) from the best draws: for any surrogate, trees included.

    A child is a parent plus a difference of two others and a pull towards a good one, moved into the space;
    differences of mixtures sum to zero, so it stays a mixture.
    """
    parents = elite[:POPULATION].copy()
    scores = score(parents)
    for _ in range(GENERATIONS):
        count = len(parents)
        one, other = rng.integers(count, size=(2, count))
        leader = ordered(scores)[rng.integers(max(1, count // 8), size=count)]
        reach = rng.uniform(0.3, 0.9, (count, 1))
        moved = reach * (parents[leader] - parents) + reach * (parents[one] - parents[other])
        children = space.project(parents + moved)
        born = score(children)
        better = no_higher(born, scores)
        parents[better], scores[better] = children[better], born[better]
        if np.ptp(parents, axis=0).max() < 1e-4:
            break
    best: np.ndarray = parents[first_lowest(scores)]
    return best


def evolve_from(
    score: Score, space: Space, draws: np.ndarray, rng: np.random.Generator, elite: int = POPULATION
) -> np.ndarray:
    """Evolution from the best `elite` of some draws (N, D): the lowest prediction in under a second."""
    best = space.project(draws[lowest(score(draws), elite)])
    return evolve(score, space, best[0], best, rng)


def optimum(score: Score, space: Space, prior: np.ndarray, elite: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The lowest prediction: evolution, then descent from what it found, from the average of the best draws and from
    the prior.

    Draws alone come nowhere near it where domains are many: of 24, a million leave a third of the way from
    natural to the best mixture (benchmarks/target.py). Where a surrogate has steps, descent stays where it starts.
    """
    evolved = evolve(score, space, prior, elite, rng)
    starts = [evolved, elite[:AVERAGED].mean(axis=0), np.asarray(prior, float)]
    ends = np.array([evolved, *(descend(score, space, start, DESCENT) for start in starts)])
    found: np.ndarray = ends[first_lowest(score(ends))]
    return found


METHODS: dict[str, Callable[..., np.ndarray]] = {
    "optimum": optimum,
    "simulate": simulate,
    "convex": convex,
    "evolve": evolve,
}
DEFAULT_METHOD = "optimum"
TITLES = {
    "optimum": "Lowest prediction: evolution and descent",
    "simulate": "RegMix: average the best draws",
    "convex": "Olmix: convex, stays near the prior",
    "evolve": "Evolution from the best draws",
}


def check_method(
    method: str, surrogate: Surrogate | type[Surrogate], metric_weights: np.ndarray, limited: bool = False
) -> None:
    """Raise Problem if the method is unknown, or not valid for this surrogate. limited: metrics have limits to keep."""
    if method not in METHODS:
        raise Problem(f"Cannot search by {method!r}: choose one of {', '.join(METHODS)}.")
    if method == "convex" and (not surrogate.convex or (metric_weights < 0).any()):
        raise Problem(
            f"Cannot search {surrogate.title} by the convex method: its optimum is unique only for the log-linear law "
            "with metrics where lower is better. Choose log_linear, or the method evolve."
        )
    if method == "convex" and limited:
        raise Problem(
            "Cannot keep limits by the convex method: it has one optimum only without them. Choose the method optimum."
        )


def descend(score: Score, space: Space, start: np.ndarray, steps: int = 400) -> np.ndarray:
    """Spectral projected gradient (Birgin, Martinez and Raydan 2000) with central differences; returns (D,).

    The step follows Barzilai and Borwein; the line search looks at all halvings at once and may climb above the
    last value, not above the last ten.
    """
    at: np.ndarray = space.project(np.asarray(start, float)[None])[0]
    halvings = 0.5 ** np.arange(25)
    value, gradient, step = score(at[None])[0], slope_of(score, at), 0.1
    recent: list[float] = []
    for _ in range(steps):
        recent = [*recent[-9:], value]
        direction = space.project((at - step * gradient)[None])[0] - at
        if np.abs(direction).max() < 1e-9:
            break
        values = score(at + halvings[:, None] * direction)
        fine = values <= max(recent) + 1e-4 * halvings * (gradient @ direction)
        if not fine.any():
            break
        first = int(fine.argmax())
        moved = halvings[first] * direction
        at, value, before = at + moved, values[first], gradient
        gradient = slope_of(score, at)
        bend = moved @ (gradient - before)
        step = float(np.clip(moved @ moved / bend, 1e-8, 1e4)) if bend > 0 else 1e4
    return at


def slope_of(score: Score, at: np.ndarray) -> np.ndarray:
    """(D,) gradient by central differences, one-sided where a share is nearly 0."""
    up, down = at + STEP * np.eye(len(at)), np.maximum(at - STEP * np.eye(len(at)), 0)
    values = score(np.concatenate([up, down]))
    return (values[: len(at)] - values[len(at) :]) / (up - down).diagonal()
