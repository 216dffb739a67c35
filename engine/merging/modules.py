"""Models of several stacks of layers: which stack a module of a merge file means, and which tensors go with it.

Modules are named by a stack (`model.layers`), or as mergekit names them (text_decoder, vision_tower, encoder, ...).
Tensors outside of stacks belong to the stack whose name theirs shares most of, from the beginning; those that share
nothing (lm_head) to the model of text. A module may also be a part of names (multi_modal_projector, shared).
"""

import re
from collections.abc import Iterable

from engine.core.errors import Problem
from engine.spec.stacks import LAYER, stack_of

KINDS = (  # of stacks, by their names; the first that fits
    ("vision", re.compile(r"vis(?:ion|ual)|image|vit")),
    ("audio", re.compile(r"audio|speech")),
    ("decoder", re.compile(r"decoder")),
    ("encoder", re.compile(r"(?:^|\.)encoder")),
    ("text", re.compile("")),
)
MEANT = {  # mergekit's names of modules, and others' -> the kind of stack
    **dict.fromkeys(("text_decoder", "language_model", "text_model", "text"), "text"),
    **dict.fromkeys(("vision_tower", "vision_model", "visual", "vision"), "vision"),
    **dict.fromkeys(("audio_tower", "audio_model", "audio"), "audio"),
    "encoder": "encoder",
    "decoder": "decoder",
}
PARTS = {"multi_modal_projector": re.compile(r"(?:^|\.)(?:multi_modal_projector|merger|connector|mm_projector)\.")}


def kind_of(stack: str) -> str:
    """Vision, audio, decoder, encoder, or text."""
    return next(kind for kind, words in KINDS if words.search(stack))


def main_of(stacks: Iterable[str]) -> str:
    """The stack of text, that what shares no name with any belongs to; of encoder and decoder the latter."""
    order = ("text", "decoder", "encoder", "audio", "vision")
    return min(stacks, key=lambda stack: order.index(kind_of(stack)), default="")


def stack_for(module: str, stacks: dict[str, int]) -> str | None:
    """The stack that a module means; None for a part of names. Raises Problem if it fits several stacks."""
    if module in stacks or not stacks:
        return module if stacks else None
    if module == "default" and len(stacks) == 1:
        return next(iter(stacks))
    wanted = MEANT.get(module)
    found = [stack for stack in stacks if kind_of(stack) == wanted]
    if wanted == "text" and not found:
        found = [main_of(stacks)]
    if len(found) > 1:
        raise Problem(f"Cannot tell which stack the module {module} is: {', '.join(found)}. Name the stack itself.")
    return found[0] if found else None


def owner_of(name: str, stacks: dict[str, int]) -> str:
    """The stack that a tensor goes with."""
    if LAYER.search(name) and (stack := stack_of(name)) in stacks:
        return stack
    parts = name.split(".")

    def shared(stack: str) -> int:
        own = stack.split(".")
        return next((n for n, (a, b) in enumerate(zip(parts, own, strict=False)) if a != b), min(len(parts), len(own)))

    most = max(map(shared, stacks), default=0)
    closest = [stack for stack in stacks if shared(stack) == most]
    return closest[0] if most and len(closest) == 1 else main_of(closest)


def shares(modules: list[str], names: Iterable[str], stacks: dict[str, int]) -> dict[str, str]:
    """Tensor -> the module that it belongs to, without those that no module names. Raises Problem for a module that
    means no stack and no tensor."""
    own = {module: stack_for(module, stacks) for module in modules}
    by_stack = {stack: module for module, stack in own.items() if stack is not None}
    by_part = {
        module: PARTS.get(module, re.compile(rf"(?:^|\.){re.escape(module)}(?:\.|$)"))
        for module, stack in own.items()
        if stack is None
    }
    found = {}
    for name in names:
        part = next((module for module, pattern in by_part.items() if pattern.search(name)), None)
        module = part or by_stack.get(owner_of(name, stacks))
        if module is not None:
            found[name] = module
    for module in modules:
        if module not in found.values():
            told = ", ".join(f"{stack} ({count} layers)" for stack, count in stacks.items()) or "none"
            raise Problem(f"Cannot find the module {module}: the stacks are {told}. Name one of them.")
    return found
