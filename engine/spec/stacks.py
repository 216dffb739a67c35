"""Stacks of layers by the names of tensors: most models have one; vision-language and encoder-decoder ones several."""

import json
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.core.files import open_regular

LAYER = re.compile(r"(?:^|\.)(layers|layer|h|blocks|block|resblocks)\.(\d+)\.")
INDEX = "model.safetensors.index.json"
LONGEST = 100 << 20  # bytes of a header, an index, a config.json


def layer_of(name: str) -> int:
    """The layer of a tensor by its name; -1 if none."""
    found = LAYER.search(name)
    return int(found[2]) if found else -1


def stack_of(name: str) -> str:
    """The stack of layers that a tensor is in, by its name; empty if none."""
    found = LAYER.search(name)
    return name[: found.end(1)] if found else ""


def stacks_of(names: Iterable[str]) -> dict[str, int]:
    """The stacks of layers by their names (model.layers, visual.blocks, encoder.block), and how many each has."""
    found: dict[str, int] = {}
    for name in names:
        if stack := stack_of(name):
            found[stack] = max(found.get(stack, 0), layer_of(name) + 1)
    return found


def json_of(file: Path) -> Any:
    """What a model's JSON holds. Raises OSError or ValueError, also for what is no file or very long."""
    with open_regular(file) as opened:
        return json.loads(opened.read(LONGEST))


def tensor_names(folder: Path) -> list[str]:
    """The names of the tensors in a model's folder, by its index or its files' headers; none where they are damaged."""
    try:
        if (folder / INDEX).is_file():
            return list(json_of(folder / INDEX)["weight_map"])
        whole = folder / "model.safetensors"
        files = [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))
        return [name for file in files for name in _header(file) if name != "__metadata__"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error):
        return []


def shapes_in(file: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a safetensors file, by its header. Raises OSError, ValueError and the like for one
    that is damaged."""
    found: dict[str, Any] = _header(file)
    return {name: tuple(one["shape"]) for name, one in found.items() if name != "__metadata__"}


def _header(file: Path) -> dict[str, object]:
    with open_regular(file) as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        found: dict[str, object] = json.loads(opened.read(min(length, LONGEST)))
    return found
