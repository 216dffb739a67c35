"""Which files of a model's folder hold its weights: by its index, else as loaders choose. The rest is named, unread.

Loaders take model.safetensors, else the shards of model.safetensors.index.json; what else lies there (consolidated
weights, an optimizer's state, other formats and precisions) is none of the model's tensors.
"""

import json
import os
import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.core.errors import Problem
from engine.core.files import open_regular
from engine.core.short_names import listed
from engine.core.shown import READS

INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
ADAPTER = "adapter_model.safetensors"  # changes to a base: never a model by itself
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
WEIGHTS = (*PICKLES, ".safetensors", ".gguf", ".onnx", ".onnx_data", ".h5", ".msgpack", ".ot", ".tflite")
SHARD = re.compile(r"(.*)-\d+-of-(\d+)\.safetensors")
NAMED = 4  # unread files in a sentence


@dataclass(frozen=True)
class Found:
    """files: those that hold the weights; index: tensor -> its file's name, empty without an index; unread: other files
    of weights in the folder, by their names in it."""

    files: list[Path]
    index: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


def find(path: Path) -> Found:
    """The files of a model. Raises Problem if there are none, some are missing, they are pickles, or it is not clear
    which ones are the model's."""
    if path.is_file():
        if path.suffix in PICKLES:
            raise Problem(pickled(path))
        if (match := SHARD.fullmatch(path.name)) and int(match[2]) > 1:
            raise Problem(
                f"Cannot open {path}: it is one of {int(match[2])} files of a model's weights. Name the folder that "
                "they are in."
            )
        return Found([path])
    if not path.is_dir():
        raise Problem(f"Cannot open the model {path}: there is no such folder or file. Check the path.")
    index = index_of(path)
    files = indexed(path, index) if index is not None else unindexed(path)
    return Found(files, index or {}, unread(path, files))


def indexed(path: Path, index: dict[str, str]) -> list[Path]:
    """The files that an index names."""
    names = sorted(set(index.values()))
    missing = [name for name in names if Path(name).name != name or not (path / name).is_file()]
    if missing or not names:
        lacking = f"{missing[0]!r}, which is not there" if missing else "no file"
        raise Problem(f"Cannot open {path}: its index names {lacking}. Copy it again.")
    if WHOLE not in names and os.path.lexists(path / WHOLE):
        raise Problem(
            f"Cannot open {path}: it has {WHOLE}, and {INDEX} names {names[0]} instead. Some loaders read the one, "
            "some the other: move away what is stale."
        )
    return [path / name for name in names]


def unindexed(path: Path) -> list[Path]:
    """model.safetensors, else the one file or the one set of shards that is there."""
    if os.path.lexists(path / WHOLE):
        return [path / WHOLE]
    sets: dict[tuple[str, str], list[Path]] = {}
    for file in sorted(path.glob("*.safetensors")):
        if file.name != ADAPTER:
            match = SHARD.fullmatch(file.name)
            sets.setdefault(match.groups() if match else (file.name, "1"), []).append(file)
    if not sets:
        raise Problem(nothing(path))
    if len(sets) > 1:
        names = [files[0].name for files in sets.values()]
        raise Problem(
            f"Cannot open {path}: {', '.join(names)} are there, and neither {WHOLE} nor an index says which of them "
            f"the model is. Name the file itself, or rename it to {WHOLE}."
        )
    ((_, count), files), *_ = sets.items()
    if len(files) != int(count):
        raise Problem(f"Cannot open {path}: it has {len(files)} of its {int(count)} files of weights. Copy it again.")
    return files


def nothing(path: Path) -> str:
    """The refusal of a folder without weights that can be read, by what is there."""
    others = sorted(file for file in path.iterdir() if file.suffix in WEIGHTS)
    if ADAPTER in [file.name for file in others]:
        return f"Cannot merge {path} as a model: it is an adapter. Name its base before it: BASE+{path}"
    pickles = [file for file in others if file.suffix in PICKLES and not file.with_suffix(".xml").exists()]  # OpenVINO
    if pickles:
        return pickled(next((file for file in pickles if "model" in file.name), pickles[0]))
    if others:
        return f"Cannot open {path}: it holds {others[0].name} and no .safetensors file. Give the safetensors."
    inner = sorted({file.parent.name for file in path.glob("*/*.safetensors")})
    if inner:
        return f"Cannot open {path}: its weights lie in {listed(inner, NAMED)}. Name one of these folders."
    return f"Cannot open the model {path}: no .safetensors file is there. Check the path."


def unread(path: Path, files: list[Path]) -> list[str]:
    """Other files of weights in a model's folder and in the folders in it."""
    found = [file for way in ("*", "*/*") for file in sorted(path.glob(way)) if file.suffix in WEIGHTS]
    return [str(file.relative_to(path)) for file in found if file not in files and not file.is_dir()]


def left_unread(path: Path, files: list[Path], others: list[str]) -> str:
    """The warning about files of weights that are not read."""
    applied = f" To apply the adapter, name it BASE+{path}." if ADAPTER in others else ""
    read = listed([file.name for file in files], NAMED)
    return f"Of {path} only {read} is read, and not {listed(others, NAMED)}.{applied}"


def index_of(path: Path) -> dict[str, str] | None:
    """Tensor -> name of its file, by the index in a model's folder; None without an index."""
    file = path / INDEX
    if not file.is_file():
        return None
    try:
        found = table(file.read_bytes())["weight_map"]
        if not all(isinstance(name, str) and "\0" not in name for name in found.values()):
            raise ValueError("weight_map does not name a file for each tensor")
        return found
    except (OSError, ValueError, LookupError, AttributeError) as error:
        raise Problem(f"Cannot read {file}: {error!r}. Remove it if one file holds all tensors.") from error


def pickled(file: Path) -> str:
    """The refusal of a pickle, with the command that converts it; of what is only named like one, as what it is."""
    with suppress(OSError), open_regular(file) as opened:
        head = opened.read(9)
        if head.startswith(b"GGUF"):
            return f"Cannot open {file}: it is a GGUF file. Give the safetensors that it was made from."
        if head[8:] == b"{":
            return f"Cannot open {file}: it is a safetensors file. Name it {file.with_suffix('.safetensors').name}."
    code = (
        "import sys, torch, safetensors.torch as s; s.save_file({k: v.contiguous().clone() "
        "for k, v in torch.load(sys.argv[1], weights_only=True).items()}, sys.argv[2])"
    )
    # A file's name may hold quotes: it is passed as an argument, never pasted into code.
    command = shlex.join(["python", "-c", code, str(file), str(file.with_suffix(".safetensors"))])
    return (
        f"Cannot open {file}: it is a pickle, which can run any code when it is read. If you trust where it comes "
        f"from, convert it: {command}"
    )


def table(text: bytes, pairs: Callable | None = None) -> dict:
    """A JSON object. pairs: builds every object from its pairs. Raises ValueError for anything else."""
    try:
        found = json.loads(text, object_pairs_hook=pairs, **READS)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"it holds {str(found)[:40]!r}, and must be a table")
    return found
