"""What proxies cost: tokens, FLOPs and minutes, before they are trained."""

from dataclasses import dataclass

from engine.spec.fidelity import Fidelity, larger
from store import runs
from store.database import Store

BYTES = 256  # the vocabulary of byte tokens


@dataclass(frozen=True)
class Cost:
    """The cost of training. minutes: None if no speed is known for this size; basis: where the speed comes from."""

    flops: float
    tokens: float
    minutes: float | None
    basis: str


# Tokens/s of one single-threaded job by width (benchmarks/results/stacking.md), until this workspace has its own.
TYPICAL_SPEED = {32: 150_000.0, 64: 60_000.0, 128: 24_000.0, 256: 8_000.0}


def cost_of(store: Store, fidelity: Fidelity, members: int, vocabulary: int, slots: int) -> Cost:
    """The cost of `members` proxies of a fidelity on `slots` parallel jobs."""
    tokens = fidelity.steps * fidelity.batch * fidelity.context
    parameters = fidelity.parameters(vocabulary)
    speeds = runs.speed(store)
    own = [rate for (size, _), rate in speeds.items() if size == parameters]
    speed = own[0] if own else TYPICAL_SPEED.get(fidelity.width)
    basis = (
        "measured in this workspace" if own else "typical of a laptop core" if speed else "no speed known for this size"
    )
    minutes = None if speed is None else members * tokens / speed / slots / 60
    return Cost(members * fidelity.flops(vocabulary), members * tokens, minutes, basis)


# A confirmation trains the chosen mixture, three baselines and one more, at a larger size and with several seeds.
CONFIRMED, CONFIRMING_SEEDS, CONFIRMING_SIZE = 5, 3, 4


def confirmation_cost(store: Store, fidelity: Fidelity, vocabulary: int, slots: int) -> Cost:
    """The cost of a confirmation with models CONFIRMING_SIZE times as large, on as many times the tokens."""
    return cost_of(store, larger(fidelity, CONFIRMING_SIZE), CONFIRMED * CONFIRMING_SEEDS, vocabulary, slots)
