"""Token files of other tools, read where they lie: Megatron's .bin and .idx, OLMo's .npy, datatrove's .ds.

Nothing is copied: files are memory-mapped, sizes come from headers and indices. T tokens, N documents.

- Megatron-LM: PREFIX.bin holds the tokens; PREFIX.idx says their type, the length of each sequence and which begin
  documents (megatron/core/datasets/indexed_dataset.py).
- OLMo (dolma tokens): raw unsigned numbers under the name .npy, also with NumPy's own header; a token ends a document.
- datatrove: raw tokens in NAME.ds, 64-bit ends of documents in NAME.ds.index; NAME.ds.metadata may tell their width.
"""

import glob
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.core.errors import Problem

MEGATRON = b"MMIDIDX\x00\x00"  # how an .idx begins
HEADER = struct.Struct("<9sQBQQ")  # that, version, type, sequences, documents + 1
TYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}  # Megatron's codes, of whole numbers
NUMPY = b"\x93NUMPY"
WIDTHS = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
LOOKS, WINDOW = 16, 1 << 16  # places of a file that are looked at, and tokens at each
HIGH = 1 << 24  # no vocabulary is larger: 16-bit tokens read as 32-bit ones are
EMPTY = 0.9  # of every second 16-bit number 0: these are 32-bit tokens


class How(NamedTuple):
    """What files do not say themselves. dtype: of WIDTHS; end: the token that ends a document; vocabulary: how many
    there are. None where it is not known."""

    dtype: str | None = None
    end: int | None = None
    vocabulary: int | None = None


@dataclass(frozen=True)
class TokenFile:
    """A file of tokens. tokens (T,); ends (N,): where each document ends, None where only a token in the file says."""

    path: Path
    tokens: np.ndarray
    ends: np.ndarray | None

    @property
    def documents(self) -> int | None:
        return None if self.ends is None else len(self.ends)


class Counted(NamedTuple):
    """What a domain has: files, their tokens and bytes, and documents, None where that takes reading all tokens."""

    files: int
    tokens: int
    bytes: int
    documents: int | None


def megatron(path: Path, how: How) -> TokenFile:
    """PREFIX.bin with its PREFIX.idx. Raises Problem where they do not belong together."""
    base = path.with_suffix("") if path.suffix in (".bin", ".idx") else path
    data, index = (base.with_name(base.name + suffix) for suffix in (".bin", ".idx"))
    for one in (data, index):
        if not one.is_file():
            raise Problem(f"Cannot read {base}: there is no {one.name} beside it. Give the prefix of both files.")
    with open(index, "rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size or not head.startswith(MEGATRON):
        raise Problem(f"Cannot read {index}: it does not begin as an index of Megatron-LM. It is another file, or cut.")
    _, version, code, sequences, starts = HEADER.unpack(head)
    if version != 1 or code not in TYPES:
        raise Problem(f"Cannot read {index}: its version is {version} and its type {code}; known are 1 and {[*TYPES]}.")
    wanted, size = HEADER.size + 12 * sequences + 8 * starts, index.stat().st_size
    if size < wanted:
        raise Problem(
            f"Cannot read {index}: it has {size:,} bytes, and its header tells of {wanted:,}. It was cut off."
        )
    numbers = np.memmap(index, np.uint8, "r")
    lengths = numbers[HEADER.size : HEADER.size + 4 * sequences].view("<i4")
    first = HEADER.size + 12 * sequences
    begins = numbers[first : first + 8 * starts].view("<i8")
    dtype = np.dtype(TYPES[code])
    total = int(lengths.sum(dtype=np.int64))
    check_size(data, total, dtype, f"its index {index.name}")
    ends = np.cumsum(lengths, dtype=np.int64) if len(lengths) else np.zeros(0, np.int64)
    if len(begins) and (begins[0] != 0 or begins[-1] != sequences or (np.diff(begins) < 0).any()):
        raise Problem(f"Cannot read {index}: its documents do not cover its {sequences:,} sequences. It is damaged.")
    ends = ends[begins[1:] - 1] if len(begins) > 1 else ends
    return TokenFile(data, mapped(data, dtype, 0, total), ends)


def olmo(path: Path, how: How) -> TokenFile:
    """A .npy of raw numbers, or of NumPy's own."""
    if not path.is_file():
        raise Problem(f"Cannot read {path}: there is no such file.")
    with open(path, "rb") as file:
        own = file.read(len(NUMPY)) == NUMPY
    if own:
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise Problem(f"Cannot read {path}: its header is damaged ({error}).") from error
        if array.ndim != 1 or array.dtype.kind not in "ui":
            raise Problem(
                f"Cannot read {path}: it holds {array.dtype} of {array.ndim} dimensions, and tokens are whole."
            )
        return checked(TokenFile(path, array, None), how)
    return checked(TokenFile(path, raw(path, how, None), None), how)


def datatrove(path: Path, how: How) -> TokenFile:
    """NAME.ds with its NAME.ds.index."""
    index, about = path.with_name(path.name + ".index"), path.with_name(path.name + ".metadata")
    if not path.is_file() or not index.is_file():
        missing = index if path.is_file() else path
        raise Problem(f"Cannot read {path}: there is no {missing.name}. Give the .ds file, with its index beside it.")
    if index.stat().st_size % 8:
        raise Problem(
            f"Cannot read {index}: its {index.stat().st_size:,} bytes are not whole 64-bit numbers. It was cut."
        )
    ends = np.memmap(index, "<u8", "r").astype(np.int64) if index.stat().st_size else np.zeros(0, np.int64)
    if len(ends) and (np.diff(ends, prepend=0) < 0).any():
        raise Problem(f"Cannot read {index}: the ends of its documents do not rise. It is damaged, or another file's.")
    told = about.read_text("utf-8", "replace").split("\n")[0].rpartition("|")[2] if about.is_file() else ""
    width = {"2": "uint16", "4": "uint32"}.get(told.strip())
    total = int(ends[-1]) if len(ends) else 0
    fitting = [name for name, one in WIDTHS.items() if total * one.itemsize == path.stat().st_size]
    tokens = raw(path, how._replace(dtype=how.dtype or width or next(iter(fitting), None)), total)
    return checked(TokenFile(path, tokens, ends), how)


FORMATS: dict[str, Callable[[Path, How], TokenFile]] = {"megatron": megatron, "olmo": olmo, "datatrove": datatrove}
ENDING = {"megatron": ".idx", "olmo": ".npy", "datatrove": ".ds"}  # of what a folder is searched for


def raw(path: Path, how: How, total: int | None) -> np.ndarray:
    """Tokens without a header, (T,); total: how many an index tells of. Raises Problem for another size."""
    if how.dtype not in WIDTHS:
        raise Problem(f"Cannot read {path}: it does not say how wide its tokens are. Say {' or '.join(WIDTHS)}.")
    dtype, size = WIDTHS[how.dtype], path.stat().st_size
    if total is not None:
        check_size(path, total, dtype, "its index")
    if size % dtype.itemsize:
        raise Problem(
            f"Cannot read {path}: its {size:,} bytes are not whole numbers of {dtype.itemsize}. It was cut off."
        )
    return mapped(path, dtype, 0, size // dtype.itemsize)


def check_size(path: Path, tokens: int, dtype: np.dtype, who: str) -> None:
    """Raise Problem unless a file holds exactly these tokens."""
    size, wanted = path.stat().st_size, tokens * dtype.itemsize
    if size != wanted:
        why = "It was cut off" if size < wanted else "The index is another file's, or of another width"
        raise Problem(f"Cannot read {path}: it has {size:,} bytes, and {who} tells of {wanted:,}. {why}.")


def mapped(path: Path, dtype: np.dtype, offset: int, count: int) -> np.ndarray:
    """Tokens (T,) of a file, memory-mapped; an empty file cannot be."""
    return np.memmap(path, dtype, "r", offset, (count,)) if count else np.zeros(0, dtype)


def checked(file: TokenFile, how: How) -> TokenFile:
    """The file. Raises Problem where a look at some places of it shows tokens of another width or vocabulary, or none
    that ends a document."""
    places = np.linspace(0, max(0, len(file.tokens) - WINDOW), LOOKS).astype(np.int64)
    looked = [np.asarray(file.tokens[place : place + WINDOW]) for place in dict.fromkeys(places.tolist())]
    seen = np.concatenate(looked) if len(file.tokens) else np.zeros(0, np.int64)
    if not len(seen):
        return file
    high = int(seen.max())
    if how.vocabulary is not None and high >= how.vocabulary:
        raise Problem(
            f"Cannot read {file.path}: it has the token {high:,}, and the vocabulary {how.vocabulary:,}. Its tokens "
            "are of another width, or of another tokenizer."
        )
    if seen.dtype.itemsize == 4 and high >= HIGH:
        raise Problem(f"Cannot read {file.path} as uint32: it has the token {high:,}. Its tokens are uint16.")
    if seen.dtype.itemsize == 2 and len(seen) > 1 and seen.any() and max(zeros(looked, 0), zeros(looked, 1)) > EMPTY:
        raise Problem(f"Cannot read {file.path} as uint16: every second number is 0. Its tokens are uint32.")
    if how.end is not None and file.ends is None and not (seen == how.end).any():
        raise Problem(
            f"Cannot read {file.path}: the token {how.end} that ends documents was not met at {len(looked)} places. "
            "Give that of its tokenizer."
        )
    return file


def zeros(looked: Sequence[np.ndarray], parity: int) -> float:
    """The part of every second number, from the first or the second on, that is 0, where not all of both are."""
    found = [one[parity::2] == 0 for one in looked if len(one) > 1 and (one[1 - parity :: 2] != 0).any()]
    return float(np.concatenate(found).mean()) if found else 0.0


def files_of(format: str, patterns: Sequence[str]) -> list[Path]:
    """The files of a domain: of paths, patterns such as /data/web-*.npy, and folders. Raises Problem where one fits
    nothing, and for an unknown format."""
    if format not in FORMATS:
        raise Problem(f"Cannot read {format!r}: the formats are {', '.join(FORMATS)}.")
    found: list[Path] = []
    for pattern in patterns:
        place = Path(pattern).expanduser()
        if place.is_dir():
            fitting = sorted(place.rglob("*" + ENDING[format]))
        elif glob.has_magic(pattern):
            fitting = [Path(one) for one in sorted(glob.glob(str(place), recursive=True))]
        else:
            fitting = [place]
        if not fitting:
            raise Problem(f"Cannot find {pattern!r}: no file of {format} is there. Check the path.")
        found += fitting
    if format == "megatron":  # both files of a pair fit a pattern
        found = [one.with_suffix("") if one.suffix in (".bin", ".idx") else one for one in found]
    return list(dict.fromkeys(found))


def counted(format: str, patterns: Sequence[str], how: How) -> Counted:
    """What a domain's files hold, by their headers and indices. Raises Problem for one that cannot be read."""
    files = tokens = size = 0
    documents: int | None = 0
    for path in files_of(format, patterns):
        one = FORMATS[format](path, how)
        files, tokens, size = files + 1, tokens + len(one.tokens), size + one.tokens.nbytes
        documents = None if documents is None or one.documents is None else documents + one.documents
    return Counted(files, tokens, size, documents)
