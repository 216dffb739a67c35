"""A sample of a domain's pre-tokenised text: documents drawn at random over all of its files, copied; the rest stays.

Every document is as likely as any other: one is drawn by its number among those of all files, or, where only a token
divides a file, by the block in which it begins. Files come in a random order and each is read once, forwards. A token
is kept as 32 bits (`WIDE`), so a MB holds a quarter of a million. U units (engine/corpus/token_formats/base.py).
"""

import hashlib
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.core.errors import Problem
from engine.corpus.document import Document, Tally
from engine.corpus.layouts import existing
from engine.corpus.token_formats import FORMATS, How, files_of
from engine.corpus.token_formats.base import WIDE, check_ids
from engine.corpus.tokenizers import from_file

LARGE_PIECE, SMALL_PIECE = 1 << 18, 1 << 12  # tokens; longer documents are cut, to the small size where they are few
FEW = 400  # units of a domain: fewer are cut small, and split by piece
ALL = 0.98  # of the units: whoever wants so many gets all


class TokenDocument(Document):
    """A document of tokens: its data are WIDE numbers, one for each."""

    def first(self, size: int) -> bytes:
        return self.data[: max(0, size - size % WIDE.itemsize)]

    def compared(self, data: bytes) -> bytes:
        return data


class Sized(NamedTuple):
    """A file of a domain: where it is, its tokens, and its units."""

    path: Path
    count: int
    units: int


def of_domains(
    domains: Mapping[str, Any], options: Mapping[str, Any], tokenizer: Mapping[str, Any], cap: int
) -> dict[str, Callable[[Tally], Iterator[Document]]]:
    """For each domain, a function that begins to draw its sample. options, tokenizer: of a spec; cap: bytes of each.

    Raises Problem for files that are not there, and for a tokenizer that cannot be used.
    """
    for paths in domains.values():
        files_of(options["format"], patterns_of(paths))
    how = How(options.get("dtype"), options.get("end"), tokenizer.get("vocabulary"), options.get("column"))
    if tokenizer["type"] == "file":
        given = from_file(existing(tokenizer["path"], "the tokenizer"))
        how = how._replace(vocabulary=len(given.token_bytes), end=given.end if how.end is None else how.end)
    return {domain: partial(documents, domain, options, how, cap) for domain in domains}


def patterns_of(paths: Any) -> list[str]:
    """The paths and patterns of a domain. Raises Problem for what is none."""
    found = [paths] if isinstance(paths, str) else paths
    if not isinstance(found, list) or not found or not all(isinstance(one, str) and one for one in found):
        raise Problem(f"Cannot read tokens from {paths!r:.120}. Give a path, or a list of paths, for each domain.")
    return found


def documents(domain: str, options: Mapping[str, Any], how: How, cap: int, tally: Tally) -> Iterator[Document]:
    """Documents of a domain, about `cap` bytes as WIDE numbers. options: of a source (engine/corpus/spec.py).

    How much there is stands in the tally before the first. Raises Problem for files that cannot be read, and where they
    hold no tokens.
    """
    format, paths = options["format"], patterns_of(options["files"][domain])
    seed = [options.get("seed", 0), zlib.crc32(domain.encode())]
    files, divided = sized(format, paths, how)
    tokens, units = sum(one.count for one in files), sum(one.units for one in files)
    tally.files, tally.listed, tally.available_tokens = len(files), None, tokens
    if not tokens:
        raise Problem(f"Cannot use the domain {domain!r}: its files hold no tokens. Leave it out, or name others.")
    if not divided and how.end is None:
        tally.notice(str(files[0].path), "nothing says where its documents end: blocks of it were drawn")
    chosen = drawn(units, cap / WIDE.itemsize * units / tokens, np.random.default_rng([*seed, 0]))
    tally.sampled = len(chosen) < units
    edges = np.cumsum([0, *(one.units for one in files)])
    places = np.split(chosen, np.searchsorted(chosen, edges[1:-1]))
    piece = SMALL_PIECE if units < FEW else LARGE_PIECE
    for number in np.random.default_rng([*seed, 1]).permutation(len(files)):
        tally.files_begun += 1
        if len(places[number]):
            file = FORMATS[format].open(files[number].path, how)
            tally.gave_text(str(file.path))
            for tokens_of_one in file.read(places[number] - edges[number]):
                check_ids(file.path, tokens_of_one, how.vocabulary)
                yield from pieces(tokens_of_one, piece, tally)


def sized(format: str, patterns: Sequence[str], how: How) -> tuple[list[Sized], bool]:
    """A domain's files by their headers, and whether all of them say where documents end."""
    found, divided = [], True
    for path in files_of(format, patterns):
        one = FORMATS[format].open(path, how)
        found.append(Sized(path, one.count, one.units))
        divided &= one.documents is not None
    return found, divided


def drawn(units: int, wanted: float, rng: np.random.Generator) -> np.ndarray:
    """About so many of 0..U-1, each once and rising; all where nearly all are wanted. Memory follows what is drawn, not
    U: there may be billions."""
    count = max(1, math.ceil(wanted))
    if count >= ALL * units:
        return np.arange(units)
    if 4 * count > units:
        return np.sort(rng.permutation(units)[:count])
    found = np.zeros(0, np.int64)
    while len(found) < count:
        found = np.unique(np.concatenate([found, rng.integers(units, size=count)]))
    return np.sort(rng.permutation(found)[:count])


def pieces(tokens: np.ndarray, limit: int, tally: Tally) -> Iterator[Document]:
    """A document as it is kept. Its group is a hash of its tokens, so one that trains or validates does so in every
    sample."""
    tally.cut += len(tokens) > limit
    group = ""
    for start in range(0, len(tokens), limit):
        data = tokens[start : start + limit].astype(WIDE).tobytes()
        if not group or limit == SMALL_PIECE:
            group = hashlib.blake2b(data, digest_size=8).hexdigest()
        yield TokenDocument(group, data)
