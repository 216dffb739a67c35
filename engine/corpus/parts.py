"""The first half of a build: one domain's documents, read once, stored on disk with the data for the rest.

A part is a folder: `text.bin` (the documents one after another), `documents.npz` (where each ends, its exact
hash, MinHash signature, group and side, and where context stands), and `part.json`, written last: a part that has it is
finished and is not read again by the next attempt. Memory holds the arrays (about 300 bytes a document), never the
text.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine.core.files import write_json, write_text
from engine.corpus.dedup import exact_hash, signature
from engine.corpus.document import Document, Tally, salted_hash

SIDES = {"": 0, "train": 1, "valid": 2}


@dataclass(frozen=True)
class Part:
    """A domain as read: N documents.

    ends: (N,) where each document ends in `text`; hashes: (N,) uint64; signatures: (N, 64) uint32;
    groups: (N,) int64, hashes that order the split; sides: (N,) uint8, of SIDES; context: (K, 2) the ranges of `text`,
    in order, that are read and never predicted; tally: what was met.
    """

    text: np.ndarray
    ends: np.ndarray
    hashes: np.ndarray
    signatures: np.ndarray
    groups: np.ndarray
    sides: np.ndarray
    context: np.ndarray
    tally: Tally

    @property
    def starts(self) -> np.ndarray:
        """Where each document begins: (N,)."""
        return np.concatenate([[0], self.ends])[:-1]

    @property
    def sizes(self) -> np.ndarray:
        """Bytes of each document: (N,)."""
        return np.diff(self.ends, prepend=0)

    def document(self, index: int) -> bytes:
        """The bytes of one document."""
        start = self.ends[index - 1] if index else 0
        return self.text[start : self.ends[index]].tobytes()

    def context_of(self, index: int) -> np.ndarray:
        """The ranges of one document's bytes that are context, (k, 2)."""
        start = self.ends[index - 1] if index else 0
        first, last = np.searchsorted(self.context[:, 0], [start, self.ends[index]])
        return self.context[first:last] - start

    @property
    def is_tokens(self) -> bool:
        """Whether its documents are tokens (engine/corpus/token_samples.py), not text."""
        return self.tally.available_tokens is not None

    @property
    def available(self) -> int | None:
        """Bytes of text that there would be without the cap: what was read, scaled by what was not."""
        if self.tally.listed is None or not self.tally.read:
            return None
        return max(len(self.text), round(len(self.text) * self.tally.listed / self.tally.read))


def write_part(
    folder: Path, documents: Iterator[Document], tally: Tally, cap: int, progress: Callable[[int], None]
) -> None:
    """Read documents until `cap` bytes are there; `progress(bytes so far)` is called after each."""
    folder.mkdir(parents=True, exist_ok=True)
    ends, hashes, signatures, groups, sides, context = [], [], [], [], [], []
    size, blank = 0, Counter[str]()
    with open(folder / "text.bin", "wb") as text:
        for document in documents:
            data = document.first(cap - size)
            compared = document.compared(data)
            if not compared:
                blank[document.group.rpartition("#")[0] or document.group] += 1
                continue
            text.write(data)
            context += [(size + a, size + min(b, len(data))) for a, b in document.context if a < len(data)]
            size += len(data)
            ends.append(size)
            hashes.append(exact_hash(compared))
            signatures.append(signature(compared))
            groups.append(salted_hash("split", document.group))
            sides.append(SIDES[document.side])
            progress(size)
            if size > cap - 4:  # no room for another character
                break
        else:
            tally.whole = not tally.sampled
    for name, count in blank.items():
        tally.skip(name, f"{count:,} of its texts hold nothing but blanks", count)
    np.savez(
        folder / "documents.npz",
        ends=np.array(ends, np.int64),
        hashes=np.array(hashes, np.uint64),
        signatures=np.array(signatures, np.uint32).reshape(len(ends), -1),
        groups=np.array(groups, np.int64),
        sides=np.array(sides, np.uint8),
        context=np.array(context, np.int64).reshape(-1, 2),
    )
    write_json(folder / "part.json", asdict(tally))


def is_finished(folder: Path) -> bool:
    """Whether an earlier attempt read this domain to its end."""
    return (folder / "part.json").exists()


def forget_changed(folder: Path, files: list[Path]) -> None:
    """Remove what an earlier attempt read of a domain if its files are others now, and remember which they are: who
    puts right what stopped a build is not told of it again, and no corpus holds what its files no longer do."""
    state = hashlib.sha256()
    for path in sorted(files):
        now = path.stat() if path.exists() else None
        state.update(
            f"{path}\0{now and (now.st_size, now.st_mtime_ns, now.st_ino)}\0".encode("utf-8", "surrogateescape")
        )
    said = folder.with_name(f".{folder.name}.files")
    if said.exists() and said.read_text() == state.hexdigest():
        return
    shutil.rmtree(folder, ignore_errors=True)
    said.parent.mkdir(parents=True, exist_ok=True)
    write_text(said, state.hexdigest())


def read_part(folder: Path) -> Part:
    """Open a finished part; the text is memory-mapped."""
    with np.load(folder / "documents.npz", allow_pickle=False) as arrays:
        values = dict(arrays)
    path = folder / "text.bin"
    text = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
    return Part(text=text, **values, tally=Tally(**json.loads((folder / "part.json").read_text())))
