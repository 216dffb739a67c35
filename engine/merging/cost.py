"""What a merge costs before it begins: memory from the method's buffers, seconds from timing it on this machine."""

import math
import time

import torch

from engine.core.errors import Problem
from engine.merging.config import MergeConfig, experts_of
from engine.merging.layout import Model, Planned
from engine.merging.methods import Tensors
from engine.merging.methods.base import CHUNK
from engine.merging.methods.global_stats import BINS, run_first_pass
from engine.merging.parameters import cancelled, values_for

PROCESS = 12_000_000  # bytes of any merge beside its buffers
BUFFERS = 6, 16  # chunks in fp32, and for each expert
PROBE, SIDE = 64 * CHUNK, 512  # elements of all models together, or rows and columns, merged to time a method
STEPS = 400  # of a descent run to time a method: the largest default
SMALL = 4  # rows and columns of the tensors merged to test a method's values


def memory(config: MergeConfig, models: dict[str, Model], planned: list[Planned]) -> int:
    """Peak anonymous memory in bytes: buffers, and the method's own for the largest tensor."""
    count = max(len(experts_of(config, piece)) for piece in config.slices)
    once, each = config.method.peak_memory
    largest = max(one.slot.size for one in planned)
    if config.method.cubic:
        largest = max((one.slot.size for one in planned if len(one.slot.shape) == 2), default=0)
    made = sum(model.held for model in models.values())
    buffers = 4 * CHUNK * (BUFFERS[0] + BUFFERS[1] * count)
    histograms = 80 * BINS * count if config.method.first_pass else 0
    return round(PROCESS + buffers + histograms + largest * (once + each * count) + made)


def rehearse(config: MergeConfig, planned: list[Planned]) -> None:
    """Merge tiny random tensors with every planned value. Raises Problem if the method rejects one, which it would
    otherwise do in the middle of the merge."""
    different, generator = {}, torch.Generator().manual_seed(0)
    for one in planned:
        arguments = values_for(config, one.piece, one.slot.name, one.inputs, one.t)
        if said := cancelled(config, one.slot.name, arguments):
            raise Problem(said)
        if one.slot.dtype.is_floating_point and one.slot.size:
            shape = tuple(min(SMALL, side) for side in one.slot.shape)
            different.setdefault(f"{shape} {arguments}", (drawn(config, one, shape, generator), arguments))
    merged(config, list(different.values()), 1)


def seconds(config: MergeConfig, planned: list[Planned]) -> float:
    """CPU seconds of one core: the method is timed on random weights and scaled up. Excludes reading."""
    method = config.method
    matrix = max(planned, key=lambda one: one.slot.size)
    shape = probed(matrix.slot.shape, len(experts_of(config, matrix.piece)), method.cubic)
    x = drawn(config, matrix, shape, torch.Generator().manual_seed(0))
    arguments = values_for(config, matrix.piece, matrix.slot.name, matrix.inputs, matrix.t)
    more = max(1, arguments.get("steps", 0) / STEPS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.thread_time()
    merged(config, [(x, arguments)], STEPS)
    spent = (time.thread_time() - started) * more
    torch.set_num_threads(threads)
    return spent * sum(work(one.slot.shape, method.cubic) for one in planned) / work(shape, method.cubic)


def drawn(config: MergeConfig, one: Planned, shape: tuple[int, ...], generator: torch.Generator) -> Tensors:
    """Random weights of a base and its experts for one tensor."""
    count = len(experts_of(config, one.piece)) + 1
    base, *experts = (torch.randn(math.prod(shape), generator=generator) for _ in range(count))
    return Tensors(one.slot.name, shape, base, experts, config.seed)


def merged(config: MergeConfig, looks: list[tuple[Tensors, dict]], steps: int) -> None:
    """Merge some tensors and discard the result; `steps` caps a descent."""
    for _, arguments in looks:
        if "steps" in arguments:
            arguments["steps"] = min(arguments["steps"], steps)
    stats = run_first_pass(config.method, looks)
    for x, arguments in looks:
        x.global_stats = stats
        at = config.method.merge(x, **arguments)
        for part in x.chunks():
            at(part)


def probed(shape: tuple[int, ...], count: int, cubic: bool) -> tuple[int, ...]:
    """The shape merged to time a method: rows as long as the largest tensor's, or a corner of it."""
    if len(shape) == 2 and cubic:
        return tuple(min(SIDE, side) for side in shape)
    most = min(8 * CHUNK, PROBE // (count + 1))
    return (max(1, most // shape[1]), shape[1]) if len(shape) == 2 else (most,)


def work(shape: tuple[int, ...], cubic: bool) -> float:
    """The quantity that a tensor's merge time is proportional to."""
    size = math.prod(shape)
    return float(size * min(shape)) if cubic and len(shape) == 2 else float(size)
