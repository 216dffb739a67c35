"""How far an expert has moved from its declared base, per tensor, and whether it really comes from that base."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch

from engine.merging.checkpoints.quantised import codes
from engine.merging.config import MergeConfig, experts_of
from engine.merging.layout import Model, Planned
from engine.merging.methods import Tensors

APART = 0.9  # |d| / |base| of a matrix above which two models were probably trained apart: such pairs have 1 or more


@dataclass
class Ancestry:
    """One expert against the base. tensors: name -> (|d| / |base|, fraction of elements unchanged)."""

    model: str
    base: str
    tensors: dict[str, tuple[float, float]] = field(default_factory=dict)
    matrices: list[str] = field(default_factory=list)
    moved: float = 0.0  # sums of squares over all tensors
    size: float = 0.0
    same: int = 0
    count: int = 0
    is_sound: bool = True  # all tensors could be compared

    @property
    def ratio(self) -> float:
        """|d| / |base| over the whole model."""
        return math.sqrt(self.moved / self.size) if self.size else 0.0

    @property
    def unchanged(self) -> float:
        """Fraction of all elements that equal the base's."""
        return self.same / self.count if self.count else 1.0

    @property
    def is_base(self) -> bool:
        """Whether every weight equals the base's."""
        return self.is_sound and self.unchanged == 1

    @property
    def foreign(self) -> bool:
        """Whether the median matrix differs from the base's as much as in independent models."""
        found = [self.tensors[name][0] for name in self.matrices]
        return bool(found) and float(np.median(found)) >= APART

    def says(self) -> str:
        """The finding as one sentence."""
        if self.is_base:
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
            "model": self.model,
            "ratio": self.ratio,
            "unchanged": self.unchanged,
            "says": self.says(),
            "tensors": tensors,
        }


@dataclass
class Scan:
    """The result of one pass over all weights. refusals: one sentence per tensor with NaN or infinity, or with integers
    that differ; duplicates: pairs of experts, and whether all elements so far were equal."""

    ancestry: dict[tuple[str, str], Ancestry] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    duplicates: dict[tuple[str, str], bool] = field(default_factory=dict)

    def copies(self) -> dict[str, list[str]]:
        """Expert -> later experts with the same weights."""
        found, seen = {}, set()
        for (one, other), equal in self.duplicates.items():
            if equal and one not in seen:
                found.setdefault(one, []).append(other)
                seen.add(other)
        return found


def scan(
    config: MergeConfig, models: dict[str, Model], planned: list[Planned], progress: Callable | None = None
) -> Scan:
    """One pass over all weights: compare every expert with its base, and experts with each other. progress(done,
    total, note) in bytes of the output."""
    found = Scan()
    total, done = sum(one.slot.bytes for one in planned), 0
    for one in planned:
        if progress:
            progress(done, total, f"checking {one.slot.name}")
        done += one.slot.bytes
        if not one.slot.size:
            continue
        if not one.slot.dtype.is_floating_point:
            found.refusals += differing(models, one)
            continue
        base = one.piece.base if one.piece.base in one.inputs else None
        experts = [source.model for source in experts_of(config, one.piece) if source.model != base]
        measured(models, one, base, experts, found)
    return found


def measured(models: dict[str, Model], one: Planned, base: str | None, experts: list[str], found: Scan) -> None:
    """Add one tensor of every expert."""
    names = [base, *experts] if base else experts
    x = Tensors(one.slot.name, one.slot.shape, None, [models[name].flat(one.inputs[name]) for name in names])
    sums, same = torch.zeros(len(names), dtype=torch.float64), torch.zeros(len(names), dtype=torch.int64)
    bad = set()
    pairs = [pair for pair in combinations(experts, 2) if found.duplicates.setdefault(pair, True)]
    for part in x.chunks():
        values = x.experts32(part)
        rows = dict(zip(names, values, strict=True))
        if not values.sum(dim=1).isfinite().all():  # the sum may also overflow
            bad |= {name for name, row in rows.items() if not row.isfinite().all()}
        for pair in [pair for pair in pairs if not torch.equal(rows[pair[0]], rows[pair[1]])]:
            found.duplicates[pair] = False
            pairs.remove(pair)
        if base:
            values[1:] -= values[0].clone()
            same += (values == 0).sum(dim=1)
            sums += values.square().sum(dim=1).double()
    for place, name in enumerate(names[1:] if base else [], 1):
        ancestry = found.ancestry.setdefault((name, base), Ancestry(name, base))
        if bad & {name, base}:
            ancestry.is_sound = False
            continue
        moved, size = float(sums[place]), float(sums[0])
        ratio = math.sqrt(moved / size) if size else float(moved > 0)
        ancestry.tensors[one.slot.name] = ratio, int(same[place]) / x.n
        ancestry.matrices += [one.slot.name] if len(x.shape) > 1 else []
        ancestry.moved, ancestry.size = ancestry.moved + moved, ancestry.size + size
        ancestry.same, ancestry.count = ancestry.same + int(same[place]), ancestry.count + x.n
    found.refusals += [not_finite(models[name], one.inputs[name], one.slot.name) for name in names if name in bad]


def not_finite(model: Model, theirs: str, name: str) -> str:
    """The refusal that names the model whose values are not finite."""
    return (
        f"Cannot merge {name!r}: {model.culprit(theirs)} has values in it that are not finite (NaN or infinity). "
        "Take another checkpoint of that model."
    )


def differing(models: dict[str, Model], one: Planned) -> list[str]:
    """A refusal if an integer tensor differs between models, or stands for weights."""
    first, *others = one.inputs.items()
    if said := codes(one.slot.name, one.slot.shape, str(one.slot.dtype).removeprefix("torch."), first[0]):
        return [said]
    own = models[first[0]].flat(first[1])
    for model, name in others:
        if not torch.equal(own, models[model].flat(name)):
            return [
                f"Cannot merge {one.slot.name!r}: it is an integer tensor, and differs between {first[0]} and "
                f"{model}. Leave one of them out."
            ]
    return []
