"""Candidates of the fidelity lab: one study's proxies with one thing changed each, by name. Plain data."""

from collections.abc import Callable
from dataclasses import replace

from engine.spec.fidelity import BASE, LEARNING_RATES, Fidelity, larger, learning_rate

OWN = "as the study"
REFERENCE = "reference"
FEWEST = 24  # mixtures: from 8 to 12, an interval is .1 to .2 wide on either side
NARROWEST = 16  # width below which proxies learn next to nothing


def _tokens(part: float) -> Callable[[Fidelity], Fidelity]:
    return lambda one: replace(one, tokens=max(1, round(part * one.tokens)))


def _rate(part: float) -> Callable[[Fidelity], Fidelity]:
    return lambda one: replace(one, learning_rate=part * one.learning_rate)


def _narrow(one: Fidelity) -> Fidelity | None:
    """Half as wide, at that width's rate; None where that is too narrow."""
    width = one.width // 2
    if width < NARROWEST or width % 2:
        return None
    rate = one.learning_rate if one.mup else one.learning_rate * learning_rate(width) / learning_rate(one.width)
    return replace(one, width=width, heads=max(1, one.heads // 2), learning_rate=rate)


def _mup(one: Fidelity) -> Fidelity | None:
    """By muP's rates; None where they are those of standard training."""
    if one.width == BASE or one.mup:
        return None
    return replace(one, mup=True, learning_rate=LEARNING_RATES[BASE])


def _schedule(name: str) -> Callable[[Fidelity], Fidelity | None]:
    return lambda one: None if one.schedule == name else Fidelity.from_dict(one.to_dict() | {"schedule": name})


def _batch(factor: float) -> Callable[[Fidelity], Fidelity | None]:
    return lambda one: None if one.batch * factor < 1 else replace(one, batch=round(one.batch * factor))


# One thing changed, and pairs that cost a quarter.
CHANGES: dict[str, Callable[[Fidelity], Fidelity | None]] = {
    OWN: lambda one: one,
    "half the tokens": _tokens(1 / 2),
    "a quarter of the tokens": _tokens(1 / 4),
    "half the width": _narrow,
    "rate x 0.1": _rate(0.1),
    "rate x 0.01": _rate(0.01),
    "a quarter of the tokens, rate x 0.1": lambda one: _tokens(1 / 4)(_rate(0.1)(one)),
    "a quarter of the tokens, rate x 0.01": lambda one: _tokens(1 / 4)(_rate(0.01)(one)),
    "muP": _mup,
    "cosine schedule": _schedule("cosine"),
    "wsd schedule": _schedule("wsd"),
    "constant schedule": _schedule("constant"),
    "twice the batch": _batch(2),
    "half the batch": _batch(1 / 2),
    "no weight decay": lambda one: replace(one, weight_decay=0.0) if one.weight_decay else None,
}


def candidates(base: Fidelity) -> dict[str, Fidelity]:
    """The candidates of a study's fidelity by name, without those that would change nothing."""
    made = {name: change(base) for name, change in CHANGES.items()}
    return {name: one for name, one in made.items() if one is not None}


def reference(base: Fidelity, times: float) -> Fidelity:
    """What candidates are compared with: `times` the weights of the study's proxies, and as many more tokens."""
    return larger(base, times)
