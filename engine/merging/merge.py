"""Merge checkpoints: tensor by tensor, chunk by chunk, from memory-mapped safetensors into new ones.

Peak memory beside the mapped files is bounded by a few chunks (or, for methods that need whole tensors, by the largest
tensor), not by the model. One thread; tensors are independent.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.core.errors import Problem
from engine.core.files import refuse_below, special
from engine.merging.ancestry import differing, not_finite
from engine.merging.checkpoints.writer import SHARD_BYTES, NotFinite, Writer, writing
from engine.merging.companions import companions
from engine.merging.config import MergeConfig, experts_of
from engine.merging.finishes import finished
from engine.merging.layout import Model, Planned, opened, plan
from engine.merging.methods import Tensors
from engine.merging.methods.global_stats import run_first_pass
from engine.merging.parameters import cancelled, values_for

Progress = Callable[[float, float, str], None]


def merge(config: MergeConfig, out: Path, progress: Progress | None = None, shard_bytes: int = SHARD_BYTES) -> dict:
    """Merge by the config and write the result to `out`: a folder, or a file if all models are bare files.

    Returns {"out", "tensors", "parameters", "bytes"}. progress(done, total, note) in bytes. Raises Problem before
    writing anything if the models do not fit together; a later failure leaves nothing behind.
    """
    models = opened(config)
    if said := misplaced(out, models):
        raise Problem(said)
    planned = plan(config, models)
    torch.set_num_threads(1)
    total = sum(one.slot.bytes for one in planned)
    done = 0
    with writing(out, [one.slot for one in planned], companions(config, models, planned), {}, shard_bytes) as file:
        stats = run_first_pass(config.method, Look(config, models, planned, progress))
        for one in planned:
            if progress:
                progress(done, total, one.slot.name)
            merge_tensor(config, models, one, file, stats)
            done += one.slot.bytes
    if progress:
        progress(total, total, "written")
    count = sum(one.slot.size for one in planned)
    return {"out": str(out), "tensors": len(planned), "parameters": count, "bytes": total}


def misplaced(out: Path, models: dict[str, Model]) -> str | None:
    """Why a merge cannot be written to `out`: it exists, its folder does not, or it would become part of a model."""
    if (kind := special(out)) not in (None, "a folder"):
        return f"Cannot write {out}: it is {kind}. Choose another place."
    if os.path.lexists(out):
        return f"Cannot write {out}: it exists. Choose another place, or remove it."
    try:
        refuse_below(out)
    except Problem as problem:
        return str(problem)
    for model in models.values():
        if out.suffix == ".safetensors" and model.path.is_dir() and model.path.resolve() == out.resolve().parent:
            return f"Cannot write {out}: it would be read as part of the model {model.path}. Choose another place."
    return None


@dataclass(frozen=True)
class Look:
    """Every tensor to be merged, with the method's arguments; iterated as often as the first pass asks."""

    config: MergeConfig
    models: dict[str, Model]
    planned: list[Planned]
    progress: Progress | None

    def __iter__(self) -> Iterator[tuple[Tensors, dict]]:
        total = sum(one.slot.bytes for one in self.planned)
        for one in self.planned:
            if one.slot.dtype.is_floating_point and one.slot.size and not one.is_copy:
                if self.progress:
                    self.progress(0, total, f"first pass: {one.slot.name}")
                yield inputs_of(self.config, self.models, one)


def inputs_of(config: MergeConfig, models: dict[str, Model], one: Planned) -> tuple[Tensors, dict]:
    """One tensor of every model, and the method's arguments for it."""
    experts = [models[source.model].flat(one.inputs[source.model]) for source in experts_of(config, one.piece)]
    has_base = config.method.base != "none" and one.piece.base is not None
    base = models[one.piece.base].flat(one.inputs[one.piece.base]) if has_base else None
    arguments = values_for(config, one.piece, one.slot.name, one.inputs, one.t)
    return Tensors(one.slot.name, one.slot.shape, base, experts, config.seed), arguments


def merge_tensor(config: MergeConfig, models: dict[str, Model], one: Planned, file: Writer, stats: object) -> None:
    """Merge one tensor into the file. stats: the result of the method's first pass."""
    if not one.slot.dtype.is_floating_point:
        for sentence in differing(models, one):
            raise Problem(sentence)
        reference, name = next(iter(one.inputs.items()))
        file.put(one.slot.name, 0, models[reference].flat(name))
        return
    if one.is_copy:
        ((reference, name),) = one.inputs.items()
        file.put(one.slot.name, 0, models[reference].flat(name))
        return
    x, arguments = inputs_of(config, models, one)
    if x.n == 0:
        return
    x.global_stats = stats
    at = finished(config, x, config.method.merge(x, **arguments))
    try:
        for part in x.chunks():
            file.put(one.slot.name, part.start, at(part))
    except NotFinite as problem:
        said = not_numbers(models, one) or cancelled(config, one.slot.name, arguments)
        raise Problem(said or str(problem)) from problem


def not_numbers(models: dict[str, Model], one: Planned) -> str | None:
    """The model whose values are not finite; None if the merge itself produced them."""
    for reference, name in one.inputs.items():
        if not torch.isfinite(models[reference].flat(name).float()).all():
            return not_finite(models[reference], name, one.slot.name)
    return None
