"""What defines a proxy apart from its mixture and seed: size, budget and optimiser. No torch, imports fast."""

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from engine.core.checks import is_number, is_whole
from engine.core.errors import Problem

HEAD = 32  # width of one attention head: wide enough for full vector registers and tensor-core tiles

# Peak AdamW rate by width: the best of the sweep in benchmarks/learning_rate.json (a test keeps them equal).
LEARNING_RATES = {32: 1e-2, 64: 3e-3, 128: 3e-3}


BASE = 32  # width at which muP's rates and outputs are those of standard training


def group_size(width: int) -> int:
    """How many proxies of a width to stack on one CPU core (benchmarks/results/stacking.md).

    Stacking pays while the kernels are small; wide stacks fall out of the cache.
    """
    return 8 if width <= 64 else 4


@dataclass(frozen=True)
class Fidelity:
    """One size of proxy and how it is trained.

    width: channels d; layers; heads (each width / heads channels, an even number); context: positions T of a
    sequence; batch: sequences B of a step; tokens: training budget, rounded up to whole steps; warmup: fraction
    of the steps with a rising rate; clip: largest gradient norm of a member; eval_tokens: validation tokens
    per domain; mup: learning_rate is that of width BASE, hidden matrices take it times BASE / width, and logits are
    as much smaller (muP, Yang et al. 2022, arXiv:2203.03466); batches: whether the sequences of a step may be of
    several domains, or are of one ("unmixed"); sharpness: how far from its weights, as a norm, each member looks for
    the gradient that it follows (sharpness-aware minimisation, Foret et al. 2021, arXiv:2010.01412), which takes two
    passes; 0: not at all. Raises Problem for invalid values.
    """

    width: int = 32
    layers: int = 2
    heads: int = 1
    context: int = 64
    batch: int = 4
    tokens: int = 524_288
    activation: Literal["swiglu", "gelu"] = "swiglu"
    tie_embeddings: bool = True
    learning_rate: float = LEARNING_RATES[32]
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    warmup: float = 0.05
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.98
    clip: float = 1.0
    eval_tokens: int = 32_768
    mup: bool = False
    batches: Literal["mixed", "unmixed"] = "mixed"
    sharpness: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            check(name, getattr(self, name), kind)
        for name in ("beta1", "beta2", "warmup"):
            if getattr(self, name) >= 1:
                raise invalid(name, getattr(self, name), "a number of at least 0 and under 1")
        if self.width % (2 * self.heads):
            raise invalid("heads", self.heads, f"a number that divides half the width ({self.width} / 2)")

    @property
    def steps(self) -> int:
        """Optimiser steps: the budget in whole steps of batch x context tokens, rounded up."""
        return math.ceil(self.tokens / (self.batch * self.context))

    @property
    def trained_tokens(self) -> int:
        """Tokens that one proxy is trained on: its budget in whole steps."""
        return self.steps * self.batch * self.context

    @property
    def hidden(self) -> int:
        """Width of the MLP: 4 d for GELU; for SwiGLU 8/3 d to a multiple of 8: its gate is a third matrix."""
        return 4 * self.width if self.activation == "gelu" else 8 * round(self.width / 3)

    def parameters(self, vocabulary: int) -> int:
        """Parameters of one proxy, embeddings included (counted once when tied)."""
        embeddings = vocabulary * self.width * (1 if self.tie_embeddings else 2)
        return embeddings + self.layers * self.layer_parameters

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer: attention 4 d^2, and two matrices of the MLP, or three with a gate."""
        matrices = 3 if self.activation == "swiglu" else 2
        return 4 * self.width**2 + matrices * self.width * self.hidden

    def flops(self, vocabulary: int) -> int:
        """Floating point operations of training one proxy: 6 N per token, N parameters in matrix products, and
        causal attention, 6 d T a token and layer (Kaplan et al. 2020; half of PaLM's 12 d T, which counts
        masked pairs).
        """
        products = vocabulary * self.width + self.layers * self.layer_parameters
        attention = self.layers * self.width * self.context
        return self.passes * 6 * (products + attention) * self.trained_tokens

    def rate(self, step: int) -> float:
        """The learning rate at a step. All schedules rise linearly in the warmup; cosine then falls to a tenth
        (Hoffmann et al. 2022), wsd falls linearly to 0 in the last fifth (Hu et al. 2024), constant stays.
        """
        done, peak = (step + 0.5) / self.steps, self.learning_rate
        if done < self.warmup:
            return peak * done / self.warmup
        if self.schedule == "cosine":
            fallen = (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup))) / 2
            return peak * (0.1 + 0.9 * fallen)
        if self.schedule == "wsd":
            return peak * min(1.0, (1 - done) / 0.2)
        return peak

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able fields; `from_dict` reads it back. Switches only where they are on: without, a fidelity is what
        versions wrote that did not know them."""
        return {name: value for name, value in dataclasses.asdict(self).items() if OFF.get(name, ()) != value}

    @property
    def passes(self) -> int:
        """Forward and backward passes of a step."""
        return 2 if self.sharpness else 1

    @property
    def shrinks(self) -> float:
        """By how much muP shrinks the rates of hidden matrices and the logits; 1 without it, and at width BASE."""
        return BASE / self.width if self.mup else 1.0

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Fidelity":
        """A fidelity from its fields; missing ones take the default. Raises Problem for invalid ones."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise Problem(
                    f"Cannot read the fidelity: it has an unknown field {name!r}. Use only {', '.join(known)}."
                )
        return cls(**fields)


OFF = {"mup": False, "batches": "mixed", "sharpness": 0.0}  # switches of training as they are where nobody asks


def check(name: str, value: object, kind: Any) -> None:
    """Raise Problem unless a field's value is of its kind and in range."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise invalid(name, value, "one of " + ", ".join(get_args(kind)))
    elif kind is bool:
        if not isinstance(value, bool):
            raise invalid(name, value, "true or false")
    elif kind is int:
        if not is_whole(value, 1):
            raise invalid(name, value, "a whole number of at least 1")
    elif not is_number(value, 0):
        raise invalid(name, value, "a finite number of at least 0")


def invalid(name: str, value: object, wanted: str) -> Problem:
    """The Problem for an invalid value of a field."""
    return Problem(f"Cannot make a proxy with {name} = {value!r}: it must be {wanted}. Change it.")


def learning_rate(width: int) -> float:
    """Peak rate for a width: interpolated in log-log between the widths of the sweep, and beyond the last one
    falling as 1 / width (Yang et al. 2022, muP), which was not measured here."""
    widths = sorted(LEARNING_RATES)
    if width <= widths[0]:
        return LEARNING_RATES[widths[0]]
    for low, high in itertools.pairwise(widths):
        if width <= high:
            between = math.log(width / low) / math.log(high / low)
            return float(LEARNING_RATES[low] ** (1 - between) * LEARNING_RATES[high] ** between)
    return LEARNING_RATES[widths[-1]] * widths[-1] / width


def sized(width: int, **changes: Any) -> Fidelity:
    """A fidelity of a width, with its heads and the sweep's rate for it."""
    return Fidelity(width=width, heads=max(1, width // HEAD), learning_rate=learning_rate(width), **changes)


# From fastest to most accurate. Under 256k tokens seeds differ as much as mixtures do, and hide their effect.
PRESETS = {
    "sketch": sized(32, tokens=262_144),
    "demo": sized(32, tokens=524_288, eval_tokens=16_384),
    "steady": sized(64, context=128, tokens=2_097_152, eval_tokens=65_536),
    "careful": sized(128, layers=4, context=256, batch=8, tokens=16_777_216, eval_tokens=131_072),
    "large": sized(256, layers=6, context=512, batch=16, tokens=134_217_728, eval_tokens=262_144),
}


def shapes(fidelity: Fidelity, vocabulary: int) -> dict[str, tuple[int, int]]:
    """The (out, in) shape of every weight of one proxy, in the order of the flat buffer."""
    d, hidden = fidelity.width, fidelity.hidden
    table = {"embedding": (vocabulary, d)}
    for layer in range(fidelity.layers):
        table[f"layers.{layer}.attention.qkv"] = (3 * d, d)
        table[f"layers.{layer}.attention.output"] = (d, d)
        table[f"layers.{layer}.mlp.up"] = ((2 if fidelity.activation == "swiglu" else 1) * hidden, d)
        table[f"layers.{layer}.mlp.down"] = (d, hidden)
    if not fidelity.tie_embeddings:
        table["head"] = (vocabulary, d)
    return table


def larger(fidelity: Fidelity, factor: float) -> Fidelity:
    """A model to check a proxy against: `factor` times the weights of its layers, and as many more tokens.

    The width doubles per factor of 4, more layers make up the rest, and tokens per weight stay what they were
    (Hoffmann et al. 2022), so the cost grows as factor^2. The rate follows the width. Raises Problem under 1.
    """
    if not factor >= 1:
        raise Problem(f"Cannot make a model {factor} times as large: the factor must be at least 1. Use 4 to 8.")
    doublings = int(math.log(factor, 4) + 1e-9)
    width = fidelity.width * 2**doublings
    return dataclasses.replace(
        fidelity,
        width=width,
        heads=fidelity.heads * 2**doublings,
        layers=round(fidelity.layers * factor / 4**doublings),
        tokens=round(fidelity.tokens * factor),
        learning_rate=fidelity.learning_rate
        * (1 if fidelity.mup else learning_rate(width) / learning_rate(fidelity.width)),
    )
