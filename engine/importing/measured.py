"""Choose the metrics, and the runs of one size and budget: by what the columns say, or by asking."""

import re
from collections import Counter

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.importing.aggregates import CALLED, TOLD, core_of, how_of, is_result, of_history
from engine.importing.choices import OFFERED, left
from engine.importing.harness import Known
from engine.importing.mapping import FORMATS, GUESSED, Mapping, globbed
from engine.importing.names import impossible, is_beside, is_inside, is_up, kind_of, measures, noise_of, unit_of
from engine.importing.questions import Question, Talk
from engine.importing.same_metric import choose_variants, without_copies
from engine.importing.tables import Table, text_of
from engine.spec.objectives import Objective

SIZE_IN_NAME = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([mb])(?![a-z0-9])", re.I)
TRAINED_ON = re.compile(r"token|budget|data|corpus", re.I)  # in the name of a column that tells budgets, not sizes
# How a number begins that stands in text: `2.31 ± 0.02`, `tensor(2.31)`, `[2.31]`. A list of them is another thing.
DRESSED = re.compile(r"(?![\[({].*,)([^\W\d]+\()?[^\w.,]*\d+[.,]\d")
TRAINING = ("trainloss", "trainingloss", "losstrain")  # without marks between the words
SAME_BUDGET = 0.05  # of its tokens, by which runs of one budget may end apart
FEWEST = 3  # values that a metric needs before anything can be fitted to it
ALL_KEPT = "all runs: surrogates of shares take the size with the most of them, predictions at a size take all"
ALL_AS_ONE = "all runs: surrogates take them as one, and differences between them as noise"


def fact_of(kind: str, *tables: Table) -> str | None:
    """The column of a "seed", "size" or "budget"; of several the one with the most different values.

    What stands under `mixture.` is about a domain: mixture.web.tokens is no budget.
    """
    for table in tables:
        own = [name for name in table.columns if kind_of(name) == kind and not is_inside(name)]
        own = [name for name in own if not is_beside(name, table.is_whole(name))]
        if there := [name for name in own if table.is_numeric(name)]:
            return max(there, key=lambda name: (len(set(table.keys(name))), np.isfinite(table.loose(name)).sum()))
    return None


def choose_metrics(
    format: str,
    table: Table,
    given: list[str] | None,
    higher: list[str] | None,
    unit: str | None,
    taken: set[str | None],
    own: set[str],
    talk: Talk,
) -> list[Objective]:
    """The metrics with their units and directions: the given columns, those named so, or what is answered.

    own: the table's columns that are shares.

    Raises Problem where there are none, and for directions of what is no metric.
    """
    told = table.told
    columns = _of_harness(table, given, talk) if told else globbed(table, given)
    columns = columns or _measured(format, table, taken | own, talk)
    if overlap := own & set(columns):
        raise Problem(f"Cannot use the column {min(overlap)!r} as a share and as a metric. Name the columns of each.")
    ups = set(globbed(table, higher))
    if astray := ups - set(columns):
        raise Problem(f"Cannot say that {min(astray)!r} is better when higher: it is none of the metrics.")
    facts = {name: told.get(name) or Known(name) for name in columns}
    known = unit or (None if told else FORMATS[format][2])
    if trained := [name for name in columns if is_training(name)]:
        talk.notes.append(
            f"{listed(trained)}: a run's loss on its own mixture, which is low where the mixture is easy. It compares "
            "no mixtures: import losses on text that is the same for all runs."
        )
    if summed := [f"{name} ({CALLED[how]} it)" for name in columns if (how := how_of(name)) in TOLD]:
        talk.notes.append(f"Aggregates of each run's history, not what it ended with: {listed(summed, 6)}.")
    if higher is None:
        ways = {name: _is_up(table, name, one) for name, one in facts.items()}
        ups = {name for name in columns if ways[name]}
        untold = [name for name in columns if ways[name] is None and not is_own_loss(name, table)]
        unknown = untold if told or FORMATS[format][2] is None else []
        if unknown:
            options = {"lower": "lower is better, as for a loss", "higher": "higher is better, as for a score"}
            question = Question("better", f"Which way is better for {listed(unknown, 6)}? Nothing tells.", options)
            ups |= set(unknown) if talk.ask(question) == "higher" else set()
    return [
        Objective(name, known or unit_of(one.metric), name in ups, chance=one.chance, items=one.items)
        for name, one in facts.items()
    ]


def _is_up(table: Table, name: str, known: Known) -> bool | None:
    """Whether higher is better: as a harness says, or by the name, unless most of what is called a loss is below 0."""
    up = is_up(known.metric) if known.higher is None else known.higher
    values = table.loose(name)[np.isfinite(table.loose(name))]
    negative = 2 * int((values < impossible(known.metric)).sum()) > len(values)
    return None if up is False and known.higher is None and negative else up


def _of_harness(table: Table, given: list[str] | None, talk: Talk) -> list[str]:
    """The metrics of a harness' results that are given, or all that say anything of mixtures. Raises Problem where only
    errors are given."""
    columns = [name for name in globbed(table, given) if name in table.told]
    if columns:
        return columns
    if given:
        raise Problem(f"Cannot use {listed(given)} as metrics: only errors are called so in {table.name}.")
    values = {name: table.loose(name)[np.isfinite(table.loose(name))] for name in table.told}
    fewest = min(FEWEST, len(table))
    useful = [name for name, own in values.items() if len(own) >= fewest and (len(own) == 1 or np.ptp(own) > 0)]
    if useful and (others := [name for name in values if name not in useful]):
        talk.notes.append(
            f"Left out, since they never vary or fewer than {fewest} runs have them: {listed(others, 40)}."
        )
    return useful or list(table.told)


def _measured(format: str, table: Table, taken: set[str | None], talk: Talk) -> list[str]:
    """The columns of metrics: in RegMix's and Olmix's pairs all that are left, else those that are named so."""
    names = set(table.columns)
    free = [
        name
        for name in left(table, taken)
        if table.is_numeric(name)
        and _may_count(name, names)
        and not is_beside(name, table.is_whole(name))
        and (kind_of(name) is None or _by_tracker(name))
        and (measures(name) or not table.counts_rows(name))
    ]
    if format not in GUESSED:
        free = [name for name in left(table, taken) if noise_of(name, names) is None and kind_of(name) is None]
        free = [name for name in free if not is_beside(name, table.is_whole(name))]
    elif named := [name for name in free if measures(name)]:
        free = [name for name in named if not is_training(name)] or named
        _refuse_dressed(table, [name for name in left(table, taken) if _may_count(name, names)])
        free = choose_variants(table, without_copies(table, free, talk), talk)
    elif len(free) > 1:
        options = {"all": f"all {len(free)} of them"} | {name: f"only {name}" for name in free[:OFFERED]}
        text = f"No column of {table.name} is named like a metric. Which of {listed(free)} is one?"
        answer = talk.ask(Question("metrics", text, options))
        free = free if answer == "all" else [answer]
    if not free:
        raise _no_metrics(table, taken)
    return free


def _may_count(name: str, names: set[str]) -> bool:
    """Whether a column is no spread of another one, and no aggregate of its history that is no run's result."""
    summed = of_history(name, names)
    return noise_of(name, names) is None if summed is None else is_result(name, summed[0])


def _refuse_dressed(table: Table, columns: list[str]) -> None:
    """Raise Problem for a metric whose numbers stand in text, as in `2.31 ± 0.02`: it would go missing beside the
    metrics that are read."""
    for name in columns:
        if table.is_numeric(name) or not measures(name) or kind_of(name) is not None or is_training(name):
            continue
        texts = list(filter(None, map(text_of, table.columns[name])))
        if 2 * sum(DRESSED.match(said) is not None for said in texts) > len(texts):
            raise _no_numbers(table, name)


def _no_numbers(table: Table, name: str) -> Problem:
    """Why a metric is none."""
    place, said = next((place, said) for place, cell in enumerate(table.columns[name]) if (said := text_of(cell)))
    return Problem(
        f"Cannot import {table.row(place)}, column {name!r}: it is named like a metric, and holds no numbers but "
        f"{said[:60]!r}. Write plain numbers, and a spread in a column of its own; or name the columns of metrics, "
        "without it."
    )


def _no_metrics(table: Table, taken: set[str | None]) -> Problem:
    """Why no metrics were found, and what can be done about it."""
    for name in table.columns:
        if name not in taken and measures(name) and any(map(text_of, table.columns[name])):
            table.refuse_huge(name)
            return _no_numbers(table, name)
    return Problem(
        f"Cannot find metrics in {table.name}: no column of numbers is left that measures anything. Its columns are "
        f"{listed(list(table.columns))}. Say which ones are metrics."
    )


def is_own_loss(name: str, table: Table) -> bool:
    """Whether a metric is the loss of a domain in a table of runs that Mixdesk wrote (run_table.py)."""
    group, _, domain = name.partition("/")
    return group == "metric" and {f"share/{domain}", f"se/{domain}"} <= set(table.columns)


def _by_tracker(name: str) -> bool:
    """Whether a tracker says that a column is a metric, whatever its last word says."""
    return measures(name) and kind_of(name) in ("count", "setting") and not name.startswith("metrics.system")


def is_training(name: str) -> bool:
    """Whether a metric is a run's loss on its own mixture, or an aggregate of it, which compares no mixtures."""
    return core_of(name).lower() in TRAINING


def choose_one(mapping: Mapping, weights: Table, metrics: Table | None, talk: Talk) -> tuple[Table, Table | None]:
    """The runs of one model size and of one budget, where somebody chose one; asked where there are several.

    Where no column tells the budget, steps that differ between the runs stand for it.
    """
    size = mapping.model_size or _sizes_in_names(weights, metrics)
    for what, column in (("size", size), ("budget", mapping.n_tokens or _steps(weights, metrics))):
        if column is None:
            continue
        table = metrics if metrics is not None and column in metrics.columns else weights
        values = _values(mapping, table, column)
        counts = Counter(values[np.isfinite(values)].tolist())
        if len(counts) < 2:
            continue
        often = sorted(counts, key=lambda value: (-counts[value], -value))[:OFFERED]
        options = {f"{value:.15g}": f"{short(value)}: {counts[value]:,} of {len(values):,} runs" for value in often}
        known = column in (mapping.model_size, mapping.n_tokens)
        options["all"] = ALL_KEPT if known else ALL_AS_ONE
        name = "budgets" if what == "budget" or TRAINED_ON.search(column) else "model sizes"
        text = f"The runs are of {len(counts)} {name} (column {column!r}). Only runs of one compare. Which ones count?"
        answer = talk.ask(Question(what, text, options))
        if answer != "all":
            places = np.flatnonzero(values == float(answer)).tolist()
            talk.dropped.append(f"{len(values) - len(places):,} runs whose {column} is not {short(float(answer))}")
            weights = weights.only(places)
            metrics = None if metrics is None else metrics.only(places)
    return weights, metrics


def several_budgets(column: str | None, tables: tuple[Table, ...], talk: Talk) -> str | None:
    """A column of tokens that tells budgets; None where it tells one, which runs go beyond with their last batch."""
    table = next((one for one in tables if column in one.columns), None)
    if column is None or table is None:
        return column
    values = table.loose(column)
    if not np.isfinite(values).all() or 2 * len(np.unique(values)) <= len(values) or values.min() <= 0:
        return column
    apart = np.ptp(values) / values.max()
    if not 0 < apart <= SAME_BUDGET:
        return column
    talk.notes.append(f"{column} differs by at most {100 * apart:.2g}% between the runs: it counts as one budget.")
    return None


def _values(mapping: Mapping, table: Table, column: str) -> np.ndarray:
    """Sizes, budgets or steps as numbers; sizes in names as what they say."""
    if column in (mapping.model_size, mapping.n_tokens):
        return table.whole_numbers(column)
    if table.is_numeric(column):
        return table.loose(column)
    found = [SIZE_IN_NAME.findall(text)[0] for text in table.keys(column)]
    return np.array([float(number) * (1e9 if unit.lower() == "b" else 1e6) for number, unit in found])


def _sizes_in_names(*tables: Table | None) -> str | None:
    """A column of text that names a size in every row (llama-30m), and not the same one."""
    for table in tables:
        texts = [name for name in table.columns if not table.is_numeric(name)] if table is not None else []
        for name in texts:
            found = [SIZE_IN_NAME.findall(text) for text in table.keys(name)] if table is not None else []
            if all(found) and len({one[0] for one in found}) > 1:
                return name
    return None


def short(number: float) -> str:
    """A size or a budget as people write it: 310M, 2.5B."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6)):
        if number >= size:
            return f"{number / size:.6g}{unit}"
    return f"{number:.10g}"


def _steps(*tables: Table | None) -> str | None:
    """A column of steps of training."""
    there = ((table, name) for table in tables if table is not None for name in table.columns)
    steps = [(table, name) for table, name in there if kind_of(name) == "step" and table.is_numeric(name)]
    steps = [(table, name) for table, name in steps if not is_beside(name, table.is_whole(name))]
    return next((name for table, name in steps if not table.counts_rows(name)), None)
