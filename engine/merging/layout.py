"""Plan a merge's output tensor by tensor, and find why models do not fit together, before a byte is written."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

import torch

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.merging.checkpoints import experts, vocabulary
from engine.merging.checkpoints.adapters import Adapted, open_model
from engine.merging.checkpoints.aligned import Aligned, is_copy
from engine.merging.checkpoints.naming import meeting
from engine.merging.checkpoints.reader import HEAD, Checkpoint
from engine.merging.checkpoints.retokenized import Retokenized
from engine.merging.checkpoints.tying import Tie
from engine.merging.checkpoints.writer import Slot
from engine.merging.config import MergeConfig, Slice, Source
from engine.merging.modules import shares, stack_for
from engine.merging.tokens import retokenized
from engine.spec.stacks import LAYER, layer_of, stack_of

EMBEDDING = re.compile(r"emb|wte|wpe")  # outside the layers, these belong to the first slice and all else to the last
# Buffers that loaders recompute: checkpoints of one model may or may not have them.
BUFFER = re.compile(r"rotary_emb\.|inv_freq$|position_ids$|(?:attn|attention)\.(?:masked_)?bias$")
# Experts of a mixture of experts: a tensor each, or all of a layer in one.
EXPERTS, SPLIT = re.compile(r"\.experts\."), re.compile(r"\.experts\.\d+\.")
Model = Checkpoint | Adapted | Aligned | Retokenized


@dataclass(frozen=True)
class Planned:
    """One tensor of the output: its name in every model of its slice, and its position in the layers; is_copy: it is
    written as its one model has it."""

    slot: Slot
    piece: Slice
    inputs: dict[str, str]
    t: float
    is_copy: bool = False


def lead_of(config: MergeConfig) -> str:
    """The model whose files, names and dtypes the output takes."""
    return config.base or config.slices[0].sources[0].model


@dataclass
class Layout:
    """The planned output, in the order of the lead's tensors; refusals and warnings, one sentence each."""

    planned: list[Planned] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """One model's part in a slice: layers [first, last), None for all. The first and last slices have ends. module, of
    which tensors are: None for all."""

    model: Model
    layers: tuple[int, int] | None
    is_first: bool
    is_last: bool
    module: str | None = None
    owners: dict[str, str] = field(default_factory=dict)

    def holds(self, name: str) -> bool:
        if self.module is not None and self.owners.get(name) != self.module:
            return False
        layer = layer_of(name)
        if layer < 0:
            return self.is_first if EMBEDDING.search(name) else self.is_last
        return self.layers is None or self.layers[0] <= layer < self.layers[1]

    def place(self, name: str) -> int:
        """How many layers into the part a tensor is."""
        return layer_of(name) - (self.layers or (0,))[0]

    def depth(self, name: str) -> float:
        """How deep a tensor lies in its stack of layers: 0 in the first and outside, 1 in the last."""
        if layer_of(name) < 0:
            return 0.0
        first, last = self.layers or (0, self.model.layers)
        if self.layers is None and len(self.model.stacks) > 1:
            last = self.model.stacks[stack_of(name)]
        return min(1.0, self.place(name) / (last - first - 1)) if last - first > 1 else 1.0

    def like(self, name: str, other: "Part") -> str:
        """This part's name for a tensor of another model's part."""
        return renumbered(name, other.place(name) + (self.layers or (0,))[0])


def opened(config: MergeConfig) -> dict[str, Model]:
    """Every model of the merge by its reference, the others aligned to the lead's layout."""
    models = {reference: open_model(reference) for reference in config.models}
    lead = models[lead_of(config)]
    experts.alike(model for model in models.values() if isinstance(model, Checkpoint))
    for model in models.values():
        if isinstance(model, Adapted) and model.tie and model.tie.saved:
            for one in models.values():
                untied(one, model.tie)
    aligned: dict[str, Checkpoint | Adapted | Aligned] = {
        name: model if model is lead else beside(config, name, model, lead) for name, model in models.items()
    }
    if config.tokens is None:
        return aligned
    return retokenized(config, aligned, lead_of(config), lambda name: EMBEDDING.search(name) is not None)


def beside(config: MergeConfig, reference: str, model: Checkpoint | Adapted, lead: Checkpoint | Adapted) -> Aligned:
    """A model aligned to the lead; where the merge file asks for a tokenizer, its rows of tokens stay its own."""
    compared = None if config.tokens else vocabulary.compared(reference, model.home, lead.home)
    return Aligned(model, lead, compared)


def untied(model: Checkpoint | Adapted, tie: Tie) -> None:
    """Give a model that ties its head one of its own, since another one has: so does the merge."""
    embedding = meeting([tie.embedding], list(model.tensors)).get(tie.embedding, tie.embedding)
    is_tied = model.is_tied or (model.is_tied is None and tie.head not in model.tensors)
    if is_tied and embedding in model.tensors:
        model.untie(tie.head, embedding)


def plan(config: MergeConfig, models: dict[str, Model]) -> list[Planned]:
    """Every tensor of the output, in the order of the first source. Raises Problem if models do not fit together."""
    found = fitted(config, models)
    if found.refusals:
        raise Problem(found.refusals[0])
    return found.planned


def fitted(config: MergeConfig, models: dict[str, Model]) -> Layout:
    """Every tensor of the output, and how the models fit together."""
    found, lead = Layout(), models[lead_of(config)]
    modules = list(dict.fromkeys(piece.module for piece in config.slices))
    try:
        owners = shares([one for one in modules if one], lead.tensors, lead.stacks) if modules != [None] else {}
    except Problem as problem:
        found.refusals.append(str(problem))
        return found
    for module in modules:
        pieces = [piece for piece in config.slices if piece.module == module]
        offset = 0
        for place, piece in enumerate(pieces):
            ends = place == 0, place == len(pieces) - 1
            parts = {one.model: Part(models[one.model], one.layers, *ends, module, owners) for one in piece.sources}
            offset += placed(config, models, piece, parts, offset, found)
    if None not in modules and (left := [name for name in lead.tensors if name not in owners]):
        found.warnings.append(f"No module names {tensors(left)}: taken from {lead.path} as they are.")
        found.planned += [copied(config, lead, name) for name in left]
    if not found.planned and not found.refusals:
        found.refusals.append(
            f"Cannot merge: {lead.path} has no tensor in the layers that are asked for. Check layer_range."
        )
    return found


def placed(
    config: MergeConfig, models: dict[str, Model], piece: Slice, parts: dict[str, Part], offset: int, found: Layout
) -> int:
    """Add the tensors of one slice, whose layers begin at `offset`; the number of its layers."""
    if refused := unreachable(config, piece, models):
        found.refusals += refused
        return 0
    own = parts[lead_in(piece)]
    others = {reference: part for reference, part in parts.items() if part is not own}
    if refused := [said for part in others.values() for said in other_experts(part.model, own.model)]:
        found.refusals += refused
        return 0
    skipped = unwritten(own, others, found)
    lacking(own, others, found)
    for name, stored in own.model.tensors.items():
        if not own.holds(name) or name in skipped:
            continue
        inputs = {reference: part.like(name, own) for reference, part in parts.items()}
        misfits = [misfit(models[reference], theirs, own.model, name) for reference, theirs in inputs.items()]
        found.refusals += [said for said in misfits if said]
        slot = Slot(renumbered(name, own.place(name) + offset), out_dtype(config, stored.dtype), stored.shape)
        found.planned.append(Planned(slot, piece, inputs, own.depth(name)))
    first, last = own.layers or (0, own.model.layers)
    return last - first


def copied(config: MergeConfig, lead: Model, name: str) -> Planned:
    """A tensor of the lead's that is written as it is."""
    stored, reference = lead.tensors[name], lead_of(config)
    piece = Slice((Source(reference, None, {}),), None, {})
    slot = Slot(name, out_dtype(config, stored.dtype), stored.shape)
    return Planned(slot, piece, {reference: name}, 0.0, is_copy=True)


def lead_in(piece: Slice) -> str:
    """The model whose names and dtypes a slice takes: the base, if the slice has layers of it."""
    named = [one.model for one in piece.sources]
    return piece.base if piece.base in named else named[0]


def unreachable(config: MergeConfig, piece: Slice, models: dict[str, Model]) -> list[str]:
    """Refusals for layers that a model lacks, and for a slice without the base if the method needs one."""
    said = []
    if config.method.base != "none" and piece.base and piece.base != lead_in(piece):
        said.append(
            f"Cannot merge a slice by {config.name}: it has no layers of the base {piece.base}. Name it among the "
            "slice's sources, with its layer_range."
        )
    for one in piece.sources:
        stacks, most = models[one.model].stacks, models[one.model].layers
        if one.layers and piece.module is not None:
            stack = stack_for(piece.module, stacks)
            most = stacks.get(stack, 0) if stack else 0
        elif one.layers and len(stacks) > 1:
            counts = ", ".join(f"{name} {count}" for name, count in stacks.items())
            said.append(
                f"Cannot take the layers {list(one.layers)} of {one.model}: it has several stacks ({counts}), and "
                "layer_range does not say which. Give `modules`, by the names of these stacks, or `models`, to merge "
                "whole models."
            )
            continue
        if one.layers and one.layers[1] > most:
            said.append(
                f"Cannot take the layers {list(one.layers)} of {one.model}: it has {most}. Fix its layer_range."
            )
    return said


def unwritten(own: Part, others: dict[str, Part], found: Layout) -> set[str]:
    """The lead's tensors that are not written: tied heads, and buffers that not all models have; adds a warning."""
    here = [name for name in own.model.tensors if own.holds(name)]
    tied = {name for name in here if HEAD.search(name) and is_tied(own.model, name, others)}
    buffers = {
        name
        for name in here
        if BUFFER.search(name) and not all(one.like(name, own) in one.model.tensors for one in others.values())
    }
    if tied:
        found.warnings.append(f"{', '.join(tied)} is tied to the embeddings: it stays so, unwritten.")
    if buffers:
        found.warnings.append(f"Not all models have {tensors(buffers)}: left out, since loaders recompute it.")
    return tied | buffers


def is_tied(lead: Model, head: str, others: dict[str, Part]) -> bool:
    """Whether loaders tie this head to the embeddings. If config.json does not say (the default depends on the
    architecture), the weights of all models decide."""
    if lead.config is None or not is_copy(lead, head):
        return False
    if lead.is_tied is not None:
        return True
    return all(is_copy(one.model, head) for one in others.values() if head in one.model.tensors)


def other_experts(model: Model, lead: Model) -> list[str]:
    """A refusal if one model keeps its experts in one tensor per layer, and the other keeps each for itself."""
    kinds, said = {}, []
    for one in (model, lead):
        names = sorted((name for name in one.tensors if EXPERTS.search(name)), reverse=True)
        kinds[one] = {bool(SPLIT.search(name)): name for name in names}  # the first of each kind
    for split, fused in ((model, lead), (lead, model)):
        if set(kinds[split]) == {True} and set(kinds[fused]) == {False}:
            said.append(
                f"Cannot merge {model.path}: the experts of {split.path} are tensors of their own "
                f"({kinds[split][True]!r}), and those of {fused.path} are fused ({kinds[fused][False]!r}): two layouts "
                "of one architecture. Load one of the two, and save it with the library that wrote the other."
            )
    return said


def lacking(own: Part, others: dict[str, Part], found: Layout) -> None:
    """Report what the lead lacks: a refusal if all others have a tensor, since the merge would lack it as well."""
    tied, more = own.model.is_tied, {}
    for reference, part in others.items():
        names = {own.like(name, part): name for name in part.model.tensors if part.holds(name)}
        heads = {name for name in names if HEAD.search(name) and (tied or name not in own.model.tensors)}
        copies = {name for name in heads if tied is not False and is_copy(part.model, names[name])}
        if tied and heads - copies:
            found.warnings.append(
                f"{reference} has an output head of its own, and the base's is tied to its embeddings: the head is "
                "left out."
            )
        passed = (heads if tied else copies) | own.model.tensors.keys()
        more[reference] = [name for name in names if name not in passed and not BUFFER.search(name)]
    everywhere = set.intersection(*map(set, more.values())) if more else set()
    if everywhere:
        cure = (
            "If it ties its head to its embeddings, say so in its config.json (tie_word_embeddings: true)."
            if all(HEAD.search(name) for name in everywhere)
            else "Copy that model again, or take the tensor out of the others if the merge is to go without."
        )
        found.refusals.append(
            f"Cannot merge: {own.model.path} lacks {tensors(everywhere)}, and {' and '.join(more)} "
            f"{'have' if len(more) > 1 else 'has'} it: the merge would lack it, too. {cure}"
        )
    for reference, names in more.items():
        if rest := [name for name in names if name not in everywhere]:
            found.warnings.append(f"{reference} has {tensors(rest)}, and {own.model.path} has not: left out.")


def tensors(names: Collection[str]) -> str:
    """The first of some tensors by name, and how many more there are."""
    return f"the tensor {listed([repr(name) for name in sorted(names)], 1)}"


def renumbered(name: str, layer: int) -> str:
    """The same tensor of another layer; names outside the layers stay."""
    found = LAYER.search(name)
    return f"{name[: found.start(2)]}{layer}{name[found.end(2) :]}" if found else name


def out_dtype(config: MergeConfig, stored: torch.dtype) -> torch.dtype:
    """The dtype a tensor is written in: out_dtype, else dtype, else the base's. Integers stay."""
    asked = config.out_dtype or config.dtype
    return getattr(torch, asked) if asked and stored.is_floating_point else stored


def misfit(model: Model, theirs: str, lead: Model, name: str) -> str | None:
    """Why a model's tensor does not fit the lead's; None if it does."""
    wanted, found = lead.tensors[name], model.tensors.get(theirs)
    if found is None:
        why = (
            "If that model ties its head to its embeddings, say so in its config.json (tie_word_embeddings: true)."
            if HEAD.search(name)
            else "They are not of one architecture: leave that model out."
        )
        return f"Cannot merge {name!r}: {model.path} has no tensor {theirs!r}, and {wanted.file} has. {why}"
    if found.shape != wanted.shape:
        vocabulary = len(found.shape) == 2 and found.shape[1:] == wanted.shape[1:]
        hint = (
            "Their vocabularies differ: give `tokenizer: {source: union}` (or base) in the merge file, or resize one."
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
