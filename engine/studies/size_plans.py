"""Which sizes to buy further runs at for a choice at a target, by information per FLOP. Uses the store."""

from dataclasses import dataclass

import numpy as np

from engine.analysis.size_plan import Plan, plan
from engine.core.checks import check, is_number
from engine.core.errors import Problem
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width, lowest, weighted_sum
from engine.studies.measured import frame_of_study
from engine.studies.size_moves import best_at
from engine.studies.sizes import over_sizes
from store import studies
from store.database import Store

DRAWS = 2048  # mixtures that the best at the target is looked for among
CANDIDATES = 24  # of the predicted best, and as many others, that runs may be of


@dataclass(frozen=True)
class Choice:
    """The plan for choosing between the best predicted mixture (D,) and a baseline at a target (parameters, tokens)."""

    target: tuple[float, float]
    best: np.ndarray
    reference: str
    plan: Plan
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """What the runs say of the choice today, and what the bought ones are expected to."""
        gap = abs(self.plan.gap)
        if gap > ci_half_width(self.plan.before):
            return "decided by the runs there are"
        return (
            "likely decided by these runs"
            if gap > ci_half_width(self.plan.after)
            else "likely still open after these runs"
        )


def plan_runs(
    store: Store, study: studies.Study, by: Aggregate, parameters: float, tokens: float, flops: float
) -> Choice:
    """How to spend a budget in FLOPs on the choice at a target. Raises Problem where the runs tell nothing of it."""
    check(is_number(flops, 1), flops, "a budget", "the FLOPs of all further runs together, such as 1e20")
    sizes, frame = over_sizes(store, study), frame_of_study(study)
    target = float(parameters), float(tokens)
    there, rng = sizes.at(*target), np.random.default_rng(0)
    draws = frame.space.draw(frame.prior, DRAWS, rng)
    best = best_at(there, frame, draws, by.weights)
    reference, base = next(iter(frame.baselines.items()))
    if np.abs(best - base).max() < 1e-6:
        raise Problem(f"There is nothing to choose: {reference} is predicted to be the best mixture at this target.")
    elite = draws[lowest(weighted_sum(there.mean(draws), by.weights), CANDIDATES)]
    others = draws[rng.choice(len(draws), CANDIDATES, replace=False)]
    candidates = np.concatenate([best[None], np.asarray(base, float)[None], elite, others])
    found = plan(sizes, target, np.stack([best, base]), candidates, by.weights, float(flops))
    unpriced = (f"Runs of {one} cannot be priced, and none are bought." for one in found.unpriced)
    return Choice(target, best, reference, found, (*there.notes, *unpriced))


def as_json(study: studies.Study, by: Aggregate, choice: Choice) -> dict:
    """A choice as JSON: what is bought, and how far the difference at the target would be known."""
    found = choice.plan
    sizes = [
        {
            **_size(one.size.place, len(one.mixtures), one.flops),
            "mixtures": [dict(zip(study.domains, row, strict=True)) for row in one.mixtures.round(6).tolist()],
        }
        for one in found.buys
    ]
    return {
        "target": dict(zip(("parameters", "tokens"), choice.target, strict=True)),
        "best": dict(zip(study.domains, choice.best.round(6).tolist(), strict=True)),
        "reference": choice.reference,
        "unit": by.unit,
        "gap": found.gap,
        "std_now": found.before,
        "std_after": found.after,
        "verdict": choice.verdict,
        "runs": sizes,
        "alone": [
            {**_size(one.size.place, len(one.mixtures), one.flops), "std_after": std} for one, std in found.alone
        ],
        "notes": list(choice.notes),
    }


def _size(place: tuple[float | None, float | None], runs: int, flops: float) -> dict:
    return {"parameters": place[0], "tokens": place[1], "runs": runs, "flops": flops}
