"""What config.json says of a model and its weights do not: what loaders would fill with random numbers, or drop."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.core.checks import is_whole
from engine.core.short_names import listed
from engine.merging.modules import main_of
from engine.spec.stacks import layer_of, stack_of

LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")  # config.json's keys for the number of layers
WITH_HEAD = re.compile(r"(ForCausalLM|LMHeadModel|ForConditionalGeneration)$")  # of its architectures
HEADS = re.compile(r"head|embed_out|output\.weight|predictions", re.I)
TOKENS = re.compile(r"(?:^|\.)(?!\w*(?:pos|type|patch|per_layer))\w*(?:emb|wte)\w*\.weight$")  # a row for each
FACTORS = re.compile(r"\.lora_(A|B|down|up)\b")
NAMED = 6


def differences(
    path: Path, shapes: Mapping[str, tuple[int, ...]], parts: list[dict[str, Any]], tied: bool | None
) -> list[str]:
    """Sentences on what differs. shapes: tensor -> its shape; parts: config.json and its parts on text; tied: whether
    its head is its embedding, None if that is not said."""
    said = [*_layers(shapes, parts), *_rows(shapes, parts)]
    kinds = [one for one in parts[0].get("architectures") or [] if isinstance(one, str)] if parts else []
    if tied is False and any(map(WITH_HEAD.search, kinds)) and not any(map(HEADS.search, shapes)):
        said.append("that its head is its own, and no tensor is one: loaders make one of random numbers")
    found = [f"config.json of {path} says {one}. Copy it again if a file is missing." for one in said]
    if factors := [name for name in shapes if FACTORS.search(name)]:
        found.append(
            f"{path} holds LoRA factors beside its weights, such as {factors[0]!r}: a merge takes each by itself, "
            "and the product of merged factors is another matrix than the merged product."
        )
    return found


def _layers(shapes: Mapping[str, tuple[int, ...]], parts: list[dict[str, Any]]) -> list[str]:
    """Layers that are missing, or more than there should be, in the stack that config.json counts."""
    counted = [part[key] for part in parts for key in LAYERS if is_whole(part.get(key), 1)]
    stacks = dict.fromkeys(filter(None, map(stack_of, shapes)), 0)
    if not counted or not stacks or (len(stacks) > 1 and len(parts) < 2):  # of several, the part on text says which
        return []
    main = main_of(stacks)
    there, count = {layer_of(name) for name in shapes if stack_of(name) == main}, counted[-1]
    said = []
    if missing := [str(one) for one in range(min(count, 10_000)) if one not in there]:
        said.append(
            f"{count} layers, and there is no tensor of layer {listed(missing, NAMED)} in {main}: loaders fill these "
            "with random numbers"
        )
    if beyond := [str(one) for one in sorted(there) if one >= count]:
        said.append(f"{count} layers, and {main} has layer {listed(beyond, NAMED)} too: loaders may leave these out")
    return said


def _rows(shapes: Mapping[str, tuple[int, ...]], parts: list[dict[str, Any]]) -> list[str]:
    """An embedding with other rows than there are tokens."""
    sizes = [part["vocab_size"] for part in parts if is_whole(part.get("vocab_size"), 1)]
    rows = {name: shape[0] for name, shape in shapes.items() if TOKENS.search(name) and layer_of(name) < 0 and shape}
    if not sizes or not rows or set(sizes) & set(rows.values()):
        return []
    name, count = next(iter(rows.items()))
    return [f"vocab_size {sizes[-1]:,}, and {name} has {count:,} rows: loaders refuse it"]
