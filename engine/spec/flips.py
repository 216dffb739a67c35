"""Negative flips as metrics: how many windows of text, and items of tasks, a run does worse than the reference.

The reference of mixtures is the study's prior with all its seeds; what seeds alone explain does not count. That of
merges is the base, as users of the base would notice: merges have no seeds, and what the noise of a window's own tokens
explains does not count. So a run that equals the reference is worse on CHANCE of the windows at most (MUSCLE,
arXiv:2407.09435, counts items alone).
"""

from collections.abc import Sequence

from engine.spec.objectives import Objective

WINDOWS = "worse windows"
BASE = "base"  # the reference of merges
CHANCE = 0.025  # of the windows of a run that equals the reference: above the 95% interval of its noise


def items_of(task: str) -> str:
    """What the flips of a task are called."""
    return f"{task} worse items"


def flips_of(reference: str, tasks: Sequence[tuple[str, int]]) -> list[Objective]:
    """The objectives of a study that measures flips against a reference, on text and on tasks (name, items)."""
    text = Objective(WINDOWS, "share of windows", reference=reference, priority=0.0, chance=CHANCE)
    own = [Objective(items_of(name), "share of items", reference=reference, priority=0.0, items=n) for name, n in tasks]
    return [text, *own]
