"""Checkpoints on disk: safetensors, one file or sharded, memory-mapped tensor by tensor; never runs code."""

import json
import math
import mmap
import re
import shlex
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from engine.core.checks import is_whole
from engine.core.errors import Problem

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
HEADER_BYTES = 100 << 20  # a larger header is invalid
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.")
LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")  # config.json's keys for the number of layers
INDEX = "model.safetensors.index.json"
SHARD = re.compile(r"(.*)-\d+-of-(\d+)\.safetensors")


@dataclass(frozen=True)
class Stored:
    """A tensor's location: bytes `begin` to `end` of a file."""

    name: str
    file: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Elements."""
        return (self.end - self.begin) // self.dtype.itemsize


class Checkpoint:
    """A model on disk: a folder with config.json and safetensors, or one bare file. tensors: name -> Stored."""

    held = 0  # bytes of memory to access a tensor
    doubt = None  # a warning if the model's parts may not belong together

    def __init__(self, path: Path):
        """Reads the headers only. Raises Problem that names the file, the tensor and the remedy."""
        self.path = Path(path)
        self.home = self.path  # whose tokenizer is the model's
        self.files = weight_files(self.path)
        self.tensors: dict[str, Stored] = {}
        for file in self.files:
            for stored in read_header(file):
                if stored.name in self.tensors:
                    raise Problem(
                        f"Cannot open {self.path}: the tensor {stored.name!r} is in {file.name} and in "
                        f"{self.tensors[stored.name].file.name}. Remove the stale file."
                    )
                self.tensors[stored.name] = stored
        for name, file in index_of(self.path).items():
            if name not in self.tensors:
                raise Problem(
                    f"Cannot open {self.path}: its index says that the tensor {name!r} is in {file}, and it is not. "
                    "Copy that file again."
                )
        self._maps: dict[Path, mmap.mmap] = {}

    def flat(self, name: str) -> Tensor:
        """A tensor's elements (n,) in its own dtype, mapped from the file: it costs no memory of its own."""
        stored = self.tensors[name]
        if stored.size == 0:
            return torch.empty(0, dtype=stored.dtype)
        if stored.file not in self._maps:
            with open(stored.file, "rb") as file:  # copy-on-write: torch wants writable memory
                self._maps[stored.file] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        return torch.frombuffer(self._maps[stored.file], dtype=stored.dtype, count=stored.size, offset=stored.begin)

    @cached_property
    def config(self) -> dict | None:
        """config.json; None for a bare file. Raises Problem if it cannot be read."""
        path = self.path / "config.json"
        if not path.is_file():
            return None
        try:
            return table(path.read_bytes())
        except (OSError, ValueError) as error:
            raise Problem(f"Cannot read {path}: {error}. Fix it, or copy it from the base model.") from error

    @cached_property
    def layers(self) -> int:
        """The number of layers, by its config or the names of its tensors; 0 if unknown."""
        for key in LAYERS:
            if self.config and is_whole(self.config.get(key), 1):
                return self.config[key]
        return 1 + max((layer_of(name) for name in self.tensors), default=-1)

    def culprit(self, name: str) -> Path:
        """The file responsible for a tensor's invalid values."""
        return self.tensors[name].file


def layer_of(name: str) -> int:
    """The layer of a tensor by its name; -1 if none."""
    found = LAYER.search(name)
    return int(found.group(1)) if found else -1


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a model. Raises Problem if there are none, some are missing, or they are pickles."""
    if path.is_file():
        if path.suffix in PICKLES:
            raise Problem(pickled(path))
        return [path]
    if not path.is_dir():
        raise Problem(f"Cannot open the model {path}: there is no such folder or file. Check the path.")
    if (path / INDEX).is_file():
        names = sorted(set(index_of(path).values()))
        missing = [name for name in names if Path(name).name != name or not (path / name).is_file()]
        if missing or not names:
            lacking = f"{missing[0]!r}, which is not there" if missing else "no file"
            raise Problem(f"Cannot open {path}: its index names {lacking}. Copy it again.")
        return [path / name for name in names]
    found = sorted(path.glob("*.safetensors"))
    if not found:
        pickles = sorted(file for file in path.iterdir() if file.suffix in PICKLES)
        if pickles:
            raise Problem(pickled(pickles[0]))
        raise Problem(f"Cannot open the model {path}: no .safetensors file is there. Check the path.")
    kinds = Counter(match.groups() for file in found if (match := SHARD.fullmatch(file.name)))
    for (_, count), there in kinds.items():
        if there != int(count):
            raise Problem(f"Cannot open {path}: it has {there} of its {int(count)} files of weights. Copy it again.")
    return found


def index_of(path: Path) -> dict[str, str]:
    """Tensor -> name of its file, by the index in a model's folder; empty without an index."""
    file = path / INDEX
    if not file.is_file():
        return {}
    try:
        found = table(file.read_bytes())["weight_map"]
        if not all(isinstance(name, str) and "\0" not in name for name in found.values()):
            raise ValueError("weight_map does not name a file for each tensor")
        return found
    except (OSError, ValueError, LookupError, AttributeError) as error:
        raise Problem(f"Cannot read {file}: {error!r}. Remove it if one file holds all tensors.") from error


def pickled(file: Path) -> str:
    """The refusal of a pickle, with the command that converts it."""
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
        found = json.loads(text, object_pairs_hook=pairs)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"it holds {str(found)[:40]!r}, and must be a table")
    return found


def once(pairs: list[tuple[str, object]]) -> dict:
    """A JSON object. Raises ValueError for a duplicate name: one of the two would be lost silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {next(name for name in names if names.count(name) > 1)!r} twice")
    return found


def read_header(file: Path) -> list[Stored]:
    """The tensors of one safetensors file. Raises Problem if it is truncated, damaged or of another format."""

    def damaged(why: str) -> Problem:
        return Problem(f"Cannot read {file}: {why}. The file is truncated or damaged: copy it again.")

    if not file.is_file():
        raise Problem(f"Cannot read {file}: it is not a file but a folder, a pipe or a link to nothing. Remove it.")
    try:
        size = file.stat().st_size
        with open(file, "rb") as opened:
            head = opened.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else -1
            sound = 0 < length <= min(size - 8, HEADER_BYTES)
            text = opened.read(length) if sound else b""
    except OSError as error:
        raise Problem(f"Cannot read {file}: {error.strerror}. Fix its permissions, or copy it again.") from error
    if head[:4] == b"GGUF":
        raise Problem(f"Cannot merge {file}: it is a GGUF file. Give the safetensors that it was made from.")
    if not sound:
        raise damaged(f"it has {size:,} bytes and says that its header has {length:,}")
    try:
        header = table(text, once)
        header.pop("__metadata__", None)
        entries = [(*placed(entry), name) for name, entry in header.items()]
    except (ValueError, LookupError, TypeError) as error:
        raise damaged(f"its header is not valid safetensors ({error!r})") from error
    found, start, at = [], 8 + length, 0
    for begin, end, code, shape, name in sorted(entries):  # in file order, one after the other
        if code not in DTYPES:
            raise Problem(
                f"Cannot read {file}: the tensor {name!r} has the dtype {code}, which cannot be merged. "
                f"Convert it to one of {', '.join(DTYPES)}."
            )
        if begin != at or end - begin != math.prod(shape) * DTYPES[code].itemsize or start + end > size:
            raise damaged(f"the tensor {name!r} {list(shape)} should lie at bytes {begin:,} to {end:,}")
        found.append(Stored(name, file, DTYPES[code], shape, start + begin, start + end))
        at = end
    return found


def placed(entry: dict) -> tuple[int, int, str, tuple[int, ...]]:
    """(begin, end, dtype, shape) of a header entry. Raises ValueError, LookupError or TypeError if it is invalid."""
    (begin, end), code, shape = entry["data_offsets"], entry["dtype"], entry["shape"]
    if not (
        isinstance(code, str) and isinstance(shape, list) and all(is_whole(one, 0) for one in (begin, end, *shape))
    ):
        raise ValueError(f"a tensor is described by {str(entry)[:100]}")
    return begin, end, code, tuple(shape)
