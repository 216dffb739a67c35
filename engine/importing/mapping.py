"""The mapping of columns: guessed from names and numbers, and correctable by the user."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import short_names
from engine.importing.tables import Table
from engine.spec.objectives import BITS, Objective

# Format -> (key that joins its two files, columns that are neither shares nor metrics, unit of its losses).
FORMATS = {
    "regmix": ("index", (), "nats per token"),
    "olmix": ("run", ("name", "index"), None),
    "flat": (None, (), None),
}
SUM = 0.02  # by which shares may miss 1: tables are rounded
KEYS = ("index", "run", "run_id", "id", "run_name", "name", "key")
SEEDS = re.compile(r"(^|_)seed$", re.I)
SIZES = re.compile(r"^(model_size|n_params|num_params|parameters|params|model_parameters)$", re.I)
TOKENS = re.compile(r"^(n_tokens|num_tokens|train_tokens|tokens|token_budget)$", re.I)
PREFIX = re.compile(r"^(train|weights?|w|share|shares|mix|mixture|prop|proportion|ratio)[/_.:\-]", re.I)
LOSS = re.compile(r"(?<![a-z])(loss|bpb|bits_per_byte|ppl|perplexity|nll|ce|error|err|rmse|mae)(?![a-z])", re.I)
SCORE = re.compile(
    r"(?<![a-z])(acc|accuracy|acc_norm|score|f1|em|exact_match|bleu|rouge\w*|pass|pass@?\d*|reward|win_?rate|mcc|auc)"
    r"(?![a-z])",
    re.I,
)
UNITS = {"bpb": BITS, "bits_per_byte": BITS, "ppl": "perplexity", "perplexity": "perplexity", "acc": "accuracy"}
UNITS |= {"acc_norm": "accuracy", "accuracy": "accuracy"}
SETS = "metrics?|eval|val|valid|validation|test"
AROUND = re.compile(rf"^({SETS})[/_.:]|[/_.:]({SETS})$", re.I)


@dataclass(frozen=True)
class Mapping:
    """weights: domain -> its column of shares; objectives: the metrics, called as their columns are.

    key: the column that names rows and joins two files; label, seed, model_size, n_tokens: columns, None where there
    are none.
    """

    weights: dict[str, str]
    objectives: tuple[Objective, ...]
    key: str | None = None
    label: str | None = None
    seed: str | None = None
    model_size: str | None = None
    n_tokens: str | None = None

    def to_dict(self) -> dict:
        """The mapping as shown for correction."""
        metrics = {
            one.metric: {
                "unit": one.unit,
                "better": "higher" if one.higher_is_better else "lower",
                "domain": one.domain,
            }
            for one in self.objectives
        }
        others = {name: getattr(self, name) for name in ("key", "label", "seed", "model_size", "n_tokens")}
        return {"weights": self.weights, "metrics": metrics, **others}


def guess(
    format: str,
    weights: Table,
    metrics: Table | None = None,
    *,
    weight_columns: list[str] | None = None,
    metric_columns: list[str] | None = None,
    higher_is_better: list[str] | None = None,
    unit: str | None = None,
    key: str | None = None,
    seed: str | None = None,
    model_size: str | None = None,
    n_tokens: str | None = None,
) -> Mapping:
    """The mapping of all columns. Given values win; the rest is guessed. Lists hold names or globs.

    metrics: the second file of a pair, None for a flat file. Raises Problem for an unknown format, columns that are
    not there, and where no shares or metrics can be found.
    """
    key = _key(format, key, weights, metrics)
    _, beside, known_unit = FORMATS[format]
    second = weights if metrics is None else metrics
    seed, model_size, n_tokens = (
        given or _matching(second, pattern) or _matching(weights, pattern)
        for given, pattern in ((seed, SEEDS), (model_size, SIZES), (n_tokens, TOKENS))
    )
    taken = {key, seed, model_size, n_tokens, *beside}
    chosen = _globbed(weights, weight_columns) or _share_columns(weights, format, taken)
    taken |= set(chosen)
    measured = _globbed(second, metric_columns) or _metric_columns(second, format, taken)
    if overlap := set(chosen) & set(measured):
        raise Problem(f"Cannot use the column {min(overlap)!r} as a share and as a metric. Name the columns of each.")
    domains = {domain_of(column, format): column for column in chosen}
    if len(domains) < len(chosen):
        domains = {column: column for column in chosen}
    higher = set(_globbed(second, higher_is_better))
    if astray := higher - set(measured):
        raise Problem(f"Cannot say that {min(astray)!r} is better when higher: it is none of the metrics.")
    ups = higher if higher_is_better is not None else {name for name in measured if _up(name)}
    objectives = [Objective(name, unit or known_unit or _unit(name), name in ups) for name in measured]
    label = next((name for name in ("name", "run_name") if name in weights.columns and name != key), None)
    return Mapping(domains, _linked(objectives, list(domains)), key, label, seed, model_size, n_tokens)


def _key(format: str, key: str | None, weights: Table, metrics: Table | None) -> str | None:
    """The column that names rows. Raises Problem for an unknown format, too many or few files, and no such column."""
    if format not in FORMATS:
        raise Problem(f"Cannot import the format {format!r}: choose one of {', '.join(FORMATS)}.")
    if (metrics is None) != (format == "flat"):
        wants = "one file" if format == "flat" else "two files, of weights and of metrics"
        raise Problem(f"Cannot import the format {format!r} like this: it takes {wants}.")
    key = key or FORMATS[format][0] or _named(weights, KEYS)
    for table in (weights, metrics):
        if key is not None and table is not None and key not in table.columns:
            raise Problem(
                f"Cannot import {table.name}: it has no column {key!r} that names its rows. Its columns are "
                f"{_listed(list(table.columns))}. Name the right one as the key."
            )
    return key


def domain_of(column: str, format: str) -> str:
    """A domain's name: its column's, without RegMix's `train_` (or whatever prefix says that it is a weight)."""
    pattern = re.compile(r"^train_") if format == "regmix" else PREFIX if format == "flat" else None
    return (pattern.sub("", column, count=1) if pattern else column) or column


def _globbed(table: Table, patterns: list[str] | None) -> list[str]:
    """The table's columns that match, in its order; "a,b" is two names unless a column is called so.

    Raises Problem for a pattern that matches none.
    """
    patterns = [one for p in patterns or () for one in ([p] if p in table.columns else p.split(","))]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in table.columns):
            raise Problem(
                f"Cannot find a column {pattern!r} in {table.name}: its columns are {_listed(list(table.columns))}."
            )
    return [name for name in table.columns if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _share_columns(table: Table, format: str, taken: set) -> list[str]:
    """The columns of shares. In a pair: RegMix's `train_` ones, else all that are left. In a flat file: see below."""
    left = _left(table, taken)
    if format != "flat":
        prefixed = [name for name in left if name.startswith("train_")]
        return prefixed if format == "regmix" and prefixed else left
    prefixed = [name for name in left if PREFIX.match(name) and table.is_numeric(name) and not _measures(name)]
    if len(prefixed) >= 2:
        return prefixed
    if found := _longest_simplex(table, [name for name in left if table.is_numeric(name)]):
        return found
    raise Problem(
        f"Cannot tell which columns of {table.name} are shares: no neighbours sum to 1 in every row. Name them with "
        "--weight-columns (globs such as 'train_*' are allowed)."
    )


def _longest_simplex(table: Table, names: list[str]) -> list[str]:
    """The longest run of neighbouring columns whose values are at least 0 and sum to 1, within 2%, in every row."""
    if not names:
        return []
    values = np.stack([table.numbers(name, missing=True) for name in names], axis=1)
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    negative = (values < 0).any(axis=0) | np.isnan(values).any(axis=0)
    best: tuple[int, int] = (0, 0)
    for first in range(len(names)):
        for last in range(first + 2, len(names) + 1):
            if negative[last - 1] or negative[first]:
                break
            near = (np.abs(sums[:, last] - sums[:, first] - 1) <= SUM).all()
            if near and last - first > best[1] - best[0]:
                best = first, last
    return names[best[0] : best[1]]


def _metric_columns(table: Table, format: str, taken: set) -> list[str]:
    """All that are left in a pair; in a flat file those named like metrics, else all numbers that are left."""
    left = _left(table, taken)
    if format == "flat":
        left = [name for name in left if table.is_numeric(name)]
        left = [name for name in left if _measures(name)] or left
    if not left:
        raise Problem(f"Cannot find metrics in {table.name}: no column is left. Name them with --metric-columns.")
    return left


def _left(table: Table, taken: set) -> list[str]:
    """The columns that are nothing else yet, without the nameless ones that pandas writes."""
    nameless = ("Unnamed:", "__index_level_")
    return [name for name in table.columns if name and name not in taken and not name.startswith(nameless)]


def _measures(name: str) -> bool:
    """Whether a column is called like a metric."""
    return bool(LOSS.search(name) or SCORE.search(name) or name.startswith("metric"))


def _matching(table: Table, pattern: re.Pattern) -> str | None:
    return next((name for name in table.columns if pattern.search(name) and table.is_numeric(name)), None)


def _named(table: Table, names: tuple[str, ...]) -> str | None:
    """The first column of one of these names that tells all rows apart."""
    there = [name for name in names if name in table.columns]
    return next((name for name in there if len(set(table.keys(name))) == len(table)), None)


def _up(name: str) -> bool:
    return bool(SCORE.search(name)) and not LOSS.search(name)


def _unit(name: str) -> str:
    """A metric's unit as far as its name tells: else "loss" or "score"."""
    found = LOSS.search(name) or SCORE.search(name)
    return UNITS.get(found.group(1).lower(), "loss" if LOSS.search(name) else "score") if found else "score"


def _linked(objectives: list[Objective], domains: list[str]) -> tuple[Objective, ...]:
    """Losses that bear a domain's name are that domain's; each domain has one at most."""
    plain = {core(domain): domain for domain in domains} | dict(zip(short_names(domains), domains, strict=True))
    free, linked = set(domains), []
    for one in objectives:
        domain = plain.get(core(one.metric)) if not one.higher_is_better else None
        linked.append(Objective(one.metric, one.unit, one.higher_is_better, domain if domain in free else None))
        free.discard(domain)
    return tuple(linked)


def core(metric: str) -> str:
    """A metric's name without what says that it is one: metric/the_pile_arxiv_val_loss -> the_pile_arxiv."""
    before, name = None, LOSS.sub("", metric)
    while name != before:
        before, name = name, AROUND.sub("", name).strip("/_.:-")
    return name or metric


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
