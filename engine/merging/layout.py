"""What a merge will write, tensor by tensor, and why models do not fit together: known before a byte is written."""

import re
from dataclasses import dataclass

import torch

from engine.errors import Problem
from engine.merging import vocabulary
from engine.merging.adapters import Adapted, open_model
from engine.merging.checkpoint_writer import Slot
from engine.merging.checkpoints import Checkpoint, layer_of
from engine.merging.config import MergeConfig, Slice
from engine.merging.resized import Resized

NUMBER = re.compile(r"((?:^|\.)(?:layers|layer|h|blocks|block)\.)(\d+)(\.)")
EMBEDDING = re.compile(r"emb|wte|wpe")  # outside the layers, these come with the first slice and all else with the last
HEAD = re.compile(r"(^|\.)(lm_head|embed_out)\.weight$")
Model = Checkpoint | Adapted | Resized


@dataclass(frozen=True)
class Planned:
    """One tensor of the output: where it comes from in every model of its slice, and how far through the layers."""

    slot: Slot
    piece: Slice
    inputs: dict[str, str]
    t: float


def lead_of(config: MergeConfig) -> str:
    """The model whose files, names and dtypes the output takes."""
    return config.base or config.slices[0].sources[0].model


def opened(config: MergeConfig) -> dict[str, Model]:
    """Every model of the merge by its reference, those with other vocabularies seen with the lead's rows."""
    models = {reference: open_model(reference) for reference in config.models}
    lead = models[lead_of(config)]
    return {reference: with_rows(reference, model, lead) for reference, model in models.items()}


def with_rows(reference: str, model: Checkpoint | Adapted, lead: Checkpoint | Adapted) -> Model:
    """A model with the lead's rows, if the two number alike the tokens that they share; else as it is."""
    resized = Resized(model, lead)
    if model is lead or not resized.changed:
        return model
    difference = vocabulary.compared(reference, model.home, lead.home)
    return model if difference is None or vocabulary.refusal(difference) else resized


def plan(config: MergeConfig, models: dict[str, Model]) -> list[Planned]:
    """Every tensor of the output, in the order of the first source. Raises Problem for models that do not fit."""
    planned, misfits = fitted(config, models)
    if misfits:
        raise Problem(misfits[0])
    return planned


def fitted(config: MergeConfig, models: dict[str, Model]) -> tuple[list[Planned], list[str]]:
    """Every tensor of the output, and a sentence for each that a model lacks or has in another shape."""
    planned, misfits, offset = [], [], 0
    for place, piece in enumerate(config.slices):
        path = piece.base or piece.sources[0].model
        lead = models[path]
        first = next((one.layers[0] for one in piece.sources if one.model == path and one.layers), 0)
        last = next((one.layers[1] for one in piece.sources if one.model == path and one.layers), lead.layers)
        tied = tied_copies(lead)
        for name in lead.tensors:
            layer = layer_of(name)
            end = 0 if EMBEDDING.search(name) else len(config.slices) - 1
            if name in tied or (layer < 0 and place != end) or (layer >= 0 and not first <= layer < last):
                continue
            written = renumbered(name, layer - first + offset) if layer >= 0 else name
            inputs = {
                one.model: renumbered(name, layer - first + (one.layers or (first,))[0]) if layer >= 0 else name
                for one in piece.sources
            }
            depth = last - first
            t = 0.0 if layer < 0 else (layer - first) / (depth - 1) if depth > 1 else 1.0
            misfits += [said for model, theirs in inputs.items() if (said := misfit(models[model], theirs, lead, name))]
            dtype = out_dtype(config, lead.tensors[name].dtype)
            planned.append(Planned(Slot(written, dtype, lead.tensors[name].shape), piece, inputs, t))
        offset += last - first
    if not planned:
        path = models[lead_of(config)].path
        misfits.append(f"Cannot merge: {path} has no tensor in the layers that are asked for. Check layer_range.")
    return planned, misfits


def renumbered(name: str, layer: int) -> str:
    """The same tensor of another layer."""
    return NUMBER.sub(rf"\g<1>{layer}\g<3>", name, count=1)


def out_dtype(config: MergeConfig, stored: torch.dtype) -> torch.dtype:
    """What a tensor is written in: out_dtype, else dtype, else as the base has it. Whole numbers stay."""
    asked = config.out_dtype or config.dtype
    return getattr(torch, asked) if asked and stored.is_floating_point else stored


def tied_copies(model: Model) -> set[str]:
    """Heads that config.json ties to the embeddings: whoever loads the model makes them, so they are not written."""
    if not (model.config or {}).get("tie_word_embeddings"):
        return set()
    heads = {name for name in model.tensors if HEAD.search(name)}
    embeddings = [one.shape for name, one in model.tensors.items() if EMBEDDING.search(name) and name not in heads]
    return {name for name in heads if model.tensors[name].shape in embeddings}


def misfit(model: Model, theirs: str, lead: Model, name: str) -> str | None:
    """Why a model's tensor does not go with the lead's; None where it does."""
    wanted, found = lead.tensors[name], model.tensors.get(theirs)
    if found is None:
        return (
            f"Cannot merge {name!r}: {model.path} has no tensor {theirs!r}, and {wanted.file} has. They are not of "
            "one architecture: leave that model out."
        )
    if found.shape != wanted.shape:
        vocabulary = len(found.shape) == 2 and found.shape[1:] == wanted.shape[1:]
        hint = (
            "Their vocabularies differ: resize one embedding to the other's tokens first."
            if vocabulary
            else "They are not of one architecture: leave that model out."
        )
        return (
            f"Cannot merge {name!r}: it is {list(found.shape)} in {found.file} and {list(wanted.shape)} in "
            f"{wanted.file}. {hint}"
        )
    if found.dtype.is_floating_point != wanted.dtype.is_floating_point:
        kinds = [str(one.dtype).removeprefix("torch.") for one in (found, wanted)]
        return (
            f"Cannot merge {name!r}: it is {kinds[0]} in {found.file} and {kinds[1]} in {wanted.file}. Convert the "
            "quantised model back to bfloat16 first."
        )
    return None
