"""The interface of merge methods: one tensor of every model in, merged values out, chunk by chunk.

A method is a function `(x: Tensors, weight, **knobs) -> ChunkFn`. It may look at the whole tensor first (norms,
thresholds, Gram matrices) and returns a function from a slice of the flattened tensor to its merged values in fp32. So
memory is bounded by chunks, not by tensors. Its keyword arguments are its knobs; a knob annotated `PerExpert` takes one
value per expert. K experts; d_i = expert - base; n elements.
"""

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

DOT = 1 << 11  # elements whose products are summed in fp32; those sums are added in fp64
ROUNDED = 1e-6  # of weights, in fp32
CHUNK = 1 << 17  # elements: a few fp32 buffers of this size fit in the cache

PerExpert = list[float]  # one value per expert
ChunkFn = Callable[[slice], Tensor]  # slice of the flattened tensor -> merged values (len,) in fp32


@dataclass
class Tensors:
    """One tensor of the base and of every expert, flattened (n,), in their stored dtypes.

    base: None if the method merges without one; shape: of the tensor; seed: for methods that draw; global_stats: the
    result of the method's first pass over all tensors, if it has one.
    """

    name: str
    shape: tuple[int, ...]
    base: Tensor | None
    experts: list[Tensor]
    seed: int = 0
    global_stats: object = None

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
        """Elements per row: the last dimension; all of them for a vector."""
        return self.shape[-1] if len(self.shape) > 1 else max(1, self.n)

    def chunks(self, rows: bool = False) -> Iterator[slice]:
        """Slices of at most CHUNK that cover the tensor in order; rows: whole rows, at least one each."""
        step = max(1, CHUNK // self.columns) * self.columns if rows else CHUNK
        for start in range(0, self.n, step):
            yield slice(start, min(start + step, self.n))

    def base32(self, part: slice) -> Tensor:
        """The base's slice, (len,) in fp32: a buffer that the next call overwrites."""
        length = part.stop - part.start
        if length > len(self._base):
            self._base = torch.empty(length)
        return self._base[:length].copy_(self.base[part])

    def experts32(self, part: slice) -> Tensor:
        """The experts' slice, (K, len) in fp32: a buffer that the next call overwrites."""
        length = part.stop - part.start
        if length > self._experts.shape[1]:
            self._experts = torch.empty(len(self.experts), length)
        found = self._experts[:, :length]
        for row, expert in zip(found, self.experts, strict=True):
            row.copy_(expert[part])
        return found

    def deltas(self, part: slice) -> Tensor:
        """The task vectors' slice, (K, len) in fp32; `base32` still holds the base afterwards."""
        return self.experts32(part).sub_(self.base32(part))

    def vectors(self, part: slice) -> Tensor:
        """The task vectors, or the experts themselves if there is no base."""
        return self.experts32(part) if self.base is None else self.deltas(part)

    def gram(self) -> np.ndarray:
        """(K, K) Gram matrix of the vectors, summed in fp64: all that spherical methods need."""
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
        """A generator that depends only on the seed, the tensor's name, the expert and the place."""
        return np.random.Generator(np.random.SFC64([self.seed, zlib.crc32(self.name.encode()), expert, part.start]))


@dataclass(frozen=True)
class Method:
    """A merge method of the table.

    merge: the function; base: "required", "optional" or "none"; min_experts, max_experts: how many it takes (max 0: any
    number); paper: its source; identity_at_one: one expert at weight 1 (and default knobs) gives that expert; ordered:
    the order of the experts matters; first_pass: for methods that need statistics of the whole model, a pass over all
    tensors and their arguments before any is merged; it may iterate several times, and its result is
    `Tensors.global_stats`. peak_memory: bytes per element of the current tensor beside the chunks, (once, per expert);
    cubic: time grows with rows x columns x the smaller of the two.
    """

    merge: Callable[..., ChunkFn]
    title: str
    paper: str
    base: str = "required"
    min_experts: int = 1
    max_experts: int = 0
    identity_at_one: bool = False
    ordered: bool = False
    first_pass: Callable[[Iterable[tuple[Tensors, dict]]], object] | None = None
    peak_memory: tuple[float, float] = (0, 0)
    cubic: bool = False


# What several task-vector methods share ---------------------------------------------------------------------


def undivided(weights: Sequence[float], tensor: str) -> str | None:
    """A refusal of weights that are divided by their sum, where that is 0 but for rounding."""
    if abs(sum(weights)) > ROUNDED * sum(map(abs, weights)):
        return None
    return (
        f"Cannot merge {tensor!r}: its weights {list(weights)} sum to 0, and normalised ones are divided by their sum. "
        "Change one, or switch the normalisation off."
    )


def finish(x: Tensors, mixed: Tensor, scale: float) -> Tensor:
    """base + scale x mixed; `deltas` must just have been called for the same slice."""
    return mixed.mul_(scale).add_(x._base[: len(mixed)])


def added(x: Tensors, kept: Callable[[slice], Tensor], weight: list[float], normalize: bool, lam: float) -> ChunkFn:
    """base + lam x the weighted sum of the task vectors (K, len) after `kept`."""
    weights = torch.tensor(weight, dtype=torch.float32)
    return lambda part: finish(x, weighted_sum(kept(part), weights, normalize), lam)


def elected(x: Tensors, kept: Callable[[slice], Tensor], weight: list[float], normalize: bool, lam: float) -> ChunkFn:
    """base + lam x the sign election among the task vectors (K, len) after `kept`."""
    weights = torch.tensor(weight, dtype=torch.float32)
    return lambda part: finish(x, elect(kept(part), weights, normalize), lam)


def weighted_sum(kept: Tensor, weight: Tensor, normalize: bool) -> Tensor:
    """sum(w d), divided by sum(w) if normalised. kept (K, len), weight (K,)."""
    total = float(weight.sum())
    mixed = weight @ kept
    return mixed / total if normalize and abs(total) >= 1e-8 else mixed


def elect(kept: Tensor, weight: Tensor, normalize: bool) -> Tensor:
    """TIES' election (arXiv:2306.01708): the sign of the weighted sum wins, and only agreeing values are added.

    kept (K, len) is overwritten; weight (K,). A sum of 0 counts as positive. Normalised by the agreeing weights.
    """
    kept.mul_(weight[:, None])
    sign = torch.ones(kept.shape[1]).copysign_(kept.sum(dim=0) + 0.0)  # (len,); -0.0 + 0.0 is 0.0
    kept.mul_(sign).clamp_(min=0)  # values that disagree are now 0
    mixed = kept.sum(dim=0).mul_(sign)
    if normalize:
        fraction = (weight @ kept.sign_()).numpy()
        np.add(fraction, fraction == 0, out=fraction)
        mixed.div_(torch.from_numpy(fraction))
    return mixed


def masked(values: Tensor, keep: Tensor) -> Tensor:
    """Zero the values that are not kept, in place: numpy multiplies fp32 by bool twice as fast as torch."""
    np.multiply(values.numpy(), keep.numpy(), out=values.numpy())
    return values


def bernoulli_mask(generator: np.random.Generator, fraction: np.ndarray | float, shape: tuple[int, ...]) -> np.ndarray:
    """True with probability `fraction` (broadcast over the shape), to 32 bits.

    One random byte decides 255 of 256 elements; if it equals the fraction's own first byte, three more do.
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
