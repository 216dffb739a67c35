"""What proxies cost: tokens, FLOPs and minutes, before they are trained."""

from dataclasses import dataclass

from engine.spec.fidelity import Fidelity, larger
from store import runs
from store.database import Store

BASELINES, BYTES = 3, 256  # natural, uniform, UniMax; the vocabulary of byte tokens


@dataclass(frozen=True)
class Cost:
    """What a study will take before it starts. minutes: None where no speed is known for this size."""

    flops: float
    tokens: float
    minutes: float | None
    basis: str


# Tokens a second of one single-threaded job, by width, measured once (benchmarks/results/stacking.md): used until
# this workspace has measured runs of its own.
TYPICAL_SPEED = {32: 150_000.0, 64: 60_000.0, 128: 24_000.0, 256: 8_000.0}


def cost_of(store: Store, fidelity: Fidelity, members: int, vocabulary: int, slots: int) -> Cost:
    """The price of `members` proxies of a fidelity on `slots` jobs side by side."""
    tokens = fidelity.steps * fidelity.batch * fidelity.context
    parameters = fidelity.parameters(vocabulary)
    speeds = runs.speed(store)
    own = [rate for (size, _), rate in speeds.items() if size == parameters]
    speed = own[0] if own else TYPICAL_SPEED.get(fidelity.width)
    basis = (
        "measured in this workspace" if own else "a typical laptop core" if speed else "no speed known for this size"
    )
    minutes = None if speed is None else members * tokens / speed / slots / 60
    return Cost(members * fidelity.flops(vocabulary), members * tokens, minutes, basis)


# What confirming an answer trains: the chosen mixture, three baselines and one more, larger and with several seeds.
CONFIRMED, CONFIRMING_SEEDS, CONFIRMING_SIZE = 5, 3, 4


def confirmation_cost(store: Store, fidelity: Fidelity, vocabulary: int, slots: int) -> Cost:
    """The price of confirming an answer with models CONFIRMING_SIZE times as large, on as many more tokens."""
    return cost_of(store, larger(fidelity, CONFIRMING_SIZE), CONFIRMED * CONFIRMING_SEEDS, vocabulary, slots)
