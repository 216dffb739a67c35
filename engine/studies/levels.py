"""The levels of a study's domains, and what mixtures give to each of their parts. Uses the store."""

from typing import Any

import numpy as np

from engine.space.groups import Group
from engine.space.levels import Level, levels_of
from engine.spec.groups import members_of
from store import studies


def levels_in(study: studies.Study) -> list[Level]:
    """The levels of a mixture study; none for merges, before it is planned, and where neither groups nor names tell."""
    names, told = study.coordinates, study.spec.get("groups", ())
    if study.kind == "merge" or not names:
        return []
    return levels_of(names, [Group(one["name"], members_of(one, names), level=one.get("level")) for one in told])


def as_lists(study: studies.Study) -> list[list[Any]]:
    """The levels as JSON-able values: [level, [[part, places of its domains], ...]] each."""
    return [[one.name, [[name, at.tolist()] for name, at in one.parts.items()]] for one in levels_in(study)]


def totals_in(study: studies.Study, point: np.ndarray) -> dict[str, dict[str, float]]:
    """level -> part -> share of the tokens of a mixture (D,)."""
    return told(levels_in(study), point)


def told(levels: list[Level], point: np.ndarray) -> dict[str, dict[str, float]]:
    """level -> part -> share of the tokens of a mixture (D,), to six digits."""
    return {level.name: dict(zip(level.parts, level.totals(point).round(6).tolist(), strict=True)) for level in levels}
