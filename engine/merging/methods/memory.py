"""Merging in memory, for faders and searches: a base and experts as tensors by name in, merged tensors out."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.methods import METHODS
from engine.merging.methods.base import Tensors
from engine.merging.methods.global_stats import run_first_pass
from engine.merging.methods.knobs import knobs_of
from engine.spec.merge_learners import refuse_without_data

Weight = Sequence[float] | Callable[[str], Sequence[float]]  # one number per expert; or a function of a tensor's name


def merge_in_memory(
    name: str,
    base: dict[str, Tensor],
    experts: list[dict[str, Tensor]],
    weight: Weight,
    knobs: dict | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Merge K experts of one base by the method `name` of the table; new tensors of the base's dtypes and device.

    weight: K numbers, or a function from a tensor's name to K numbers (unused by methods without this knob);
    knobs: the method's other knobs by name, a number or, for a per-expert knob, K numbers. Methods without a base
    (linear, karcher) merge the experts alone. Integer tensors are the base's. Raises Problem if the method, a knob, a
    value, the number of experts or a tensor's shape is invalid.
    """
    refuse_without_data(name)
    if name not in METHODS:
        raise Problem(f"Cannot merge by {name!r}: the methods are {', '.join(METHODS)}.")
    method = METHODS[name]
    if len(experts) < method.min_experts or (method.max_experts and len(experts) > method.max_experts):
        span = f"{method.min_experts}" if method.max_experts == method.min_experts else f"at least {method.min_experts}"
        raise Problem(f"Cannot merge {len(experts)} experts by {name}: it takes {span}.")
    _check_tensors(base, experts)
    model = _Model(name, base, experts, weight, knobs or {}, seed)
    stats = run_first_pass(method, model)
    merged = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in base.items()}
    for x, arguments in model:
        x.global_stats = stats
        at = method.merge(x, **arguments)
        flat = merged[x.name].view(-1)
        for part in x.chunks():
            flat[part] = at(part).to(flat.dtype)
    return merged


class _Model:
    """The tensors of a merge, re-iterable: (its `Tensors`, the method's arguments)."""

    def __init__(self, name: str, base: dict, experts: list[dict], weight: Weight, knobs: dict, seed: int):
        self.method, self.base, self.experts, self.weight, self.seed = METHODS[name], base, experts, weight, seed
        self.known = knobs_of(self.method)
        if unknown := [key for key in knobs if key not in self.known or key == "weight"]:
            raise Problem(f"Cannot merge by {name} with {unknown[0]!r}: its knobs are {', '.join(self.known)}.")
        own = {key: one for key, one in self.known.items() if key != "weight"}
        if missing := [key for key, one in own.items() if one.required and key not in knobs]:
            raise Problem(f"Cannot merge by {name}: its knob {missing[0]!r} is not given.")
        self.knobs = {key: self._value(key, knobs.get(key, one.default)) for key, one in own.items()}

    def _value(self, key: str, value):
        """A knob's value as the method takes it: one number, or a list with one per expert."""
        if not self.known[key].each:
            return self.known[key].checked(key, value)
        return self._each(key, value if isinstance(value, Sequence) else [value] * len(self.experts))

    def _each(self, key: str, values: Sequence[float]) -> list[float]:
        values = [self.known[key].checked(key, value) for value in values]
        if len(values) != len(self.experts):
            raise Problem(f"Cannot use {len(values)} values as {key}: there are {len(self.experts)} experts.")
        return values

    def __iter__(self) -> Iterator[tuple[Tensors, dict]]:
        with_base = self.method.base != "none"
        for key, value in self.base.items():
            if not value.is_floating_point() or value.numel() == 0:
                continue
            flat = [one[key].detach().cpu().reshape(-1) for one in self.experts]
            own = value.detach().cpu().reshape(-1) if with_base else None
            arguments = dict(self.knobs)
            if "weight" in self.known:
                given = self.weight(key) if callable(self.weight) else self.weight
                arguments["weight"] = self._each("weight", given)
            yield Tensors(key, tuple(value.shape), own, flat, self.seed), arguments


def _check_tensors(base: dict[str, Tensor], experts: list[dict[str, Tensor]]) -> None:
    """Raise Problem if an expert lacks a tensor, has another shape, or differs in an integer tensor."""
    for place, expert in enumerate(experts, 1):
        for key, value in base.items():
            if key not in expert or expert[key].shape != value.shape:
                found = list(expert[key].shape) if key in expert else "missing"
                raise Problem(
                    f"Cannot merge {key!r}: it is {list(value.shape)} in the base and {found} in expert {place}."
                )
            if not value.is_floating_point() and not torch.equal(value, expert[key]):
                raise Problem(f"Cannot merge {key!r}: it is an integer tensor, and differs in expert {place}.")
