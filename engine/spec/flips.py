"""Negative flips as metrics: how many windows of text, and items of tasks, a run does worse than the reference.

A reference is the study's prior mixture with all its seeds. What seeds alone explain does not count, so a run of the
reference itself is worse on CHANCE of the windows at most (MUSCLE, arXiv:2407.09435, counts items alone).
"""

from collections.abc import Sequence

from engine.spec.objectives import Objective

WINDOWS = "worse windows"
CHANCE = 0.025  # of the windows of a run that equals the reference: above the 95% interval of its noise


def items_of(task: str) -> str:
    """What the flips of a task are called."""
    return f"{task} worse items"


def flips_of(reference: str, tasks: Sequence[tuple[str, int]]) -> list[Objective]:
    """The objectives of a study that measures flips against a reference, on text and on tasks (name, items)."""
    text = Objective(WINDOWS, "share of windows", reference=reference, priority=0.0, chance=CHANCE)
    own = [Objective(items_of(name), "share of items", reference=reference, priority=0.0, items=n) for name, n in tasks]
    return [text, *own]
