"""What merge methods get and give: one tensor of every model in, merged values out, chunk by chunk.

A method is a function `(x: Tensors, weight, **knobs) -> ChunkFn`. It may look at the whole tensor first (norms,
thresholds, Gram matrices) and returns a function from a slice of the flattened tensor to its merged values in fp32. So
memory is bounded by chunks, not by tensors. Its keyword arguments are its knobs; a knob annotated `PerExpert` takes one
value per expert. K experts; d_i = expert - base; n elements.
"""

import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

DOT = 1 << 11  # elements whose products are added up in fp32; their sums in fp64
CHUNK = 1 << 17  # elements: what a few fp32 buffers of it hold stays in the cache

PerExpert = list[float]  # one value per expert
ChunkFn = Callable[[slice], Tensor]  # slice of the flattened tensor -> merged values (len,) in fp32


@dataclass
class Tensors:
    """One tensor of the base and of every expert, flattened (n,), in whatever dtypes they are stored.

    base: None where a method merges without one; shape: of the tensor; seed: for methods that draw; seen: what the
    method's survey of all tensors gave, where it has one.
    """

    name: str
    shape: tuple[int, ...]
    base: Tensor | None
    experts: list[Tensor]
    seed: int = 0
    seen: object = None

    def __post_init__(self):
        size = min(CHUNK, self.n)
        self._experts = torch.empty(len(self.experts), size)
        self._base = torch.empty(size)

    @property
    def n(self) -> int:
        """Elements of the tensor."""
        return math.prod(self.shape)

    @property
    def columns(self) -> int:
        """Elements of a row: the last dimension; all of them for a vector."""
        return self.shape[-1] if len(self.shape) > 1 else max(1, self.n)

    def chunks(self, rows: bool = False) -> Iterator[slice]:
        """The tensor in order, in slices of at most CHUNK; rows: of whole rows, one at least."""
        step = max(1, CHUNK // self.columns) * self.columns if rows else CHUNK
        for start in range(0, self.n, step):
            yield slice(start, min(start + step, self.n))

    def base32(self, part: slice) -> Tensor:
        """The base there, (len,) in fp32: a buffer that the next call overwrites."""
        length = part.stop - part.start
        if length > len(self._base):
            self._base = torch.empty(length)
        return self._base[:length].copy_(self.base[part])

    def experts32(self, part: slice) -> Tensor:
        """The experts there, (K, len) in fp32: a buffer that the next call overwrites."""
        length = part.stop - part.start
        if length > self._experts.shape[1]:
            self._experts = torch.empty(len(self.experts), length)
        found = self._experts[:, :length]
        for row, expert in zip(found, self.experts, strict=True):
            row.copy_(expert[part])
        return found

    def deltas(self, part: slice) -> Tensor:
        """The task vectors there, (K, len) in fp32; `base32` then still holds the base."""
        return self.experts32(part).sub_(self.base32(part))

    def vectors(self, part: slice) -> Tensor:
        """The task vectors, or the experts themselves where there is no base."""
        return self.experts32(part) if self.base is None else self.deltas(part)

    def gram(self) -> np.ndarray:
        """(K, K) scalar products of the vectors, added up in fp64: all that methods on spheres need to know."""
        total = torch.zeros(len(self.experts), len(self.experts), dtype=torch.float64)
        for part in self.chunks():
            found = self.vectors(part)
            whole = found.shape[1] // DOT * DOT
            pieces = found[:, :whole].reshape(len(found), -1, DOT).transpose(0, 1)  # (pieces, K, DOT)
            total += (pieces @ pieces.transpose(1, 2)).double().sum(dim=0)
            rest = found[:, whole:].double()
            total += rest @ rest.T
        return total.numpy()

    def combined(self, coefficients) -> ChunkFn:
        """base (if any) + sum of coefficient x vector."""
        weights = torch.tensor(coefficients, dtype=torch.float32)

        def at(part: slice) -> Tensor:
            mixed = weights @ self.vectors(part)
            return mixed if self.base is None else mixed.add_(self._base[: len(mixed)])

        return at

    def generator(self, expert: int, part: slice) -> np.random.Generator:
        """Draws that depend on the seed, the tensor's name, the expert and the place, and on nothing else."""
        return np.random.Generator(np.random.SFC64([self.seed, zlib.crc32(self.name.encode()), expert, part.start]))


@dataclass(frozen=True)
class Method:
    """A merge method of the table.

    merge: the function; base: "required", "optional" or "none"; least, most: experts it takes (most 0: any number);
    paper: where it comes from; restores: one expert at weight 1 (and default knobs) gives that expert; ordered: it
    matters in which order the experts come; survey: for methods that are global over the model, a look at all tensors
    and their arguments before any is merged. It may iterate several times; its result is `Tensors.seen` for `merge`.
    holds: bytes that are held an element of the tensor at hand, once and for each expert, beside the chunks; cubic:
    its time grows with rows x columns x the lesser of the two.
    """

    merge: Callable[..., ChunkFn]
    title: str
    paper: str
    base: str = "required"
    least: int = 1
    most: int = 0
    restores: bool = False
    ordered: bool = False
    survey: Callable[[Iterable[tuple[Tensors, dict]]], object] | None = None
    holds: tuple[float, float] = (0, 0)
    cubic: bool = False


# What several task-vector methods share ---------------------------------------------------------------------


def finish(x: Tensors, mixed: Tensor, scale: float) -> Tensor:
    """base + scale x mixed, where `deltas` has just been asked for the same part."""
    return mixed.mul_(scale).add_(x._base[: len(mixed)])


def added(x: Tensors, kept: Callable[[slice], Tensor], weight: list[float], normalize: bool, lam: float) -> ChunkFn:
    """base + lam x the weighted sum of what `kept` leaves of the task vectors (K, len)."""
    weights = torch.tensor(weight, dtype=torch.float32)
    return lambda part: finish(x, weighted_sum(kept(part), weights, normalize), lam)


def elected(x: Tensors, kept: Callable[[slice], Tensor], weight: list[float], normalize: bool, lam: float) -> ChunkFn:
    """base + lam x the election among what `kept` leaves of the task vectors (K, len)."""
    weights = torch.tensor(weight, dtype=torch.float32)
    return lambda part: finish(x, elect(kept(part), weights, normalize), lam)


def weighted_sum(kept: Tensor, weight: Tensor, normalize: bool) -> Tensor:
    """sum(w d), divided by sum(w) where asked. kept (K, len), weight (K,)."""
    total = float(weight.sum())
    mixed = weight @ kept
    return mixed / total if normalize and abs(total) >= 1e-8 else mixed


def elect(kept: Tensor, weight: Tensor, normalize: bool) -> Tensor:
    """TIES' election (arXiv:2306.01708): the sign of the weighted sum wins, and only agreeing values are added.

    kept (K, len) is overwritten; weight (K,). A sum of 0 counts as positive. Normalised by the agreeing weights.
    """
    kept.mul_(weight[:, None])
    sign = torch.ones(kept.shape[1]).copysign_(kept.sum(dim=0) + 0.0)  # (len,); -0.0 + 0.0 is 0.0
    kept.mul_(sign).clamp_(min=0)  # what disagrees is 0 now
    mixed = kept.sum(dim=0).mul_(sign)
    if normalize:
        fraction = (weight @ kept.sign_()).numpy()
        np.add(fraction, fraction == 0, out=fraction)
        mixed.div_(torch.from_numpy(fraction))
    return mixed


def masked(values: Tensor, keep: Tensor) -> Tensor:
    """Values with those that are not kept 0, in place: numpy takes half of torch's time for fp32 by bool."""
    np.multiply(values.numpy(), keep.numpy(), out=values.numpy())
    return values


def bernoulli_mask(generator: np.random.Generator, fraction: np.ndarray | float, shape: tuple[int, ...]) -> np.ndarray:
    """True with probability `fraction` (broadcast over the shape), to 32 bits.

    One random byte decides 255 of 256 elements; where it equals the share's own first byte, three more do.
    """
    level = np.minimum(np.asarray(fraction, float) * 2.0**32, 2.0**32 - 1).astype(np.uint32)
    first = np.frombuffer(generator.bytes(math.prod(shape)), np.uint8).reshape(shape)
    head, rest = (level >> 24).astype(np.uint8), level & 0xFFFFFF
    found = first < head
    if rest.any():
        open_ = np.flatnonzero(first == head)
        more = generator.integers(0, 1 << 24, len(open_), np.uint32)
        found.reshape(-1)[open_] = more < np.broadcast_to(rest, shape).reshape(-1)[open_]
    return found
