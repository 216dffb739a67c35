"""Tokens of a model, and where two models number them differently: the rows of their embeddings then mean other things.

Reads tokenizer.json (Hugging Face's tokenizers), else vocab.json with added_tokens.json, else vocab.txt.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Problem

SHOWN = 5  # tokens in a sentence
LISTED = 1000  # tokens in a report


@dataclass(frozen=True)
class Difference:
    """How a model's tokens differ from the base's.

    moved: (token, its number here, the base's); extra: (token, number) that the base lacks; lacking: that only the
    base has. All empty where the two are the same.
    """

    model: str
    file: Path
    base_file: Path
    moved: list[tuple[str, int, int]]
    extra: list[tuple[str, int]]
    lacking: list[tuple[str, int]]

    @property
    def same(self) -> bool:
        return not (self.moved or self.extra or self.lacking)

    def to_dict(self) -> dict:
        """Counts, and the first thousand of each kind."""
        kinds = {"moved": self.moved, "extra": self.extra, "lacking": self.lacking}
        told = {name: {"count": len(found), "tokens": found[:LISTED]} for name, found in kinds.items()}
        return {"model": self.model, "file": str(self.file), "same": self.same} | told


def tokens_of(folder: Path) -> tuple[dict[str, int], Path] | None:
    """(token -> number, the file that says so) of a model's folder; None where it has no vocabulary."""
    for name, read in READERS.items():
        file = folder / name
        if file.is_file():
            try:
                found = read(file)
                if not all(isinstance(number, int) for number in found.values()):
                    raise ValueError("it does not number its tokens")
                return found, file
            except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
                raise Problem(f"Cannot read {file}: {error!r}. Copy it again from the model's source.") from error
    return None


def has_tokens(folder: Path) -> bool:
    """Whether a folder has a vocabulary of its own."""
    return any((folder / name).is_file() for name in READERS)


def from_tokenizer(file: Path) -> dict[str, int]:
    """tokenizer.json: Unigram models list their tokens, others number them."""
    told = json.loads(file.read_text())
    vocabulary = told["model"]["vocab"]
    if isinstance(vocabulary, list):
        vocabulary = {token: place for place, (token, *_) in enumerate(vocabulary)}
    return vocabulary | {one["content"]: one["id"] for one in told.get("added_tokens", [])}


def from_vocabulary(file: Path) -> dict[str, int]:
    """vocab.json, and what added_tokens.json beside it adds."""
    added = file.with_name("added_tokens.json")
    return json.loads(file.read_text()) | (json.loads(added.read_text()) if added.is_file() else {})


def from_lines(file: Path) -> dict[str, int]:
    """vocab.txt: a token a line."""
    return {token: place for place, token in enumerate(file.read_text().splitlines())}


READERS = {"tokenizer.json": from_tokenizer, "vocab.json": from_vocabulary, "vocab.txt": from_lines}


def compared(model: str, folder: Path, base_folder: Path) -> Difference | None:
    """How a model's tokens differ from the base's; None where one of them has no vocabulary."""
    here, there = tokens_of(folder), tokens_of(base_folder)
    if here is None or there is None:
        return None
    (own, file), (base, base_file) = here, there
    moved = sorted((token, number, base[token]) for token, number in own.items() if base.get(token, number) != number)
    extra = sorted(((token, n) for token, n in own.items() if token not in base), key=lambda one: one[1])
    lacking = sorted(((token, n) for token, n in base.items() if token not in own), key=lambda one: one[1])
    return Difference(model, file, base_file, moved, extra, lacking)


def refusal(difference: Difference) -> str | None:
    """Why the two cannot be merged: rows of their embeddings mean different tokens."""
    taken = {number: token for token, number in difference.lacking}
    clashing = [(token, number) for token, number in difference.extra if number in taken]
    if difference.moved:
        token, here, there = difference.moved[0]
        which = f"the token {token!r} is number {here}, and {there} in {difference.base_file}"
        count = len(difference.moved)
    elif clashing:
        token, number = clashing[0]
        which = f"number {number} is the token {token!r}, and {taken[number]!r} in {difference.base_file}"
        count = len(clashing)
    else:
        return None
    more = f" ({count:,} tokens in all)" if count > 1 else ""
    return (
        f"Cannot merge {difference.model}: in {difference.file} {which}{more}. Rows of the embeddings would mix "
        "different tokens. Put its embeddings into the base's order first, or leave it out."
    )


def warnings(difference: Difference) -> list[str]:
    """What differs without harm, and what will be done about it."""
    said = []
    if difference.extra:
        said.append(
            f"{difference.model} knows {len(difference.extra):,} tokens that the base does not "
            f"({shown(difference.extra)}): the merge takes the base's tokenizer, so they are lost."
        )
    if difference.lacking:
        said.append(
            f"{difference.model} does not know {len(difference.lacking):,} of the base's tokens "
            f"({shown(difference.lacking)}): for these it has nothing to say."
        )
    return said


def shown(tokens: list[tuple[str, int]]) -> str:
    """The first few, in quotes."""
    names = ", ".join(repr(token) for token, _ in tokens[:SHOWN])
    return f"{names}, ..." if len(tokens) > SHOWN else names
