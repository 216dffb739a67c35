"""Merge checkpoints: tensor by tensor, chunk by chunk, from memory-mapped safetensors into new ones.

Peak memory beside the mapped files is bounded by a few chunks (and, for methods that look at whole tensors, by the
largest tensor), not by the model. One thread; tensors are independent.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.adapters import open_model
from engine.checkpoint_writer import SHARD_BYTES, Slot, Writer, writing
from engine.checkpoints import Checkpoint, layer_of
from engine.errors import Problem
from engine.merge_config import MergeConfig, Slice, experts_of, values_for
from engine.merge_methods import Tensors

KEPT = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja",
    "preprocessor_config.json",
)  # fmt: skip
NUMBER = re.compile(r"((?:^|\.)(?:layers|layer|h|blocks|block)\.)(\d+)(\.)")
EMBEDDING = re.compile(r"emb|wte|wpe")  # outside the layers, these come with the first slice and all else with the last
Progress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class Planned:
    """One tensor of the output: where it comes from in every model of its slice, and how far through the layers."""

    slot: Slot
    piece: Slice
    inputs: dict[str, str]
    t: float


def merge(
    config: MergeConfig, out: Path, progress: Progress | None = None, shard_bytes: int = SHARD_BYTES
) -> dict:
    """Merge as the config says and write the result to `out`: a folder, or a file where all models are bare files.

    Returns {"out", "tensors", "parameters", "bytes"}. progress(done, total, note) in bytes. Raises Problem before a
    byte is written where the models do not fit together, and leaves nothing behind where it fails later.
    """
    models = {path: open_model(path) for path in config.models}
    planned = plan(config, models)
    torch.set_num_threads(1)
    reference = models[config.base or config.slices[0].sources[0].model]
    total = sum(one.slot.bytes for one in planned)
    done = 0
    look = Look(config, models, planned, progress)
    seen = config.method.survey(look) if config.method.survey else None
    with writing(out, [one.slot for one in planned], companions(config, reference, planned), {}, shard_bytes) as file:
        for one in planned:
            if progress:
                progress(done, total, one.slot.name)
            merge_tensor(config, models, one, file, seen)
            done += one.slot.bytes
    if progress:
        progress(total, total, "written")
    count = sum(one.slot.size for one in planned)
    return {"out": str(out), "tensors": len(planned), "parameters": count, "bytes": total}


@dataclass(frozen=True)
class Look:
    """All that is merged, tensor by tensor, with the method's arguments: as often as its survey iterates."""

    config: MergeConfig
    models: dict[str, Checkpoint]
    planned: list[Planned]
    progress: Progress | None

    def __iter__(self) -> Iterator[tuple[Tensors, dict]]:
        total = sum(one.slot.bytes for one in self.planned)
        for one in self.planned:
            if one.slot.dtype.is_floating_point and one.slot.size:
                if self.progress:
                    self.progress(0, total, f"a look at {one.slot.name} first")
                yield inputs_of(self.config, self.models, one)


def inputs_of(config: MergeConfig, models: dict[str, Checkpoint], one: Planned) -> tuple[Tensors, dict]:
    """A tensor of every model, and the method's arguments there."""
    experts = [models[source.model].flat(one.inputs[source.model]) for source in experts_of(config, one.piece)]
    has_base = config.method.base != "none" and one.piece.base is not None
    base = models[one.piece.base].flat(one.inputs[one.piece.base]) if has_base else None
    arguments = values_for(config, one.piece, one.slot.name, one.inputs, one.t)
    return Tensors(one.slot.name, one.slot.shape, base, experts, config.seed), arguments


def merge_tensor(
    config: MergeConfig, models: dict[str, Checkpoint], one: Planned, file: Writer, seen: object
) -> None:
    """Merge one tensor into the file. seen: what the method's survey gave."""
    if not one.slot.dtype.is_floating_point:
        sources = [models[path].flat(name) for path, name in one.inputs.items()]
        if any(not torch.equal(sources[0], other) for other in sources[1:]):
            raise Problem(f"Cannot merge {one.slot.name!r}: it holds whole numbers, and they differ between models.")
        file.put(one.slot.name, 0, sources[0])
        return
    x, arguments = inputs_of(config, models, one)
    if x.n == 0:
        return
    x.seen = seen
    at = config.method.merge(x, **arguments)
    for part in x.chunks():
        values = at(part)
        if not torch.isfinite(values.sum()):
            raise Problem(broken(one, models))
        file.put(one.slot.name, part.start, values)


def broken(one: Planned, models: dict[str, Checkpoint]) -> str:
    """Which model's numbers are none, or that the merge made them."""
    for path, name in one.inputs.items():
        if not torch.isfinite(models[path].flat(name).float()).all():
            return (
                f"Cannot merge {one.slot.name!r}: {path} holds numbers in it that are not finite (NaN or infinity). "
                "Take another checkpoint of that model."
            )
    return f"Cannot merge {one.slot.name!r}: the result is not finite. Use smaller weights."


# What fits together ----------------------------------------------------------------------------------------


def plan(config: MergeConfig, models: dict[str, Checkpoint]) -> list[Planned]:
    """Every tensor of the output, in the order of the first source. Raises Problem for models that do not fit."""
    reference = models[config.base or config.slices[0].sources[0].model]
    planned, offset = [], 0
    for place, piece in enumerate(config.slices):
        lead = models[piece.base or piece.sources[0].model]
        path = piece.base or piece.sources[0].model
        first = next((one.layers[0] for one in piece.sources if one.model == path and one.layers), 0)
        last = next((one.layers[1] for one in piece.sources if one.model == path and one.layers), lead.layers)
        for name in lead.tensors:
            layer = layer_of(name)
            end = 0 if EMBEDDING.search(name) else len(config.slices) - 1
            if (layer < 0 and place != end) or (layer >= 0 and not first <= layer < last):
                continue
            written = renumbered(name, layer - first + offset) if layer >= 0 else name
            inputs = {
                one.model: renumbered(name, layer - first + (one.layers or (first,))[0]) if layer >= 0 else name
                for one in piece.sources
            }
            depth = last - first
            t = 0.0 if layer < 0 else (layer - first) / (depth - 1) if depth > 1 else 1.0
            check_tensor(config, models, piece, inputs, lead, name)
            dtype = out_dtype(config, lead.tensors[name].dtype)
            planned.append(Planned(Slot(written, dtype, lead.tensors[name].shape), piece, inputs, t))
        offset += last - first
    if not planned:
        raise Problem(f"Cannot merge: {reference.path} has no tensor in the layers that are asked for.")
    return planned


def renumbered(name: str, layer: int) -> str:
    """The same tensor of another layer."""
    return NUMBER.sub(rf"\g<1>{layer}\g<3>", name, count=1)


def out_dtype(config: MergeConfig, stored: torch.dtype) -> torch.dtype:
    """What a tensor is written in: out_dtype, else dtype, else as the base has it. Whole numbers stay."""
    asked = config.out_dtype or config.dtype
    return getattr(torch, asked) if asked and stored.is_floating_point else stored


def check_tensor(config: MergeConfig, models: dict, piece: Slice, inputs: dict, lead: Checkpoint, name: str) -> None:
    """Raise Problem where a model lacks a tensor, or has it in another shape."""
    wanted = lead.tensors[name]
    for path, theirs in inputs.items():
        found = models[path].tensors.get(theirs)
        if found is None:
            raise Problem(
                f"Cannot merge {name!r}: {path} has no tensor {theirs!r}, and {lead.path} has. They are not of one "
                "architecture: leave that model out."
            )
        if found.shape != wanted.shape:
            vocabulary = len(found.shape) == 2 and found.shape[1:] == wanted.shape[1:]
            hint = (
                "Their vocabularies differ: resize one embedding to the other's tokens first."
                if vocabulary
                else "They are not of one architecture: leave that model out."
            )
            raise Problem(
                f"Cannot merge {name!r}: it is {list(found.shape)} in {path} and {list(wanted.shape)} in {lead.path}. "
                + hint
            )


def companions(config: MergeConfig, reference: Checkpoint, planned: list[Planned]) -> dict[str, bytes]:
    """The other files of the output folder: config and tokenizer of the base, and a model card."""
    if not reference.path.is_dir():
        return {}
    found = {name: (reference.path / name).read_bytes() for name in KEPT if (reference.path / name).is_file()}
    if reference.config is not None:
        changed = dict(reference.config)
        asked = config.out_dtype or config.dtype
        if asked:
            changed["torch_dtype"] = asked
        layers = sum(1 for n in {layer_of(one.slot.name) for one in planned} if n >= 0)
        if "num_hidden_layers" in changed and layers:
            changed["num_hidden_layers"] = layers
        found["config.json"] = json.dumps(changed, indent=2).encode()
    found["README.md"] = card(config).encode()
    return found


def card(config: MergeConfig) -> str:
    """The model card: what was merged, and how."""
    lines = ["---", "tags: [merge, mixdesk]", "---", "", "# A merge", ""]
    lines += [f"Method: {config.method.title} (`{config.name}`, {config.method.paper}).", ""]
    lines += [f"Base: `{config.base}`.", ""] if config.base else []
    lines += ["| model | parameters |", "|---|---|"]
    for piece in config.slices:
        lines += [f"| `{one.model}` | `{json.dumps(one.parameters)}` |" for one in piece.sources]
    if config.parameters:
        lines += ["", f"Parameters of all: `{json.dumps(config.parameters)}`."]
    return "\n".join([*lines, "", f"Seed {config.seed}. Written by Mixdesk.", ""])
