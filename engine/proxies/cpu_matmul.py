"""Matrix products on a CPU, of stacked members or of one: by oneDNN if that is faster than torch's default library.

torch ships oneDNN for compiled models. On AMD processors its products in fp32 run at up to twice the rate of
the default library, which keeps to 256-bit registers there, and an activation, a gate or a residual is done before a
product leaves the registers (benchmarks/results/merges.md, stacking.md). It takes one member at a time, and transposed
copies in the backward pass: in stacks it can pay from a width of 128 on, and on Intel takes twice as long
(benchmarks/results/plain.md). Which of the two a machine's stacks take is timed once and kept. Where torch was built
without oneDNN, the default library does everything. G members, N rows.
"""

import json
import os
import platform
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.core.files import write_json

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
LINEAR = torch.ops.mkldnn._linear_pointwise if ONEDNN else None
FUSED = (LINEAR, LINEAR.binary) if ONEDNN else ()  # the ops called: the input comes first
WIDE = 128  # smallest matrices of stacked members that oneDNN is faster on: below, its calls cost what it gains


def product(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
    """x (N, i) by weight (o, i), plus an addend: (N, o)."""
    if not ONEDNN:
        return F.linear(x, weight) if added is None else torch.addmm(added, x, weight.T)
    if added is None:
        return activated(x, weight, "none")
    return LINEAR.binary(x, added, weight, None, "add")


def activated(x: Tensor, weight: Tensor, activation: str) -> Tensor:
    """x (N, i) by weight (o, i), then no activation, swish, or exact gelu: (N, o). By oneDNN."""
    return LINEAR(x, weight, None, activation, [], "none")


def gated(x: Tensor, weight: Tensor, gate: Tensor) -> Tensor:
    """x (N, i) by weight (o, i), times a gate (N, o). By oneDNN."""
    return LINEAR.binary(x, gate, weight, None, "mul")


def by_onednn(*sides: int) -> bool:
    """Whether stacks of matrices with these sides are multiplied by oneDNN."""
    return ONEDNN and min(sides) >= WIDE and pays_in_stacks()


@cache
def pays_in_stacks() -> bool:
    """Whether oneDNN is the faster one for wide stacks on this machine: as kept in the user's cache, else as timed now,
    in a twentieth of a second of CPU time."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "mixdesk")
    path, key, known = folder / "products.json", f"{processor()}, torch {torch.__version__}", {}
    with suppress(OSError, ValueError):
        known = json.loads(path.read_text())
    known = known if isinstance(known, dict) else {}
    if isinstance(known.get(key), bool):
        return known[key]
    known[key] = timed()
    with suppress(OSError):  # a home that cannot be written: timed again by the next process
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, known)
    return known[key]


def processor() -> str:
    """The name of this machine's processor."""
    with suppress(OSError, StopIteration), open("/proc/cpuinfo") as file:
        return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    return platform.processor() or platform.machine()


def timed() -> bool:
    """Whether the three products of a wide layer, forward and back, take oneDNN a tenth less CPU time."""
    x, weight, gradient = torch.randn(2, 1024, WIDE), torch.randn(2, 3 * WIDE, WIDE), torch.randn(2, 1024, 3 * WIDE)
    took = {}
    for name, (forward, back, outer) in {"onednn": ALONE, "default": TOGETHER}.items():
        times = []
        for _ in range(6):
            began = time.process_time()
            forward(x, weight), back(gradient, weight), outer(gradient, x)
            times.append(time.process_time() - began)
        took[name] = min(times[1:])
    return took["onednn"] < 0.9 * took["default"]


def products(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
    """Of every member: x (G, N, i) by weight (G, o, i), plus an addend: (G, N, o)."""
    return (ALONE if by_onednn(*weight.shape[1:]) else TOGETHER)[0](x, weight, added)


def products_back(gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient at x of `products`, from the one at its output: (G, N, o) by weight (G, o, i) -> (G, N, i)."""
    return (ALONE if by_onednn(*weight.shape[1:]) else TOGETHER)[1](gradient, weight)


def outer_products(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient at the weight of `products`: (G, N, o), (G, N, i) -> (G, o, i)."""
    return (ALONE if by_onednn(gradient.shape[-1], x.shape[-1]) else TOGETHER)[2](gradient, x)


def _together(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
    return torch.bmm(x, weight.mT) if added is None else torch.baddbmm(added, x, weight.mT)


def _alone(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
    out = x.new_empty(*x.shape[:2], weight.shape[1])
    for g in range(len(x)):
        out[g] = product(x[g], weight[g], None if added is None else added[g])
    return out


def _outer_alone(gradient: Tensor, x: Tensor) -> Tensor:
    out = x.new_empty(len(x), gradient.shape[-1], x.shape[-1])
    for g in range(len(x)):
        out[g] = product(gradient[g].T.contiguous(), x[g].T.contiguous())
    return out


# The three products of a layer, forward, back and at the weight: by the default library, all members in one call; and
# by oneDNN, one after the other.
TOGETHER = (_together, torch.bmm, lambda gradient, x: torch.bmm(gradient.mT, x))
ALONE = (_alone, lambda gradient, weight: _alone(gradient, weight.mT.contiguous()), _outer_alone)
