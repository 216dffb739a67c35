"""Choose the columns of shares and their scale: by what the columns say, or by asking."""

import re
from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.importing.mapping import GUESSED, globbed
from engine.importing.names import (
    HARD,
    LOOSE_WORDS,
    SHARE_WORDS,
    SOFT,
    bare,
    is_across,
    kind_of,
    leaf,
    measures,
    noise_of,
    words_of,
)
from engine.importing.number_formats import unread_figure
from engine.importing.phases import PhaseColumns, domains_under, phases_under, total_of_phases
from engine.importing.points import DIVIDE, SCALES, SOFTMAX
from engine.importing.questions import Question, Talk
from engine.importing.shares import (
    COUNTS,
    ROUNDED,
    SIGNED,
    Family,
    common_prefix,
    constant,
    domains_of,
    families,
    scale_of,
)
from engine.importing.tables import Table, text_of

OFFERED = 24  # families, metrics, sizes and budgets to choose from
NAMELESS = ("Unnamed:", "__index_level_")  # as pandas calls columns without a name
IN_NAMES = r"(?:^|[_\-,/ ])((?:0?\.\d+|0|1|0\.0|1\.0)(?:[_\-,](?:0?\.\d+|0|1|0\.0|1\.0))+)(?:$|[_\-,/ ])"


@dataclass(frozen=True)
class Shares:
    """The chosen family with its domains {domain: column}, the other families that were plausible, and the phases that
    the chosen one is the total of."""

    family: Family
    domains: dict[str, str]
    others: tuple[Family, ...] = ()
    phases: PhaseColumns | None = None


def left(table: Table, taken: set[str | None]) -> list[str]:
    """The columns that are nothing else yet, without the nameless ones that pandas writes."""
    return [name for name in table.columns if name and name not in taken and not name.startswith(NAMELESS)]


def choose_shares(
    format: str, table: Table, given: list[str] | None, metrics: list[str] | None, taken: set[str | None], talk: Talk
) -> Shares:
    """The columns of shares: the given ones, those the format names, or the family that explains itself best.

    Raises Problem where there is none.
    """
    free = left(table, taken)
    columns = globbed(table, given)
    if not columns and format not in GUESSED:
        prefixed = [name for name in free if name.startswith("train_")]
        columns = prefixed if format == "regmix" and prefixed else [name for name in free if kind_of(name) != "setting"]
    if columns:
        return _given(format, table, columns)
    measured = set(globbed(table, [one for one in metrics or () if one in table.columns]))
    free = [name for name in free if name not in measured and table.is_numeric(name)]
    found = families(table, [name for name in free if _may_be_share(table, name)])
    rivals = _rivals(found)
    if not found:  # a domain may be called like a setting or a score
        rivals = found = [one for one in families(table, free) if one.sums]
    if not found:
        raise _no_shares(table, free)
    best = found[0]
    if (total := total_of_phases(table, found)) is not None:  # its phases are no rivals, and what is kept beside it
        best, rivals = total, []
    if both := [name for name in measured if best.prefix and name.startswith(best.prefix)]:
        raise Problem(f"Cannot use the column {both[0]!r} as a share and as a metric. Name the columns of each.")
    if rivals:
        options = {one.id: _described(one) for one in [best, *rivals][: OFFERED + 1]}
        text = f"Several columns of {table.name} may be the shares. Which ones are?"
        chosen = talk.ask(Question("shares", text, options))
        best = next(one for one in found if one.id == chosen)
    _refuse_unread(table, best)
    others = [one for one in found if one is not best and set(one.columns) - set(best.columns)]
    told_apart = any(_leaves(one) == _leaves(best) for one in others)
    prefix = best.prefix or common_prefix(best.columns)
    phases = phases_under(table, best, others)
    talk.notes += [phases.note] if phases else []
    domains = domains_of(best.columns, prefix, told_apart, best.suffix) if phases is None else domains_under(best)
    return Shares(best, domains, tuple(others), phases)


def _given(format: str, table: Table, columns: list[str]) -> Shares:
    """The shares in columns that somebody, or the format, has named. Raises Problem for a single one."""
    if len(columns) < 2:
        raise Problem(
            f"Cannot import {table.name}: a mixture needs at least two domains, and {columns[0]!r} is the only column "
            "of shares. Name more of them."
        )
    family = Family(tuple(columns), common_prefix(columns), False, *_scale(table, columns))
    prefix = "train_" if format == "regmix" and columns[0].startswith("train_") else ""
    return Shares(family, domains_of(columns, family.prefix if format in GUESSED else prefix))


def _scale(table: Table, columns: list[str]) -> tuple[str, float]:
    return scale_of(np.stack([table.loose(name) for name in columns], axis=1))


def _leaves(family: Family) -> set[str]:
    return {name[len(family.prefix) :] for name in family.columns}


def _described(family: Family) -> str:
    odd = [name for name in family.columns if kind_of(name) is not None or measures(name)]
    but = f", but {listed(odd, 4)} is named otherwise" if odd else ""
    return f"{len(family.columns)} columns, {family.columns[0]} to {family.columns[-1]}: {family.why}{but}"


def _rivals(found: list[Family]) -> list[Family]:
    """The families that explain themselves as well as the first one."""
    if not found:
        return []
    best, *rest = found
    rivals: list[Family] = []
    for one in rest:
        apart = not set(one.columns) & set(best.columns)
        equal = one.sums == best.sums and one.named >= best.named
        unsure = best.sums and not best.named and one.named  # the sums say the one, the name the other
        if (apart and (equal or unsure)) or (not apart and one.sums and best.rivals(one)):
            rivals.append(one)
    return rivals


def _may_be_share(table: Table, name: str) -> bool:
    """Whether a column of numbers may be a share by its name: what stands under `mixture.` is one, whatever it says."""
    sure = SHARE_WORDS - LOOSE_WORDS
    parent = name[: len(name) - len(leaf(name))]
    if parent and HARD.match(parent[-1]) and words_of(parent) & sure:
        return True
    kind = kind_of(name)
    first = SOFT.split(bare(name))[0].lower()
    if kind is not None and (kind == "setting" or first not in sure):
        return False
    return not measures(name) and noise_of(name, set(table.columns)) is None


def _no_shares(table: Table, free: list[str]) -> Problem:
    """Why no shares were found, and what can be done about it. free: the columns of numbers that may be some."""
    texts = [name for name in table.columns if not table.is_numeric(name) and any(map(text_of, table.columns[name]))]
    figures = [name for name in texts if kind_of(name) is None and unread_figure(table, name) is not None]
    if len(figures) > 1:
        return _unread(table, figures)
    columns = 'Give each domain a column of its own, or write {"domain": share, ...}.'
    for name in filter(_named_like_shares, texts):
        table.refuse_huge(name)
        said = next(text for cell in table.columns[name] if (text := text_of(cell)))
        lists = [cell for cell in table.columns[name] if isinstance(cell, list) or str(cell).strip()[:1] == "["]
        if 2 * len(lists) > len(table) and not re.search("[{'\"]", said):
            return Problem(
                f"Cannot import {table.name}: column {name!r} holds lists of numbers, without the names of their "
                "domains. Give each domain a column of its own."
            )
        return Problem(
            f"Cannot import {table.name}: column {name!r} is named like shares, and holds text that is not a mixture: "
            f"{said[:60]!r}. {columns}"
        )
    for name in texts:
        if found := re.search(IN_NAMES, str(table.columns[name][0])):
            return Problem(
                f"Cannot import {table.name}: no columns hold shares. {found[1]!r} in column {name!r} may be some: "
                "give each domain a column of its own."
            )
    if len(table.columns) == 1:
        return Problem(
            f"Cannot import {table.name}: it has one column, {next(iter(table.columns))[:60]!r}. Cells are told apart "
            "by commas, semicolons, tabs or bars: save it with one of these."
        )
    if about := [name for name in texts if is_across(name)]:
        return Problem(
            f"Cannot import {table.name}: it has a row for each {about[0]!r}, and no column that names the runs, so "
            "nothing tells which rows are one mixture. Add a column with the run."
        )
    if (same := constant(table, free)) is not None:
        return _never_vary(table, same)
    return _no_family(table)


def _no_family(table: Table) -> Problem:
    """Where nothing says of any columns that they are shares."""
    numbers = listed([name for name in table.columns if table.is_numeric(name)]) or "none"
    return Problem(
        f"Cannot tell which columns of {table.name} are shares: none are named like weights, and no neighbours that "
        f"vary sum to 1 or to 100 in every row. Its columns of numbers are {numbers}. Say which ones are "
        "the shares, or give two tables: the mixtures, and what was measured."
    )


def _never_vary(table: Table, family: Family) -> Problem:
    """Where what may be the shares is one mixture in all runs."""
    values = {name: np.nanmax(table.loose(name)) for name in family.columns}
    return Problem(
        f"Cannot import {table.name}: its weights never vary. "
        f"{listed([f'{name} is {value:g}' for name, value in values.items()], 6)} in every run, and from runs of one "
        "mixture nothing can be learned of others. Add runs of other mixtures; or say which columns are the shares, if "
        "they are not these."
    )


def _refuse_unread(table: Table, family: Family) -> None:
    """Raise Problem where the shares do not add up, and figures that are not read stand beside them by their name."""
    if family.sums or not (family.prefix or family.suffix):
        return
    beside = [one for one in table.columns if one.startswith(family.prefix) and one.endswith(family.suffix)]
    beside = [one for one in beside if not table.is_numeric(one) and unread_figure(table, one) is not None]
    if beside:
        raise _unread(table, beside)


def _unread(table: Table, columns: list[str]) -> Problem:
    """Where figures stand that are not read as numbers."""
    first, *others = columns
    place = unread_figure(table, first) or 0
    table.refuse_huge(first, place)
    more = f", and neither are those of {listed(others, 6)}" if others else ""
    return Problem(
        f"Cannot import {table.row(place)}, column {first!r}: it holds {text_of(table.columns[first][place])!r}, which "
        f"is not read as a number{more}. Write plain numbers, such as 0.25 or 4200000000."
    )


def _named_like_shares(name: str) -> bool:
    return bool(words_of(bare(name) + "_") & SHARE_WORDS)


def choose_scale(table: Table, family: Family, talk: Talk) -> str | None:
    """How the numbers become shares, None where they are: asked where they sum neither to 1 nor to 100."""
    if family.sums:
        return None
    values = np.stack([table.loose(name) for name in family.columns], axis=1)
    sums = np.nan_to_num(values, posinf=0).sum(axis=1)
    span = f"have sums between {sums.min():.4g} and {sums.max():.4g}"
    why = {
        ROUNDED: f"{span}, which their rounding can explain",
        COUNTS: f"sum to about {np.median(sums):.6g} in every row, as weights or counts do",
        SIGNED: "are partly below 0, so they are not shares as they stand",
    }.get(family.scale, f"{span}, so they are not shares as they stand")
    options = {SOFTMAX: SCALES[SOFTMAX]} if family.scale == SIGNED else {DIVIDE: SCALES[DIVIDE]}
    if family.scale == ROUNDED:
        options = {DIVIDE: "rounded shares, to be divided by their sum, row by row"}
    text = f"The columns {family.columns[0]!r} to {family.columns[-1]!r} {why}. What are they?"
    answer = talk.ask(Question("scale", f"{text} If nothing fits, choose other columns as shares.", options))
    if answer == DIVIDE and np.isnan(values).any():
        options = {"zero": "such a domain has no weight"}
        talk.ask(
            Question("empty", f"Cells of weights are empty in {int(np.isnan(values).any(axis=1).sum())} rows.", options)
        )
    return answer
