"""Checkpoints on disk: safetensors, one file or sharded, memory-mapped tensor by tensor; never runs code."""

import math
import mmap
import re
import struct
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from engine.core.checks import is_whole
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.core.system import UNREADABLE, read_fault
from engine.merging.checkpoints.files import NAMED, find, left_unread, table
from engine.merging.checkpoints.quantised import refuse_configured, refuse_named
from engine.merging.checkpoints.stated import LAYERS, differences
from engine.spec.stacks import stacks_of

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
TEXT = ("text_config", "language_config", "llm_config", "decoder")  # config.json's parts on the model of text
TIED = "tie_word_embeddings"  # config.json's key: the head is the embedding
# One row per token, by their names: heads and token embeddings.
HEAD = re.compile(r"(^|\.)(lm_head|embed_out)\.weight$")
EMBEDDING = re.compile(r"(?:^|\.)(?!\w*(?:pos|type|patch))\w*(?:emb|wte)\w*\.weight$")
ROWS = re.compile(rf"{EMBEDDING.pattern}|(?:^|\.)(?:\w*lm_head\w*|output)\.weight$")
SHARED = re.compile(rf"{ROWS.pattern}|(?:^|\.)shared\.weight$|predictions\.decoder\.(?:weight|bias)$")  # may be tied


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
    """A model on disk: a folder with config.json and safetensors, or one bare file.

    tensors: name -> Stored; notes: warnings about what its files hold, and which are not read.
    """

    held = 0  # bytes of memory to access a tensor

    def __init__(self, path: Path):
        """Reads the headers only. Raises Problem that names the file, the tensor and the remedy."""
        self.path = Path(path)
        self.home = self.path  # whose tokenizer is the model's
        found = find(self.path)
        self.files, self.unread, self.notes = found.files, found.unread, []
        if self.unread:
            self.notes.append(left_unread(self.path, self.files, self.unread))
        self.tensors: dict[str, Stored] = {}
        refuse_configured(self.path, self.config)
        beyond: list[str] = []
        for file in self.files:
            for stored in read_header(file):
                if found.index and stored.name not in found.index:
                    beyond.append(stored.name)
                    continue
                if stored.name in self.tensors:
                    raise Problem(
                        f"Cannot open {self.path}: the tensor {stored.name!r} is in {file.name} and in "
                        f"{self.tensors[stored.name].file.name}. Remove the stale file."
                    )
                self.tensors[stored.name] = stored
        refuse_named(self.path, self.tensors)
        self._check(found.index)
        if beyond:
            self.notes.append(f"The index of {self.path} does not name {listed(beyond, NAMED)}: not read.")
        parts = [self.config or {}, *text_parts(self.config).values()]
        self.notes += differences(
            self.path, {name: one.shape for name, one in self.tensors.items()}, parts, self.is_tied
        )
        self._maps: dict[Path, mmap.mmap] = {}

    def _check(self, index: dict[str, str]) -> None:
        """Raise Problem for a tensor that the index names and no file holds, unless it is another one's copy."""
        lacking = [name for name in index if name not in self.tensors]
        tied = [name for name in lacking if self.is_tied and SHARED.search(name)]
        for name in lacking:
            if name not in tied:
                tying = f"If it is tied to another one, say so in config.json ({TIED}: true). "
                raise Problem(
                    f"Cannot open {self.path}: its index says that the tensor {name!r} is in {index[name]}, and it is "
                    f"not. {tying if SHARED.search(name) and self.is_tied is None else ''}Copy that file again."
                )
        if tied:
            self.notes.append(f"The index of {self.path} names {listed(tied, NAMED)}, which no file holds: it is tied.")

    @property
    def is_tied(self) -> bool | None:
        """Whether the head is the embedding, by config.json, also by its part on text; None if it does not say."""
        parts = [self.config or {}, *text_parts(self.config).values()]
        return next((part[TIED] for part in parts if part.get(TIED) is not None), None)

    def untie(self, head: str, embedding: str) -> None:
        """Give a tied model a head of its own, which begins as its embedding."""
        self.tensors[head] = replace(self.tensors[embedding], name=head)
        if self.config:
            inner = {key: part | {TIED: False} for key, part in text_parts(self.config).items() if TIED in part}
            self.config = self.config | inner | {TIED: False}

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
        except UNREADABLE as error:
            raise Problem(
                f"Cannot read {path}: {read_fault(error, 'Fix it, or copy it from the base model.')}"
            ) from error

    @cached_property
    def stacks(self) -> dict[str, int]:
        """The stacks of layers by their names (model.layers, visual.blocks, encoder.block), and how many each has."""
        return stacks_of(self.tensors)

    @cached_property
    def layers(self) -> int:
        """The number of layers, by its config or the names of its tensors; 0 if unknown. Of several stacks: of the
        largest."""
        for key in LAYERS:
            if self.config and is_whole(self.config.get(key), 1) and len(self.stacks) < 2:
                return self.config[key]
        return max(self.stacks.values(), default=0)

    def culprit(self, name: str) -> Path:
        """The file responsible for a tensor's invalid values."""
        return self.tensors[name].file


def text_parts(config: dict | None) -> dict[str, dict]:
    """The parts of a config.json that are about the model of text, by their keys."""
    return {key: part for key, part in (config or {}).items() if key in TEXT and isinstance(part, dict)}


def resized(config: dict, before: int, rows: int) -> dict:
    """A config.json of a model whose embeddings have other rows than before, also in its part on text."""
    size = {"vocab_size": rows}
    inner = {key: part | size for key, part in text_parts(config).items() if part.get("vocab_size") == before}
    return config | inner | (size if config.get("vocab_size") == before else {})


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
            refuse_named(file, header)
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
