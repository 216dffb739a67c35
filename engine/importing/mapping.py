"""The mapping of columns: which are the shares, the metrics, the key, the seed and the fidelity."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from engine.core.errors import Problem
from engine.core.short_names import listed, short_names
from engine.importing.names import core, kind_of, leaf
from engine.importing.tables import Table
from engine.spec.objectives import Objective

# Format -> (key that joins its two files, columns that are neither shares nor metrics, unit of its losses).
FORMATS: dict[str, tuple[str | None, tuple[str, ...], str | None]] = {
    "regmix": ("index", (), "nats per token"),
    "olmix": ("run", ("name", "index"), None),
    "flat": (None, (), None),
    "pair": (None, (), None),
}
GUESSED = {"flat", "pair"}  # formats that do not say which columns are the shares
KEYS = ("index", "run", "run_id", "id", "run_name", "name", "key", "trial_id", "trial", "number")
RUNS = ("run_id", "run", "run_name", "runname", "name", "trial_id", "trial", "number", "key", "index", "id")


@dataclass(frozen=True)
class Mapping:
    """weights: domain -> its column of shares; objectives: the metrics, called as their columns are.

    key: the column that names rows and joins two files; label, seed, model_size, n_tokens: columns, None where there
    are none; scale: how the numbers become shares (points.SCALES), None where they are.
    """

    weights: dict[str, str]
    objectives: tuple[Objective, ...]
    key: str | None = None
    label: str | None = None
    seed: str | None = None
    model_size: str | None = None
    n_tokens: str | None = None
    scale: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The mapping as shown for correction."""
        metrics = {
            one.metric: {
                "unit": one.unit,
                "better": "higher" if one.higher_is_better else "lower",
                "domain": one.domain,
            }
            for one in self.objectives
        }
        others = {name: getattr(self, name) for name in ("key", "label", "seed", "model_size", "n_tokens", "scale")}
        return {"weights": self.weights, "metrics": metrics, **others}


def check_files(format: str, metrics: Table | None) -> None:
    """Raise Problem for an unknown format, and for too many or few files."""
    if format not in FORMATS:
        raise Problem(f"Cannot import the format {format!r}: choose one of {', '.join(FORMATS)}.")
    if (metrics is None) != (format == "flat"):
        wants = "one file" if format == "flat" else "two files, of weights and of metrics"
        raise Problem(f"Cannot import the format {format!r} like this: it takes {wants}.")


def key_of(format: str, key: str | None, weights: Table, metrics: Table | None) -> str | None:
    """The column that names rows; "" asks for none. Raises Problem where it is not there, or a pair has none."""
    if key == "" and metrics is not None:
        raise Problem("Two files are joined by the column that names their rows: choose one as the run key.")
    if key == "":
        return None
    key = key or FORMATS[format][0]
    if key is None:
        key = _named(weights, KEYS) if metrics is None else _shared(weights, metrics)
    for table in (weights, metrics):
        if key is not None and table is not None and key not in table.columns:
            raise Problem(
                f"Cannot import {table.name}: it has no column {key!r} that names its rows. Its columns are "
                f"{listed(list(table.columns))}. Name the right one as the key."
            )
    return key


def _named(table: Table, names: tuple[str, ...]) -> str | None:
    """The first column of one of these names, however it is written, that tells all rows apart."""
    there = [name for one in names for name in table.columns if name.lower() == one]
    return next((name for name in there if len(set(table.keys(name))) == len(table)), None)


def run_column(table: Table) -> str | None:
    """The column that says which run a row is of, where the rows of one run may be many."""
    there = [name for one in RUNS for name in table.columns if name.lower() == one]
    return next((name for name in there if len(set(table.keys(name))) > 1), None)


def label_of(table: Table, key: str | None) -> str | None:
    """The column with the runs' names, beside the key; without both, a column of text that tells all rows apart."""
    named = [name for name in table.columns if leaf(name).lower() in ("name", "run_name", "runname") and name != key]
    if key is None and not named:
        texts = [name for name in table.columns if kind_of(name) in (None, "step") and not table.is_numeric(name)]
        named = [name for name in texts if len({*table.keys(name), ""}) > len(table)]
    return named[0] if named else None


def _shared(weights: Table, metrics: Table) -> str:
    """The column that joins two tables: the keys of its rows are the same in both, and single in the first."""
    both = [name for name in weights.columns if name in metrics.columns]
    both.sort(key=lambda name: RUNS.index(name.lower()) if name.lower() in RUNS else len(RUNS))
    single = [name for name in both if len(set(weights.keys(name))) == len(weights)]
    same = [name for name in single if set(weights.meeting(name)) == set(metrics.meeting(name))]
    known = [name for name in single if name.lower() in RUNS]
    if found := [*same, *known]:
        return found[0]
    raise Problem(
        f"Cannot join {weights.name} and {metrics.name}: no column of both names the runs. The first has "
        f"{listed(list(weights.columns))}; the second {listed(list(metrics.columns))}. Give both a column with the run."
    )


def globbed(table: Table, patterns: list[str] | str | None) -> list[str]:
    """The table's columns that match, in its order; "a,b" is two names unless a column is called so.

    Raises Problem for a pattern that matches none.
    """
    patterns = [patterns] if isinstance(patterns, str) else patterns
    patterns = [one for p in patterns or () for one in ([p] if p in table.columns else p.split(","))]
    for pattern in patterns:
        if not any(name == pattern or fnmatchcase(name, pattern) for name in table.columns):
            raise Problem(
                f"Cannot find a column {pattern!r} in {table.name}: its columns are {listed(list(table.columns))}."
            )
    return [name for name in table.columns if any(name == one or fnmatchcase(name, one) for one in patterns)]


def linked(objectives: list[Objective], domains: list[str]) -> tuple[Objective, ...]:
    """Losses that bear a domain's name are that domain's; each domain has one at most."""
    plain = {core(domain): domain for domain in domains} | dict(zip(short_names(domains), domains, strict=True))
    free, found = set(domains), []
    for one in objectives:
        domain = plain.get(core(one.metric)) if not one.higher_is_better else None
        found.append(replace(one, domain=domain if domain in free else None))
        free.discard(domain)
    return tuple(found)
