"""Level meters of predicted metrics: one line each, against a reference."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from dashboard.components import component


@dataclass(frozen=True)
class Meter:
    """One line. value, words: as people read it, short and in full; change, half: the difference to the reference and
    the half width of its 95% interval, on the meters' common scale; best: that of the best measured run, or None;
    better: the change is for the better; counted: the metric has a priority; total: it is the aggregate of the others.
    """

    name: str
    colour: str
    value: str
    words: str
    change: float
    half: float
    best: float | None
    better: bool
    counted: bool
    total: bool = False


def meters(rows: list[Meter], caption: str, key: str, beside: Sequence[Meter] = ()) -> None:
    """Draw the meters; caption: what their scale is; beside: lines of other meters that are compared with these, so
    that all have one scale."""
    lines, others = ([asdict(row) for row in which] for which in (rows, beside))
    component("meters")(key=key, data={"rows": lines, "beside": others, "caption": caption})
