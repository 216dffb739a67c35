"""Rivals of the leaderboard's answer: methods that find a mixture from no further run, one or two. Plain data.

Each is one file in engine/proxies/rivals/ with a function that gives a mixture, and one line of the table here. D
domains.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.core.errors import Problem
from engine.spec.fidelity import Fidelity

FORWARD = 1 / 3  # of the work on a token in training that reading it takes: 2 N of 6 N operations (Kaplan et al. 2020)


@dataclass(frozen=True)
class Cost:
    """What finding a mixture takes: tokens that are trained on, and tokens that are only read."""

    trained: int
    read: int

    def runs(self, fidelity: Fidelity) -> float:
        """In runs of a proxy."""
        return (self.trained + FORWARD * self.read) / fidelity.trained_tokens


# What the methods do how often. ------------------------------------------------------------------------------------

# FastMix: updates of the shares; sequences of each domain that one reads, of both kinds of text.
UPDATES, PROBED = 128, 2
ROUNDS, SWEEPS, SWEPT = 8, 2, 0.25  # Aioli: rounds, the sweeps of each, and the part of it that these take
LOOKED = 1024  # tokens of each domain on which it looks at losses


def every(fidelity: Fidelity) -> int:
    """After how many steps FastMix moves its shares."""
    return max(1, fidelity.steps // UPDATES)


def rounds_of(fidelity: Fidelity, domains: int) -> tuple[int, int]:
    """How many rounds Aioli's run has, and how many steps each piece of a sweep takes.

    Raises Problem for a run that is too short for one.
    """
    rounds = min(ROUNDS, fidelity.steps // (4 * SWEEPS * domains))
    if not rounds:
        raise Problem(
            f"Cannot find Aioli's mixture of {domains} domains in {fidelity.steps} steps: it takes at least "
            f"{4 * SWEEPS * domains}. Use a longer recipe, or another method."
        )
    return rounds, max(1, round(SWEPT * fidelity.steps / rounds / (SWEEPS * domains)))


# What they take. ---------------------------------------------------------------------------------------------------


def mixmin_cost(fidelity: Fidelity, domains: int, experts: bool) -> Cost:
    """One run a domain, none where a merge study has made the experts; each reads all validation text."""
    return Cost(0 if experts else domains * fidelity.trained_tokens, domains**2 * fidelity.eval_tokens)


def doremi_cost(fidelity: Fidelity, domains: int, experts: bool) -> Cost:
    """The reference and the run that is compared with it, whose text the reference reads, too."""
    return Cost(2 * fidelity.trained_tokens, fidelity.trained_tokens)


def fastmix_cost(fidelity: Fidelity, domains: int, experts: bool) -> Cost:
    """One run, in which every update reads some training and validation text of each domain."""
    updates = (fidelity.steps - 1) // every(fidelity)
    return Cost(fidelity.trained_tokens, updates * domains * 2 * PROBED * fidelity.context)


def aioli_cost(fidelity: Fidelity, domains: int, experts: bool) -> Cost:
    """One run, which looks at validation text before each round, and after every piece of a sweep."""
    windows = max(2, LOOKED // fidelity.context)
    looks = rounds_of(fidelity, domains)[0] * (1 + SWEEPS * domains)
    return Cost(fidelity.trained_tokens, looks * domains * windows * fidelity.context)


@dataclass(frozen=True)
class Rival:
    """title: as pages show it; summary: what it does; cost: before it is begun; work: "module:function" that gives the
    mixture; weighs: whether it asks how much each domain's loss counts."""

    title: str
    summary: str
    cost: Callable[[Fidelity, int, bool], Cost]
    work: str
    weighs: bool = True

    def function(self) -> Callable[[Any], Any]:
        """The function that gives the mixture (engine.proxies.rivals.ask). Imports it, and torch."""
        module, name = self.work.split(":")
        found: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
        return found


RIVALS = {
    "mixmin": Rival(
        "MixMin",
        "One expert per domain; their average that predicts validation text best.",
        mixmin_cost,
        "engine.proxies.rivals.mixmin:mixture",
    ),
    "fastmix": Rival(
        "FastMix",
        "Shares move towards domains whose gradient agrees with that of validation text, during one run.",
        fastmix_cost,
        "engine.proxies.rivals.fastmix:mixture",
    ),
    "doremi": Rival(
        "DoReMi",
        "More of the domains that a run still lags behind a reference in; blind to priorities.",
        doremi_cost,
        "engine.proxies.rivals.doremi:mixture",
        weighs=False,
    ),
    "aioli": Rival(
        "Aioli",
        "Tries each domain for a few steps now and then, and gives more to what lowered validation losses.",
        aioli_cost,
        "engine.proxies.rivals.aioli:mixture",
    ),
}


def rival_of(name: str) -> Rival:
    """Raises Problem for a method that is not in the table."""
    if name not in RIVALS:
        raise Problem(f"Cannot find a mixture by {name!r}: the methods are {', '.join(RIVALS)}.")
    return RIVALS[name]
