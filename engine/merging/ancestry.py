"""How far an expert has moved from the base it is said to come from: per tensor, and whether it comes from there."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from engine.merge_methods import Tensors
from engine.merging.config import MergeConfig, experts_of
from engine.merging.layout import Model, Planned

APART = 0.9  # |d| / |base| of a matrix from which two models were rather trained apart: independent ones have 1 or more


@dataclass
class Ancestry:
    """One expert against the base. tensors: name -> (|d| / |base|, share of elements unchanged)."""

    model: str
    base: str
    tensors: dict[str, tuple[float, float]] = field(default_factory=dict)
    matrices: list[str] = field(default_factory=list)
    moved: float = 0.0  # sums of squares over all tensors
    size: float = 0.0
    same: int = 0
    count: int = 0

    @property
    def ratio(self) -> float:
        """|d| / |base| over the whole model."""
        return math.sqrt(self.moved / self.size) if self.size else 0.0

    @property
    def unchanged(self) -> float:
        """Share of all elements that equal the base's."""
        return self.same / self.count if self.count else 1.0

    @property
    def foreign(self) -> bool:
        """Whether half of its matrices differ from the base's as much as independent ones do."""
        found = [self.tensors[name][0] for name in self.matrices]
        return bool(found) and float(np.median(found)) >= APART

    def says(self) -> str:
        """A sentence about it."""
        if self.unchanged == 1:
            return f"{self.model} equals {self.base} in every weight."
        if self.foreign:
            middle = float(np.median([self.tensors[name][0] for name in self.matrices]))
            return (
                f"{self.model}: this is not fine-tuned from that base ({self.base}). Half of its matrices differ from "
                f"the base's by {middle:.2f} of their size or more; models that were trained apart differ by 1 or more."
            )
        return (
            f"{self.model} differs from {self.base} by {self.ratio:.3f} of its size; {self.unchanged:.1%} of the "
            "weights are unchanged."
        )

    def to_dict(self) -> dict:
        tensors = [{"name": name, "ratio": ratio, "unchanged": same} for name, (ratio, same) in self.tensors.items()]
        return {
            "model": self.model, "ratio": self.ratio, "unchanged": self.unchanged, "says": self.says(),
            "tensors": tensors,
        }  # fmt: skip


def scan(
    config: MergeConfig, models: dict[str, Model], planned: list[Planned], progress: Callable | None = None
) -> tuple[list[Ancestry], list[str]]:
    """One pass over all weights: every expert against its base, and a sentence for each tensor with NaN or infinity or
    with whole numbers that differ. progress(done, total, note) in bytes of the output."""
    found, refusals = {}, []
    total, done = sum(one.slot.bytes for one in planned), 0
    for one in planned:
        if progress:
            progress(done, total, f"checking {one.slot.name}")
        done += one.slot.bytes
        if not one.slot.size:
            continue
        if not one.slot.dtype.is_floating_point:
            refusals += differing(models, one)
            continue
        base = one.piece.base
        experts = [source.model for source in experts_of(config, one.piece) if source.model != base]
        refusals += measured(models, one, base, experts, found)
    return list(found.values()), refusals


def measured(models: dict[str, Model], one: Planned, base: str | None, experts: list[str], found: dict) -> list[str]:
    """Enter one tensor of every expert; gives a sentence for each model whose numbers are none."""
    names = [base, *experts] if base else experts
    x = Tensors(one.slot.name, one.slot.shape, None, [models[name].flat(one.inputs[name]) for name in names])
    sums, same = torch.zeros(len(names), dtype=torch.float64), torch.zeros(len(names), dtype=torch.int64)
    sound = torch.zeros(len(names))
    for part in x.chunks():
        values = x.experts32(part)
        sound += values.sum(dim=1) * 0  # NaN or infinity stay in it
        if base:
            values[1:] -= values[0].clone()
            same += (values == 0).sum(dim=1)
            sums += values.square().sum(dim=1).double()
    bad = [name for name, value in zip(names, sound.tolist(), strict=True) if value != 0]
    for place, name in enumerate(names[1:] if base and not bad else [], 1):
        ancestry = found.setdefault((name, base), Ancestry(name, base))
        moved, size = float(sums[place]), float(sums[0])
        ratio = math.sqrt(moved / size) if size else float(moved > 0)
        ancestry.tensors[one.slot.name] = ratio, int(same[place]) / x.n
        ancestry.matrices += [one.slot.name] if len(x.shape) > 1 else []
        ancestry.moved, ancestry.size = ancestry.moved + moved, ancestry.size + size
        ancestry.same, ancestry.count = ancestry.same + int(same[place]), ancestry.count + x.n
    return [not_finite(models[name], name, one.inputs[name], one.slot.name) for name in bad]


def not_finite(model: Model, reference: str, theirs: str, name: str) -> str:
    """Which model's numbers are none."""
    where = f"{model.tensors[theirs].file}" if theirs in model.tensors else reference
    return (
        f"Cannot merge {name!r}: {where} holds numbers in it that are not finite (NaN or infinity). Take another "
        "checkpoint of that model."
    )


def differing(models: dict[str, Model], one: Planned) -> list[str]:
    """A sentence where a tensor of whole numbers is not the same in all models."""
    first, *others = one.inputs.items()
    own = models[first[0]].flat(first[1])
    for model, name in others:
        if not torch.equal(own, models[model].flat(name)):
            return [
                f"Cannot merge {one.slot.name!r}: it holds whole numbers, and they differ between {first[0]} and "
                f"{model}. Leave one of them out."
            ]
    return []
