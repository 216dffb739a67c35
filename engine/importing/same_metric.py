"""Columns that hold one metric more than once: at several steps, budgets, sizes or seeds, as aggregates, in a mean.

As metrics of their own each would count, and a loss in four columns four times: which ones count is asked.
"""

import math
import re
from collections import Counter

import numpy as np

from engine.core.short_names import listed
from engine.importing.choices import OFFERED
from engine.importing.number_formats import THOUSANDS
from engine.importing.questions import Question, Talk
from engine.importing.tables import Table

# Of which step, size, budget or seed a column is: loss@1000, loss_step1000, loss_2B_tokens, 70M/loss, loss_seed0,
# final_loss. What is counted behind @ otherwise is another metric: pass@1, recall@10.
VARIANT = re.compile(
    r"@(?:step)?[-_ ]?(?P<at>\d{3,}[kmbt]?|\d+(?:\.\d+)?[kmbt])(?![a-z\d])|"
    r"(?<![a-z\d])(?P<word>(?:step|ckpt|checkpoint|iter|epoch|seed)s?[-_ ]?\d+)(?![a-z\d])|"
    r"(?<![a-z\d])(?P<which>final|last|latest|best|min|minimum|lowest|max|maximum|highest|peak|first|initial|ema|smoothed"
    r"|raw|(?<=[./])(?:mean|avg|average|median)$)(?![a-z\d])|"
    r"(?<![a-z\d.])(?P<size>\d+(?:\.\d+)?[kmbt])(?:[-_ ]?(?:tokens?|tok|params?|steps?))?(?![a-z\d])",
    re.I,
)
WITHOUT = "without"  # the column that says nothing of the kind
LATEST = {WITHOUT: math.inf, "final": 3.0, "last": 2.0, "best": 1.0}  # the first is offered first
MEAN = re.compile(r"(?<![a-z])(avg|average|mean|macro|overall)(?![a-z])", re.I)
CLOSE = 1e-3  # of a mean, for tables are rounded
NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kmbt]?)", re.I)


def choose_variants(table: Table, metrics: list[str], talk: Talk) -> list[str]:
    """The metrics, where several columns are one metric those that were chosen."""
    found = {name: match for name in metrics if (match := VARIANT.search(name))}
    cores = {name: _core(name.replace(found[name][0], "") if name in found else name) for name in metrics}
    counts = Counter(cores.values())
    told = {cores[name] for name in found if counts[cores[name]] > 1}
    several = {name: _called(found[name]) if name in found else WITHOUT for name in metrics if cores[name] in told}
    if not several:
        return metrics
    columns: dict[str, list[str]] = {}
    for name, variant in several.items():
        columns.setdefault(variant, []).append(name)
    options = {one: listed(columns[one], 4) for one in sorted(columns, key=_number, reverse=True)[:OFFERED]}
    options["all"] = "all of them: each counts as a metric of its own"
    text = (
        f"{listed(list(several), 6)} of {table.name} look like one metric: at several steps, budgets, sizes or "
        "seeds, or as aggregates of its history."
    )
    answer = talk.ask(Question("variants", f"{text} Which ones count?", options))
    return [name for name in metrics if answer == "all" or several.get(name, answer) == answer]


def without_copies(table: Table, metrics: list[str], talk: Talk) -> list[str]:
    """The metrics without those that are another one in every run (val_loss_mean of one seed), which are noted."""
    kept: dict[bytes, str] = {}
    copies = {name: kept.setdefault(np.ascontiguousarray(table.loose(name)).tobytes(), name) for name in metrics}
    if same := [f"{name} ({of})" for name, of in copies.items() if name != of and np.ptp(_measured(table, name)) > 0]:
        talk.notes.append(f"Left out, since they are the same as another metric in every run: {listed(same)}.")
    own = [name for name in metrics if copies[name] == name or not np.ptp(_measured(table, name)) > 0]
    if means := [name for name in own if MEAN.search(name) and _is_mean(table, name, own)]:
        talk.notes.append(f"Left out, since they are the mean of the other metrics in every run: {listed(means)}.")
    return [name for name in own if name not in means]


def _is_mean(table: Table, name: str, metrics: list[str]) -> bool:
    """Whether a metric is the plain mean of all others."""
    others = [table.loose(one) for one in metrics if one != name and not MEAN.search(one)]
    if len(others) < 2:
        return False
    gap = np.abs(np.mean(others, axis=0) - table.loose(name))
    return bool((np.isfinite(gap) & (gap <= CLOSE * np.abs(table.loose(name)))).all())


def _measured(table: Table, name: str) -> np.ndarray:
    values = table.loose(name)
    return values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)


def _called(match: re.Match[str]) -> str:
    return match["at"] or match["word"] or match["which"] or match["size"]


def _core(name: str) -> str:
    return re.sub(r"[-_./@: ()]+", "", name)


def _number(variant: str) -> float:
    """What variants are sorted by: those without any are what sums the others up."""
    if variant.lower() in LATEST:
        return LATEST[variant.lower()]
    found = NUMBER.search(variant)
    return float(found[1]) * THOUSANDS.get(found[2].lower(), 1) if found else 0.0
