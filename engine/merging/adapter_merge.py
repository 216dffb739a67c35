"""Merges of LoRA adapters that stay adapters: of their factors, or of the changes that these make. No base is read.

K adapters with weights w; module by module D_i = scale_i B_i A_i; a module that some adapters lack is merged from those
that have it. A (r, n), B (m, r).
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.merging.checkpoints.factors import (
    BY_EXTRACTION,
    Adapter,
    Factors,
    named_pair,
    read_factors,
    write_adapter,
)
from engine.merging.merge import Progress, misplaced
from engine.merging.methods import METHODS
from engine.merging.methods.memory import merge_in_memory

CAT, SVD, ARITHMETIC = "cat", "svd", "task_arithmetic"
Pair = tuple[Tensor, Tensor]  # (A, B) of one module, so that its change is B A


@dataclass(frozen=True)
class Made:
    """A module's merged factors, so that its change is b a. squared: of the change that the way aims at (the weighted
    sum of changes; for svd what its method makes of them); missed: squared distance of b a from it."""

    a: Tensor
    b: Tensor
    squared: float
    missed: float


@dataclass(frozen=True)
class Asked:
    """How to merge. by: of BY; weights [K]; density: kept of each factor, for those that prune; rank: of every module
    at most, for svd (None: the largest of the adapters'); method: of engine.merging.methods, by which svd merges
    changes; seed: of what is drawn."""

    by: str
    weights: list[float]
    density: float = 1.0
    rank: int | None = None
    method: str = ARITHMETIC
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises Problem if one is invalid."""
        if self.by not in BY:
            raise Problem(f"Cannot merge adapters by {self.by!r}: choose {', '.join(BY)}.")
        if not all(math.isfinite(one) for one in self.weights):
            raise Problem(f"Cannot weigh adapters by {self.weights}: give finite numbers.")
        if not 0 < self.density <= 1:
            raise Problem(f"Cannot keep {self.density} of the factors: a density is above 0 and at most 1.")
        if self.rank is not None and self.rank < 1:
            raise Problem(f"Cannot cut to rank {self.rank}: a rank is at least 1.")
        able = [name for name, one in METHODS.items() if one.base == "required" and not one.max_experts]
        if self.method not in able:
            raise Problem(f"Cannot merge changes by {self.method!r}: choose {', '.join(able)}.")


# Of factors, as peft's add_weighted_adapter has them -----------------------------------------------------------


def cat(module: str, own: list[Factors], weights: list[float], asked: Asked) -> Made:
    """All factors beside each other: exactly the weighted sum of the changes, at the sum of the ranks."""
    exact = beside(own, weights)
    return Made(*exact, inner(exact, exact), 0.0)


def beside(own: list[Factors], weights: list[float]) -> Pair:
    """The weighted sum of the changes, as one pair of factors."""
    flat = [one.flat for one in own]
    return torch.cat([a for a, _ in flat]), torch.cat([w * b for w, (_, b) in zip(weights, flat, strict=True)], dim=1)


def of_factors(combine: Callable[[list[Tensor], list[float], Asked, str], Tensor]):
    """A way that merges all A, then all B, each by the square root of its weight; A takes the sign."""

    def merged(module: str, own: list[Factors], weights: list[float], asked: Asked) -> Made:
        if len({one.rank for one in own}) > 1:
            raise Problem(
                f"Cannot add the factors of {module!r}: their ranks are {[one.rank for one in own]}. Merge by cat or "
                "svd, which take any."
            )
        sizes = [w * one.scale for w, one in zip(weights, own, strict=True)]
        root = [math.sqrt(abs(size)) for size in sizes]
        signed = [math.copysign(value, size) for value, size in zip(root, sizes, strict=True)]
        a = combine([one.a.float().reshape(one.rank, -1) for one in own], signed, asked, f"{module} A")
        b = combine([one.b.float().reshape(-1, one.rank) for one in own], root, asked, f"{module} B")
        exact = beside(own, weights)
        squared = inner(exact, exact)
        return Made(a, b, squared, max(0.0, squared + inner((a, b), (a, b)) - 2 * inner(exact, (a, b))))

    merged.__doc__ = combine.__doc__
    return merged


def linear(factors: list[Tensor], weights: list[float], asked: Asked, name: str) -> Tensor:
    """A = sum of A_i, B = sum of B_i: holds B_i A_k of different adapters, too, which no sum of changes has."""
    return sum(w * one for w, one in zip(weights, factors, strict=True))


def magnitude_prune(factors: list[Tensor], weights: list[float], asked: Asked, name: str) -> Tensor:
    """The same, of the largest values of each factor."""
    return linear([largest(one, asked.density) for one in factors], weights, asked, name)


def ties(factors: list[Tensor], weights: list[float], asked: Asked, name: str) -> Tensor:
    """The largest values of each factor; the sign of their sum wins, and those of that sign are averaged."""
    return agreeing([largest(one, asked.density) for one in factors], weights)


def dare_linear(factors: list[Tensor], weights: list[float], asked: Asked, name: str) -> Tensor:
    """The sum of values that were drawn with a probability of `density`, and divided by it."""
    return linear(drawn(factors, asked, name), weights, asked, name)


def dare_ties(factors: list[Tensor], weights: list[float], asked: Asked, name: str) -> Tensor:
    """Values drawn so; the sign of their sum wins, and those of that sign are averaged."""
    return agreeing(drawn(factors, asked, name), weights)


def largest(values: Tensor, density: float) -> Tensor:
    """The largest part of the values, by size, the others 0."""
    count = int(density * values.numel())
    kept = torch.zeros(values.numel())
    kept[values.abs().reshape(-1).topk(count).indices] = 1
    return values * kept.view(values.shape)


def drawn(factors: list[Tensor], asked: Asked, name: str) -> list[Tensor]:
    """Values that stay with a probability of `density`, divided by it; the draw depends on seed, name and place."""
    if asked.density == 1:
        return factors
    stays = [
        np.random.default_rng([asked.seed, zlib.crc32(name.encode()), place]).random(one.shape) < asked.density
        for place, one in enumerate(factors)
    ]
    return [one * torch.from_numpy(stay) / asked.density for one, stay in zip(factors, stays, strict=True)]


def agreeing(factors: list[Tensor], weights: list[float]) -> Tensor:
    """The weighted values whose sign is that of their plain sum (0 counts as positive), over how many they are."""
    stacked = torch.stack(factors)
    agree = stacked.sign() == torch.where(stacked.sum(0) >= 0, 1.0, -1.0)
    sizes = torch.tensor(weights).view(-1, *[1] * (stacked.ndim - 1))
    return (stacked * sizes * agree).sum(0) / agree.sum(0).clamp(min=1)


# Of changes ----------------------------------------------------------------------------------------------------


def svd(module: str, own: list[Factors], weights: list[float], asked: Asked) -> Made:
    """The changes merged by a method, cut to the rank that is nearest (Eckart and Young 1936)."""
    if asked.method == ARITHMETIC:
        u, s, v = by_factors(*beside(own, weights))
    else:
        changes = [{module: b @ a} for a, b in (one.flat for one in own)]
        base = {module: torch.zeros_like(changes[0][module])}
        whole = merge_in_memory(asked.method, base, changes, weights, seed=asked.seed)[module]
        u, s, v = torch.linalg.svd(whole, full_matrices=False)
    rank = asked.rank or max(one.rank for one in own)
    root, squares = s[:rank].sqrt(), s.double().square()
    return Made(root[:, None] * v[:rank], u[:, :rank] * root, float(squares.sum()), float(squares[rank:].sum()))


def by_factors(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The singular value decomposition of B A by way of both factors' bases: B A itself, (m, n), is never made."""
    left, upper = torch.linalg.qr(b)  # (m, R), (R, R)
    right, lower = torch.linalg.qr(a.T)
    u, s, v = torch.linalg.svd(upper @ lower.T)
    return left @ u, s, v @ right.T


BY: dict[str, Callable[[str, list[Factors], list[float], Asked], Made]] = {
    CAT: cat,
    SVD: svd,
    "linear": of_factors(linear),
    "ties": of_factors(ties),
    "dare_linear": of_factors(dare_linear),
    "dare_ties": of_factors(dare_ties),
    "magnitude_prune": of_factors(magnitude_prune),
}


# All modules ---------------------------------------------------------------------------------------------------


@dataclass
class Merged:
    """A merged adapter in the making. tensors: by name in its file; ranks: by module; squared, missed: sums of those of
    its modules; partial: modules that some lack."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    squared: float = 0.0
    missed: float = 0.0
    partial: list[str] = field(default_factory=list)


def merge_adapters(
    folders: list[Path], asked: Asked, out: Path, tell: Callable[[str], None], progress: Progress | None = None
) -> dict:
    """Write the merge of adapters as an adapter to the folder `out`.

    Returns {"out", "modules", "parameters", "rank", "distance", "warnings"}; distance: of the merge from what its way
    aims at (`Made`), over the size of that. Raises Problem if one is no LoRA, they do not fit each other, or the
    request cannot be.
    """
    read = [read_factors(folder) for folder in folders]
    if said := misplaced(out, {}):
        raise Problem(said)
    modules = list(dict.fromkeys(module for one in read for module in one.factors))
    found = Merged(averaged(read, asked.weights))
    for place, module in enumerate(modules):
        if progress:
            progress(place, len(modules), module)
        add(found, module, read, asked)
    warnings = told(found, read)
    for sentence in warnings:
        tell(sentence)
    kept = ("task_type", "base_model_name_or_path", "fan_in_fan_out", "modules_to_save")
    kept = {key: read[0].settings.get(key) for key in kept}
    write_adapter(out, found.tensors, found.ranks, kept, {})
    return {
        "out": str(out),
        "modules": len(found.ranks),
        "parameters": sum(one.numel() for one in found.tensors.values()),
        "rank": max(found.ranks.values()),
        "distance": math.sqrt(found.missed / found.squared) if found.squared else 0.0,
        "warnings": warnings,
    }


def averaged(adapters: list[Adapter], weights: list[float]) -> dict[str, Tensor]:
    """The weighted mean of tensors that the adapters have whole, such as norms that were trained (modules_to_save).

    base + sum of w (W_i - base) is sum of w W_i where the weights sum to 1 and all have the tensor; otherwise it takes
    the base, which is not read here. Raises Problem then.
    """
    names = list(dict.fromkeys(name for one in adapters for name in one.whole))
    shapes = {name: {one.whole[name].shape for one in adapters if name in one.whole} for name in names}
    alike = all(name in one.whole for one in adapters for name in names) and all(
        len(one) == 1 for one in shapes.values()
    )
    if names and not (alike and math.isclose(sum(weights), 1, abs_tol=1e-6)):
        raise Problem(
            f"Cannot merge these adapters without their base: {listed(names, 3)} are whole tensors (modules_to_save, "
            "biases), whose merge is their mean only where all adapters have them and the weights sum to 1. Theirs is "
            f"{sum(weights):g}. {BY_EXTRACTION}"
        )
    found = {}
    for name in names:
        mixed = sum(w * one.whole[name].float() for w, one in zip(weights, adapters, strict=True))
        found[name] = mixed.to(adapters[0].whole[name].dtype)
    return found


def add(found: Merged, module: str, adapters: list[Adapter], asked: Asked) -> None:
    """Merge one module from the adapters that have it."""
    having = [(one, w) for one, w in zip(adapters, asked.weights, strict=True) if module in one.factors]
    own, weights = [one.factors[module] for one, _ in having], [w for _, w in having]
    if len({(one.shapes, one.is_table) for one in own}) > 1:
        said = ", ".join(f"{one.factors[module].shapes} in {one.folder}" for one, _ in having)
        raise Problem(f"Cannot merge {module!r}: its shapes differ ({said}). Give adapters of one base.")
    if len(own) < len(adapters):
        found.partial.append(module)
    made = BY[asked.by](module, own, weights, asked)
    found.squared, found.missed = found.squared + made.squared, found.missed + made.missed
    (inputs, outputs), rank, kind = own[0].shapes, len(made.a), own[0].a.dtype
    shaped = made.a.reshape(rank, *inputs), made.b.reshape(outputs[0], rank, *outputs[1:])
    found.tensors |= named_pair(module, *(one.to(kind) for one in shaped), own[0].is_table)
    found.ranks[module] = rank


def inner(one: Pair, other: Pair) -> float:
    """The inner product of two changes B A, by their factors."""
    (a, b), (c, d) = ((x.double(), y.double()) for x, y in (one, other))
    return float(((b.T @ d) * (a @ c.T)).sum())


def told(found: Merged, adapters: list[Adapter]) -> list[str]:
    """What to know of the merge."""
    said = []
    for key, what in (("base_model_name_or_path", "base"), ("task_type", "task type")):
        named = {str(one.settings.get(key)): one.folder for one in adapters}
        if len(named) > 1:
            parts = ", ".join(f"{name} ({folder})" for name, folder in named.items())
            said.append(f"The adapters name different values of their {what}: {parts}. The merge keeps the first's.")
    if found.partial:
        said.append(
            f"Some adapters lack {listed(found.partial, 3)}: there, the merge is of those that have it, with their "
            "weights as they are."
        )
    return said
