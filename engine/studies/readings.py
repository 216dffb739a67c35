"""Read what clients post of a run: numbers by name, the scores of a harness, whole numbers. M metrics."""

import math
from typing import Any

import numpy as np

from engine.core.checks import is_number, is_whole
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.core.shown import shown
from engine.importing.harness import Score, is_results, read_results
from engine.importing.mixed_units import percents_among
from engine.importing.names import may_be_rate
from store import studies

NAMED = 40  # keys in a note


def losses_of(
    study: studies.Study, one: dict, said: str, notes: list[str], lenient: bool = False
) -> tuple[list[float | None], list[float | None] | None, list[str]]:
    """Losses (M,) of a posted run, by itself and from a harness' results, None where one is missing; their standard
    errors (M,), None where no results tell; and the metrics that are not numbers, which only `lenient` allows."""
    scores = scores_of(study, one["results"], said, notes) if "results" in one else {}
    given = one.get("losses", {} if scores or lenient else None)
    odd = [name for name, value in given.items() if is_odd(value)] if lenient and isinstance(given, dict) else []
    if unknown := [name for name in odd if name not in study.metrics]:
        raise Problem(f"{said} losses name {unknown[0]!r}; this study has {', '.join(study.metrics)}.")
    plain = {name: value for name, value in given.items() if name not in odd} if odd else given
    losses = numbers(plain, study.metrics, f"{said} losses")
    if twice := [name for name in losses if name in scores and losses[name] != scores[name].value]:
        raise Problem(
            f"{said} {twice[0]!r} is {losses[twice[0]]:g} in its losses and {scores[twice[0]].value:g} in its results."
        )
    losses |= {name: score.value for name, score in scores.items()}
    errors = [scores[name].error if name in scores else None for name in study.metrics]
    told = errors if any(error is not None for error in errors) else None
    return [losses.get(name) for name in study.metrics], told, odd


def is_odd(value: Any) -> bool:
    """Whether it stands for a loss that is not a number: null, NaN or an infinity."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def scores_of(study: studies.Study, results: object, said: str, notes: list[str]) -> dict[str, Score]:
    """The scores in a harness' results that are metrics of the study, by their names; what is left out joins the notes.

    Raises Problem where there are none, and where the study reads one the other way round.
    """
    if not is_results(results):
        raise Problem(
            f"{said} its results are {str(results)[:60]!r}; give the object that lm-evaluation-harness or lighteval "
            "wrote as JSON."
        )
    found = read_results(results, "them")
    own = {one.metric: one for one in study.objectives if one.metric in found.scores}
    if not own:
        raise Problem(
            f"{said} its results have {listed(list(found.scores))}, and none of the study's {listed(study.metrics)}."
        )
    for name, one in own.items():
        if found.scores[name].known.higher not in (None, one.higher_is_better):
            raise Problem(f"{said} its results say of {name!r} that the other way is better than in this study.")
    if others := [name for name in found.scores if name not in own]:
        notes.append(f"Left out, since the study does not measure them: {listed(others, NAMED)}.")
    whys = dict.fromkeys(why for why, _ in found.left)
    notes += [f"{why}: {listed([key for one, key in found.left if one == why], NAMED)}." for why in whys]
    return {name: found.scores[name] for name in own}


def mixed_units(study: studies.Study, there: np.ndarray, sent: np.ndarray) -> list[str]:
    """What is to be told of rates of which some look like percents and others like fractions of 1. there (N, M), sent
    (R, M): what was known, and what came; NaN where one is missing."""
    told, values = [], np.concatenate([there, sent])
    for one, column in zip(study.objectives, values.T, strict=True):
        if may_be_rate(one.metric, one.higher_is_better) and (rows := percents_among(column)):
            low, high = column[(column > 0) & (column <= 1)][0], column[rows[0]]
            told.append(
                f"{one.metric} is {low:.4g} in one run and {high:.4g} in another: fractions of 1 and percents, it "
                "seems. Each is taken as it stands, so all must be in one unit."
            )
    return told


def numbers(given: object, names: list[str], said: str) -> dict[str, float]:
    """{name: number} of those names. Raises Problem for anything else."""
    if not isinstance(given, dict):
        raise Problem(f"{said} are {shown(given)}; give an object of numbers by name.")
    for name, value in given.items():
        if name not in names:
            raise Problem(f"{said} name {shown(name)}; this study has {', '.join(names)}.")
        if not is_number(value):
            raise Problem(f"{said} of {name!r} are {shown(value)}; give a finite number.")
    return {name: float(value) for name, value in given.items()}


def whole(value: Any, said: str) -> int | None:
    """A whole number of at least 0, or None. Raises Problem for anything else."""
    if value is not None and not is_whole(value, 0, 2**62 - 1):
        raise Problem(f"{said} is {value!r}; give a whole number of at least 0.")
    number: int | None = value
    return number
