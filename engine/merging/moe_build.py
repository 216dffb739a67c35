"""Writes a mixture of experts: the base's attention and embeddings, experts' feed-forward layers, and router rows."""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.checkpoints.adapters import Adapted, open_model
from engine.merging.checkpoints.aligned import Aligned
from engine.merging.checkpoints.reader import Stored
from engine.merging.checkpoints.writer import SHARD_BYTES, Slot, writing
from engine.merging.companions import family, files_to_copy
from engine.merging.layout import Model
from engine.merging.lineage import Family, head
from engine.merging.merge import Progress, misplaced
from engine.merging.moe_file import HIDDEN, RANDOM, Expert, MoeConfig
from engine.merging.moe_gates import degenerate, router_rows
from engine.merging.moe_layouts import PARTS, Layout, layout_of, spelt_out
from engine.spec.stacks import layer_of, stack_of

BIASED = ("q_proj", "k_proj", "v_proj")  # of attention, in layouts that must have biases


@dataclass(frozen=True)
class Piece:
    """One tensor of the output; of: its values, (n,)."""

    slot: Slot
    of: Callable[[], Tensor]


@dataclass(frozen=True)
class Mixture:
    """A mixture that can be made. models: aligned to the base; family: with their ancestors; warnings: what to know."""

    config: MoeConfig
    models: dict[str, Model]
    layout: Layout
    family: Family
    warnings: list[str]

    @property
    def base(self) -> Model:
        return self.models[self.config.base]


def planned(config: MoeConfig, out: Path) -> Mixture:
    """Open the models and find their layout. Raises Problem if they do not fit together, or `out` cannot be written."""
    models = {name: open_model(name) for name in config.models}
    base = models[config.base]
    if isinstance(base, Adapted) and config.gate in HIDDEN:
        raise Problem(
            f"Cannot make router rows by gate_mode {config.gate} of {config.base}: the adapter is not loaded there. "
            "Merge it into its base first, or use cheap_embed."
        )
    aligned: dict[str, Model] = {
        name: model if model is base else Aligned(model, base, None) for name, model in models.items()
    }
    if said := misplaced(out, aligned):
        raise Problem(said)
    if out.suffix == ".safetensors" or base.config is None:
        raise Problem("Cannot make the mixture: models and result must be folders with a config.json.")
    layout = layout_of(config, {name: str((model.config or {}).get("model_type")) for name, model in aligned.items()})
    check_models(config, aligned)
    kin = family(aligned)
    opened = [note for model in aligned.values() for note in model.notes]
    return Mixture(config, aligned, layout, kin, [*config.notes, *opened, *notes(config, layout), *kin.conflicts()])


def check(config: MoeConfig, out: Path) -> dict:
    """What a mixture takes, or why it cannot be made; writes nothing."""
    try:
        mixture = planned(config, out)
    except Problem as problem:
        return {"refusals": [str(problem)], "warnings": list(config.notes)}
    width = mixture.base.config["hidden_size"]
    rows = torch.zeros(mixture.base.layers, len(config.experts) + 1, width)
    slots = [one.slot for one in pieces_of(mixture, rows)]
    return {
        "refusals": [],
        "warnings": mixture.warnings,
        "tensors": len(slots),
        "parameters": sum(one.size for one in slots),
        "disk_bytes": sum(one.bytes for one in slots),
        "family": mixture.family.to_dict(),
    }


def build(config: MoeConfig, out: Path, tell: Callable[[str], None], progress: Progress | None = None) -> dict:
    """Make the mixture and write it to the folder `out`. Returns what `merge` does, with its warnings; tell: gets each
    first. Raises Problem before anything is written if the models do not fit together."""
    mixture = planned(config, out)
    base, settings = mixture.base, mixture.layout.settings(spelt_out(mixture.base.config), config)
    for sentence in mixture.warnings:
        tell(sentence)
    rows = router_rows(config, base, base.layers, settings["hidden_size"])
    weak = degenerate(rows)
    for sentence in weak:
        tell(sentence)
    pieces = pieces_of(mixture, rows)
    settings |= {"dtype" if "dtype" in settings else "torch_dtype": config.dtype} if config.dtype else {}
    others = {name: file.read_bytes() for name, file in files_to_copy(base).items()}
    others |= {"config.json": json.dumps(settings, indent=2).encode(), "README.md": card(mixture).encode()}
    total, done = sum(one.slot.bytes for one in pieces), 0
    with writing(out, [one.slot for one in pieces], others, {}, SHARD_BYTES) as file:
        for one in pieces:
            if progress:
                progress(done, total, one.slot.name)
            file.put(one.slot.name, 0, one.of())
            done += one.slot.bytes
    count = sum(one.slot.size for one in pieces)
    found = {"out": str(out), "tensors": len(pieces), "parameters": count, "bytes": total}
    return found | {"warnings": [*mixture.warnings, *weak]}


def check_models(config: MoeConfig, models: dict[str, Model]) -> None:
    """Raise Problem for an expert whose feed-forward layers are not those of the base, in name or shape."""
    base = models[config.base]
    wanted = {name: one for name, one in base.tensors.items() if is_feed_forward(name)}
    if not wanted:
        raise Problem(f"Cannot make the mixture: {config.base} has no feed-forward layers called mlp. Take a Llama's.")
    for name, model in models.items():
        for tensor, one in wanted.items():
            found = model.tensors.get(tensor)
            if found is None or found.shape != one.shape:
                has = "none" if found is None else f"{list(found.shape)}"
                raise Problem(
                    f"Cannot make the mixture: {tensor!r} is {list(one.shape)} in {config.base} and {has} in {name}. "
                    "Take models of one size."
                )


def is_feed_forward(name: str) -> bool:
    """Whether a tensor is one of a layer's three feed-forward matrices."""
    return layer_of(name) >= 0 and any(name.endswith(f".mlp.{part}.weight") for part in PARTS)


def notes(config: MoeConfig, layout: Layout) -> list[str]:
    """What to know of a mixture before it is used."""
    count = len(config.experts)
    said = [f"The mixture has the layout {layout.name}, with {count} experts, {config.per_token} for a token."]
    if config.gate in RANDOM:
        said.append("Its router is random: train it before it is used.")
    if count & (count - 1):
        said.append(f"{count} experts are not a power of two: llama.cpp cannot run it.")
    if layout.name == "deepseek":
        said.append("Its layout is run by code on the hub (auto_map in config.json), which loaders ask to be trusted.")
    return said


def pieces_of(mixture: Mixture, rows: Tensor) -> list[Piece]:
    """Every tensor of the mixture, in the order of the base's. rows: (layers, experts, width) of the router."""
    config, models, layout, base = mixture.config, mixture.models, mixture.layout, mixture.base
    found = []
    dtype = getattr(torch, config.dtype) if config.dtype else None
    for name, stored in base.tensors.items():
        kind = dtype if dtype and stored.dtype.is_floating_point else stored.dtype
        if not is_feed_forward(name):
            found.append(Piece(Slot(name, kind, stored.shape), lambda name=name: base.flat(name)))
            if layout.has_bias and (bias := lacking_bias(name, base)):
                size = stored.shape[0]
                found.append(Piece(Slot(bias, kind, (size,)), lambda size=size: torch.zeros(size)))
            continue
        layer, part = f"{stack_of(name)}.{layer_of(name)}", name.split(".")[-2]
        places = [(layout.expert(layer, n, part), one) for n, one in enumerate(config.experts)]
        places += [(layout.shared_expert(layer, part), config.shared)] if config.shared else []
        for place, one in places:
            slot = Slot(place, kind, stored.shape)
            found.append(Piece(slot, lambda one=one, name=name, place=place: drawn(config, models, one, name, place)))
    return found + router_pieces(config, base, layout, rows, dtype)


def router_pieces(
    config: MoeConfig, base: Model, layout: Layout, rows: Tensor, dtype: torch.dtype | None
) -> list[Piece]:
    """The router of each layer, and of a shared expert."""
    stored: dict[int, Stored] = {layer_of(name): one for name, one in base.tensors.items() if is_feed_forward(name)}
    count, found = len(config.experts), []
    for n, one in sorted(stored.items()):
        layer, kind = f"{stack_of(one.name)}.{n}", dtype or one.dtype
        found.append(
            Piece(Slot(layout.router(layer), kind, (count, rows.shape[2])), lambda n=n: rows[n, :count].reshape(-1))
        )
        if layout.shared == "must":
            name = f"{layer}.{layout.block}.shared_expert_gate.weight"
            found.append(Piece(Slot(name, kind, (1, rows.shape[2])), lambda n=n: rows[n, count]))
    return found


def lacking_bias(name: str, base: Model) -> str | None:
    """The bias that an attention matrix of the base goes without."""
    parts = name.split(".")
    bias = ".".join([*parts[:-1], "bias"])
    return bias if parts[-1] == "weight" and parts[-2] in BIASED and bias not in base.tensors else None


def drawn(config: MoeConfig, models: dict[str, Model], one: Expert, name: str, place: str) -> Tensor:
    """An expert's tensor (n,), with its noise, and its output scaled."""
    found = models[one.model].flat(name)
    if one.noise:
        generator = torch.Generator().manual_seed(config.seed + zlib.crc32(place.encode()))
        found = found.float() + one.noise * torch.randn(len(found), generator=generator)
    return found.float() * one.residual if one.residual != 1 and name.endswith("down_proj.weight") else found


def card(mixture: Mixture) -> str:
    """The model card: which experts, their prompts, and where all come from."""
    config, kin = mixture.config, mixture.family
    lines = ["---", "tags: [moe, merge, mixdesk]", *head(kin), "---", "", "# A mixture of experts", ""]
    lines += [f"Attention and embeddings of `{config.base}`; router rows by `{config.gate}`.", ""]
    lines += ["| expert | prompts for it | against it |", "|---|---|---|"]
    for one in [*config.experts, *([config.shared] if config.shared else [])]:
        lines.append(f"| `{one.model}` | `{json.dumps(one.positive)}` | `{json.dumps(one.negative)}` |")
    lines += ["", "## Where it comes from", "", *kin.graph(), ""]
    lines += [f"- {sentence}" for sentence in (*kin.conflicts(), *kin.unknown())]
    return "\n".join([*lines, "", f"Seed {config.seed}. Written by Mixdesk.", ""])
