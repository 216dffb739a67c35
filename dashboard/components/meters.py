"""Level meters of predicted metrics: one line each, against a reference."""

from dataclasses import asdict, dataclass

from dashboard.components import component


@dataclass(frozen=True)
class Meter:
    """One line. value, words: as people read it, short and in full; change, half: the difference to the reference and
    the half width of its 95% interval, on the meters' common scale; best: that of the best measured run, or None;
    better: the change is for the better; counted: the metric has a priority."""

    name: str
    colour: str
    value: str
    words: str
    change: float
    half: float
    best: float | None
    better: bool
    counted: bool


def meters(rows: list[Meter], caption: str, key: str) -> None:
    """Draw the meters; caption: what their scale is."""
    component("meters")(key=key, data={"rows": [asdict(row) for row in rows], "caption": caption})
