"""A built corpus on disk, opened: memory-mapped token shards and their manifest."""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.corpus.shards import shard_type
from engine.corpus.spec import VERSION
from engine.corpus.tokenizers import UNREAD, BytePairs, Bytes, Ids, from_file, only_ids, raw_bytes


@dataclass(frozen=True)
class Corpus:
    """A corpus, open for reading.

    name: its folder's; manifest: see engine/corpus/manifest.py; tokenizer: encodes and decodes; private: none of its
    text may be shown.
    """

    name: str
    folder: Path
    manifest: dict
    tokenizer: Bytes | BytePairs | Ids
    private: bool = False

    @property
    def domains(self) -> list[str]:
        """The D domains, in the order of every list of shares and losses."""
        return list(self.manifest["domains"])

    @property
    def vocabulary(self) -> int:
        """V: token ids are 0 to V - 1, and from V on where one is read and never predicted (shards.py)."""
        return len(self.tokenizer.token_bytes)

    @cached_property
    def token_bytes(self) -> np.ndarray:
        """The bytes that a token of a shard has to predict: (2 V,); 0 from V on.

        Where only ids are known, a token counts as 1/ln 2 bytes: what is bits per byte otherwise then comes out as nats
        per token, as the study's units say (engine/spec/objectives.py).
        """
        own = self.tokenizer.token_bytes if self.has_text else self.tokenizer.token_bytes / math.log(2)
        return np.concatenate([own, np.zeros_like(own)])

    @property
    def has_text(self) -> bool:
        """Whether its tokens stand for text; not where only their ids are known."""
        return not isinstance(self.tokenizer, Ids)

    def need_text(self, what: str) -> None:
        """Raise Problem unless its tokens stand for text; what: cannot be done without."""
        if not self.has_text:
            raise Problem(f"Cannot {what} of the corpus {self.name!r}. {UNREAD}")

    def train(self, domain: str) -> np.memmap:
        """The training tokens of a domain: (T,), unsigned."""
        return self._shard(domain, "train")

    def valid(self, domain: str) -> np.memmap:
        """The validation tokens of a domain: (T,), unsigned."""
        return self._shard(domain, "valid")

    def examples(self, domain: str) -> list[str]:
        """Beginnings of some validation documents."""
        return self.manifest["domains"][domain]["examples"]

    def decode(self, tokens: np.ndarray) -> str:
        """The text of token ids."""
        return self.tokenizer.decode(np.asarray(tokens, np.int64) % self.vocabulary)

    def parts(self, tokens: np.ndarray) -> list[tuple[str, bool]]:
        """The text of tokens of a shard, in parts that are predicted and that are not: (text, whether)."""
        predicted = np.asarray(tokens) < self.vocabulary
        edges = np.flatnonzero(np.diff(predicted)) + 1
        runs = zip(np.split(np.asarray(tokens), edges), np.split(predicted, edges), strict=True)
        return [(self.decode(run), bool(own[0])) for run, own in runs if len(run)]

    def answers_only(self, domain: str) -> bool:
        """Whether only a part of a domain's text is predicted: what a model says in conversations."""
        return has_answers(self.manifest["domains"][domain])

    def _shard(self, domain: str, side: str) -> np.memmap:
        return np.memmap(
            self.folder / domain / f"{side}.bin", shard_type(self.vocabulary, self.answers_only(domain)), "r"
        )


def has_answers(facts: dict) -> bool:
    """Whether a domain of a manifest holds conversations, of which only answers are predicted."""
    return bool(facts.get("conversations"))


def load(folder: Path) -> Corpus:
    """Open a corpus. Raises Problem when there is none, it is from a newer Mixdesk, or a shard is damaged."""
    manifest = read_manifest(folder)
    tokenizer: Bytes | BytePairs | Ids = raw_bytes()
    if manifest["tokenizer"]["type"] == "ids":
        tokenizer = only_ids(manifest["tokenizer"]["vocabulary"])
    elif manifest["tokenizer"]["type"] != "bytes":
        tokenizer = from_file(folder / "tokenizer.json")
    for domain, facts in manifest["domains"].items():
        width = shard_type(len(tokenizer.token_bytes), has_answers(facts)).itemsize
        for side in ("train", "valid"):
            shard, expected = folder / domain / f"{side}.bin", facts[f"{side}_tokens"] * width
            size = shard.stat().st_size if shard.exists() else 0
            if size != expected:
                raise Problem(
                    f"Cannot use the corpus {folder.name!r}: {domain}/{side}.bin has {size:,} bytes and "
                    f"should have {expected:,}. It was damaged after it was built. "
                    f"Delete the folder {folder} and build it again."
                )
    return Corpus(folder.name, folder, manifest, tokenizer, bool(manifest["spec"].get("private")))


def read_manifest(folder: Path) -> dict:
    """The manifest of a built corpus. Raises Problem when there is none that this version can read."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        version = manifest["version"]
    except FileNotFoundError:
        raise Problem(
            f"Cannot open the corpus {folder.name!r}: there is none in {folder.parent}. Build it first."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(
            f"Cannot open the corpus {folder.name!r}: its manifest.json is damaged ({error}). "
            f"Delete the folder {folder} and build it again."
        ) from error
    if version != VERSION:
        raise Problem(
            f"Cannot open the corpus {folder.name!r}: its format is {version!r}, and this Mixdesk reads "
            f"{VERSION}. Use the Mixdesk that built it, or build it again under another name."
        )
    return manifest
