"""Checkpoints on disk: safetensors, one file or sharded, memory-mapped tensor by tensor; nothing that runs code."""

import json
import math
import mmap
import re
import shlex
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import Problem

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
CODES = {dtype: code for code, dtype in DTYPES.items()}
HEADER_BYTES = 100 << 20  # a larger header is no header
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.")
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies: bytes `begin` to `end` of a file."""

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

    def __init__(self, path: Path):
        """Reads the headers only. Raises Problem that names the file, the tensor and the cure."""
        self.path = Path(path)
        self.home = self.path  # whose tokenizer is the model's
        self.files = weight_files(self.path)
        self.tensors: dict[str, Stored] = {}
        for file in self.files:
            for stored in read_header(file):
                if stored.name in self.tensors:
                    raise Problem(
                        f"Cannot open {self.path}: the tensor {stored.name!r} stands in {file.name} and in "
                        f"{self.tensors[stored.name].file.name}. Remove the stale file."
                    )
                self.tensors[stored.name] = stored
        self._maps: dict[Path, mmap.mmap] = {}

    def flat(self, name: str) -> Tensor:
        """A tensor's elements (n,) in its own dtype, mapped from the file: it costs no memory of its own."""
        stored = self.tensors[name]
        if stored.size == 0:
            return torch.empty(0, dtype=stored.dtype)
        if stored.file not in self._maps:
            with open(stored.file, "rb") as file:  # copy-on-write: torch asks for writable memory
                self._maps[stored.file] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        return torch.frombuffer(self._maps[stored.file], dtype=stored.dtype, count=stored.size, offset=stored.begin)

    @cached_property
    def config(self) -> dict | None:
        """config.json; None for a bare file. Raises Problem for one that cannot be read."""
        path = self.path / "config.json"
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise Problem(f"Cannot read {path}: {error}. Mend it, or copy it from the base model.") from error

    @cached_property
    def layers(self) -> int:
        """How many layers it has, by its config or the names of its tensors; 0 where neither tells."""
        for key in ("num_hidden_layers", "n_layer", "num_layers", "n_layers"):
            if self.config and isinstance(self.config.get(key), int):
                return self.config[key]
        return 1 + max((layer_of(name) for name in self.tensors), default=-1)


def layer_of(name: str) -> int:
    """The layer of a tensor by its name; -1 where it belongs to none."""
    found = LAYER.search(name)
    return int(found.group(1)) if found else -1


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a model. Raises Problem where there are none, and for pickles."""
    if path.is_file():
        if path.suffix in PICKLES:
            raise Problem(pickled(path))
        return [path]
    if not path.is_dir():
        raise Problem(f"Cannot open the model {path}: there is no such folder or file. Check the path.")
    index = path / INDEX
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            raise Problem(f"Cannot read {index}: {error!r}. Remove it if one file holds all tensors.") from error
        missing = [name for name in names if Path(name).name != name or not (path / name).is_file()]
        if missing:
            raise Problem(f"Cannot open {path}: its index names {missing[0]!r}, which is not there. Copy it again.")
        return [path / name for name in names]
    found = sorted(path.glob("*.safetensors"))
    if not found:
        pickles = sorted(file for file in path.iterdir() if file.suffix in PICKLES)
        if pickles:
            raise Problem(pickled(pickles[0]))
        raise Problem(f"Cannot open the model {path}: no .safetensors file is there. Check the path.")
    return found


def pickled(file: Path) -> str:
    """Why a pickle is refused, and the command that converts it."""
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


def once(pairs: list[tuple[str, object]]) -> dict:
    """A JSON object. Raises ValueError where a name stands twice: one of the two would be lost without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {next(name for name in names if names.count(name) > 1)!r} twice")
    return found


def read_header(file: Path) -> list[Stored]:
    """The tensors of one safetensors file. Raises Problem for a file that is truncated or damaged."""

    def damaged(why: str) -> Problem:
        return Problem(f"Cannot read {file}: {why}. The file is truncated or damaged: copy it again.")

    size = file.stat().st_size
    with open(file, "rb") as opened:
        head = opened.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else -1
        if not 0 < length <= min(size - 8, HEADER_BYTES):
            raise damaged(f"it has {size:,} bytes and says that its header has {length:,}")
        try:
            header = json.loads(opened.read(length), object_pairs_hook=once)
            header.pop("__metadata__", None)
            entries = [
                (name, entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"]) for name, entry in header.items()
            ]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise damaged(f"its header is not what safetensors writes ({error!r})") from error
    found = []
    for name, code, shape, begin, end in entries:
        if code not in DTYPES:
            raise Problem(
                f"Cannot read {file}: the tensor {name!r} has the dtype {code}, which cannot be merged. "
                f"Convert it to one of {', '.join(DTYPES)}."
            )
        count = math.prod(shape)
        if not 0 <= begin <= end <= size - 8 - length or count * DTYPES[code].itemsize != end - begin:
            raise damaged(f"the tensor {name!r} {shape} should lie at bytes {begin:,} to {end:,}")
        found.append(Stored(name, file, DTYPES[code], shape, 8 + length + begin, 8 + length + end))
    return found
