"""What proxies cost: tokens, FLOPs and minutes before they are trained; device-hours and money before and after."""

import os
import time
from dataclasses import dataclass

from engine.spec.fidelity import Fidelity, larger
from store import jobs, runs
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


def cost_of(store: Store, fidelity: Fidelity, members: float, vocabulary: int, slots: int) -> Cost:
    """The cost of `members` proxies of a fidelity on `slots` parallel jobs; parts of a training count as parts."""
    tokens = fidelity.trained_tokens
    parameters = fidelity.parameters(vocabulary)
    speeds = runs.speed(store)
    own = [rate for (size, _), rate in speeds.items() if size == parameters]
    speed = own[0] if own else TYPICAL_SPEED.get(fidelity.width)
    basis = (
        "measured in this workspace" if own else "typical of a laptop core" if speed else "no speed known for this size"
    )
    minutes = None if speed is None else members * tokens * fidelity.passes / speed / slots / 60
    return Cost(members * fidelity.flops(vocabulary), members * tokens, minutes, basis)


# A confirmation trains the chosen mixture, three baselines and one more, at a larger size and with several seeds.
CONFIRMED, CONFIRMING_SEEDS, CONFIRMING_SIZE = 5, 3, 4


def confirmation_cost(store: Store, fidelity: Fidelity, vocabulary: int, slots: int) -> Cost:
    """The cost of a confirmation with models CONFIRMING_SIZE times as large, on as many times the tokens."""
    return cost_of(store, larger(fidelity, CONFIRMING_SIZE), CONFIRMED * CONFIRMING_SEEDS, vocabulary, slots)


PRICE = "MIXDESK_DEVICE_HOUR"  # the price of an hour of a device (a GPU, or a core), such as "2.50 EUR"


def device_hours(store: Store, study: str) -> float:
    """How long the last attempts of a study's jobs held a device, in hours; attempts that died before are not known."""
    own = [job for job in jobs.of_study(store, study) if job.attempt_at or job.started_at]
    now = time.time()
    ends = [now if job.state == "running" else job.ended_at for job in own]
    begins = [job.attempt_at or job.started_at for job in own]
    return sum(max(0.0, end - begin) for begin, end in zip(begins, ends, strict=True) if end and begin) / 3600


def hours_words(hours: float) -> str:
    """Device-hours, and money where their price is set: "0.25 device-hours, 0.63 EUR"."""
    words = f"{float(f'{hours:.2g}'):,.10g} device-hours"
    amount, _, currency = os.environ.get(PRICE, "").strip().partition(" ")
    if not amount:
        return words
    try:
        return f"{words}, {hours * float(amount):,.2f} {currency}".rstrip()
    except ValueError:
        return f"{words} (the server's {PRICE} is {amount!r}: give a number and a currency)"
