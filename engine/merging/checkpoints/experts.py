"""Experts of a mixture of experts in two layouts: a tensor each, or fused, all of a layer in one.

Fused are gate_up_proj (E, 2 I, H), gate over up, and down_proj (E, H, I); slices of them are the separate tensors, so a
fused checkpoint can be read as a separate one without a copy.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from engine.merging.checkpoints.reader import Checkpoint, Stored
from engine.spec.stacks import layer_of

SPLIT = re.compile(r"(.*)\.experts\.(\d+)\.(gate_proj|up_proj|down_proj|w1|w2|w3)\.weight")
FUSED = re.compile(r"(.*)\.experts\.(gate_up_proj|down_proj)(?:\.weight)?")
PLACES = {  # of a separate tensor -> in which fused one it is, and which part of an expert's rows
    "gate_proj": ("gate_up_proj", 0, 2),
    "w1": ("gate_up_proj", 0, 2),
    "up_proj": ("gate_up_proj", 1, 2),
    "w3": ("gate_up_proj", 1, 2),
    "down_proj": ("down_proj", 0, 1),
    "w2": ("down_proj", 0, 1),
}


ROUTERS = ("gate.weight", "router.weight", "router.layer.weight")
TRANSPOSED = ("llama4", "gpt_oss")  # architectures that fuse in another order


def alike(models: Iterable[Checkpoint]) -> None:
    """Where some checkpoints keep their experts apart, read those with fused ones so, too."""
    kinds = [(model, [name for name in model.tensors if ".experts." in name]) for model in models]
    apart = [model for model, names in kinds if any(SPLIT.fullmatch(name) for name in names)]
    for model, names in kinds:
        kind = str((model.config or {}).get("model_type"))
        if apart and names and all(FUSED.fullmatch(name) for name in names) and not kind.startswith(TRANSPOSED):
            separate(model, apart[0])


def miscounted(tensors: dict[str, Stored], path: Path) -> list[str]:
    """A refusal where the router of a layer has rows for other experts than there are."""
    counts: dict[str, int] = {}
    for name, one in tensors.items():
        if match := SPLIT.fullmatch(name):
            counts[match[1]] = max(counts.get(match[1], 0), int(match[2]) + 1)
        elif (match := FUSED.fullmatch(name)) and one.shape:
            counts[match[1]] = one.shape[0]
    for block, count in counts.items():
        for end in ROUTERS:
            router = tensors.get(f"{block}.{end}")
            if router is not None and router.shape[0] != count:
                return [
                    f"Cannot merge {path}: {block} has {count} experts, and its router {router.name!r} rows for "
                    f"{router.shape[0]}. Copy that model again."
                ]
    return []


def separate(fused: Checkpoint, split: Checkpoint) -> None:
    """Read a checkpoint with fused experts as one with a tensor each, by another's names; not if shapes differ."""
    found = {(layer_of(name), match[2]): name for name in fused.tensors if (match := FUSED.fullmatch(name))}
    named = {name: match for name in split.tensors if (match := SPLIT.fullmatch(name))}
    count = 1 + max(int(match[2]) for match in named.values())
    slices, blocks = {}, {}
    for name, match in named.items():
        kind, part, parts = PLACES[match[3]]
        whole = fused.tensors.get(found.get((layer_of(name), kind), ""))
        if whole is None or whole.shape[:1] != (count,):
            return
        slices[name] = sliced(whole, name, int(match[2]) * parts + part, count * parts)
        if slices[name].shape != split.tensors[name].shape:
            return
        blocks[FUSED.fullmatch(whole.name)[1]] = match[1]
    kept = {}
    for name, stored in fused.tensors.items():
        if name not in found.values():
            block = next((one for one in blocks if name.startswith(f"{one}.")), "")  # the router beside the experts
            moved = blocks.get(block, "") + name.removeprefix(block)
            kept[moved] = replace(stored, name=moved)
    fused.tensors = kept | slices
    fused.notes.append(
        f"The experts of {fused.path} are fused, and those of {split.path} a tensor each: they are read as the latter, "
        "and written so."
    )


def sliced(whole: Stored, name: str, place: int, count: int) -> Stored:
    """One of `count` equal parts of a fused tensor, as a matrix."""
    size = (whole.end - whole.begin) // count
    columns = whole.shape[-1]
    begin = whole.begin + place * size
    shape = (size // whole.dtype.itemsize // max(1, columns), columns)
    return Stored(name, whole.file, whole.dtype, shape, begin, begin + size)
