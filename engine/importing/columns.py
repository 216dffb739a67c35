"""What every column is, and why: read, or left out by its reason."""

from dataclasses import asdict, dataclass
from typing import Any

from engine.core.short_names import listed
from engine.importing.aggregates import CALLED, how_of, of_history
from engine.importing.choices import NAMELESS, Shares
from engine.importing.mapping import Mapping
from engine.importing.measured import is_training
from engine.importing.names import REASONS, REMARK, is_beside, is_spread, kind_of, leaf, measures, noise_of
from engine.importing.tables import Table, text_of

READ = ("share", "metric", "key", "label", "seed", "size", "budget")
MAY_MEASURE = "a number whose name says nothing of a metric"


@dataclass(frozen=True)
class Column:
    """file, column: where; role: one of READ, or why it is left out ("noise", "aggregate", "setting", "step", ...).

    reason: in words; also: the roles that were plausible too.
    """

    file: str
    column: str
    role: str
    reason: str
    also: tuple[str, ...] = ()

    @property
    def read(self) -> bool:
        return self.role in READ

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "also": list(self.also), "read": self.read}


def explained(mapping: Mapping, shares: Shares, weights: Table, metrics: Table | None) -> tuple[Column, ...]:
    """Every column of the table, or of both."""
    tables = [weights] if metrics is None else [weights, metrics]
    return tuple(_column(mapping, shares, table, name, table is weights) for table in tables for name in table.columns)


def _column(mapping: Mapping, shares: Shares, table: Table, name: str, is_first: bool) -> Column:
    used = {mapping.key: "key", mapping.label: "label", mapping.seed: "seed"}
    used |= {mapping.model_size: "size", mapping.n_tokens: "budget"}
    metric = {one.metric for one in mapping.objectives}
    if name in mapping.weights.values() and (name not in metric or is_first):
        return Column(table.name, name, "share", shares.family.why)
    if name in metric:
        why = "named like a metric" if measures(name) else "chosen, or all there is"
        why += f": {CALLED[how]} each run's history" if (how := how_of(name)) is not None else ""
        return Column(table.name, name, "metric", "a score in a harness' results" if name in table.told else why)
    if name in used:
        return Column(table.name, name, used[name], REASONS.get(used[name], "names the runs"))
    if shares.phases is not None and any(name in one.values() for one in shares.phases.columns):
        return Column(table.name, name, "share", "of one phase: what the phases add up to is the shares")
    if family := next((other for other in shares.others if name in other.columns), None):
        return Column(table.name, name, "other shares", f"plausible as a share too: {family.why}", ("share",))
    role, reason = left_out(table, name)
    if role in ("seed", "size", "budget"):  # another column is that, or somebody said that none is
        role, reason = "other", f"{reason}, and not read as that"
    also = ("metric",) if role == "training" or reason == MAY_MEASURE else ()
    return Column(table.name, name, role, reason, also)


def left_out(table: Table, name: str) -> tuple[str, str]:
    """Why a column is not read."""
    if not any(map(text_of, table.columns[name])):
        return "empty", "it is empty"
    if name in table.told:
        return "other", "a score in a harness' results that was not chosen"
    if not name or name.startswith(NAMELESS):
        return "nameless", "it has no name"
    if table.is_numeric(name) and (summed := of_history(name, set(table.columns))) is not None:
        return "aggregate", f"{CALLED[summed[0]]} each run's history, as {summed[1]!r} stands beside: an aggregate"
    if table.is_numeric(name) and (told := _of_another(name, set(table.columns))) is not None:
        return told
    if is_training(name):
        return "training", "measured on each run's own mixture, so it compares none"
    if is_beside(name, table.is_whole(name)):
        return "beside", REASONS["beside"]
    if kind := kind_of(name):
        return kind, REASONS[kind]
    if not table.is_numeric(name):
        return "text", "text"
    if table.counts_rows(name):
        return "row number", "numbers the rows"
    if len(set(table.keys(name))) == 1:
        return "other", "the same number in every run"
    return "other", "named like a metric, and not one of those that are read" if measures(name) else MAY_MEASURE


def _of_another(name: str, names: set[str]) -> tuple[str, str] | None:
    """The role and reason of a column that is a spread of a metric, or tells something else about one."""
    if (of := noise_of(name, names)) is None:
        return None
    if is_spread(name, names):
        return "noise", f"the spread of {of!r}, no metric" if of else "named like a spread, no metric"
    return "about", f"about {of!r}, or another statistic of it; no metric of its own"


def varied_settings(columns: tuple[Column, ...], weights: Table, metrics: Table | None) -> list[str]:
    """A note on settings, and other columns of few values, that differ between the runs, which nothing models."""
    tables = [table for table in (weights, metrics) if table is not None]
    roles = {one.column: one.role for one in columns if one.role in ("setting", "other", "text")}
    roles = {name: role for name, role in roles.items() if role != "text" or not REMARK.fullmatch(leaf(name))}
    counts = {name: len(set(table.keys(name))) for table in tables for name in roles if name in table.columns}
    varied = [
        f"{name} ({count} values)"
        for name, count in counts.items()
        if count > 1 and (roles[name] == "setting" or 2 * count <= len(weights))
    ]
    if not varied:
        return []
    return [f"What differs between the runs, and nothing takes into account: {listed(varied)}."]
