"""Compare models' tokens: if two models number them differently, rows of their embeddings mean different tokens.

Reads tokenizer.json (Hugging Face's tokenizers), else vocab.json with added_tokens.json, else vocab.txt. Other kinds,
such as sentencepiece's, count as equal only if their files are identical.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from filecmp import cmp
from pathlib import Path

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.merging.checkpoints.files import table

SHOWN = 5  # tokens in a sentence
LISTED = 1000  # tokens in a report
UNREAD = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tiktoken.model")  # formats that are not read
# Names that say that a number waits for a token: <|reserved_special_token_0|>, <unused3>, <|extra_1|>, <|dummy_2|>, ...
RESERVED = re.compile(r"reserved|unused|placeholder|dummy|extra|special_token_\d|<\W*special\W*\d", re.IGNORECASE)
RULES = ("merges.txt", "added_tokens.json")  # beside vocab.json


@dataclass(frozen=True)
class Difference:
    """How a model's tokens differ from the base's.

    moved: (token, its number here, the base's); extra: (token, number) that the base lacks; lacking: that only the
    base has; renamed: (number, the base's name, the model's) of reserved tokens, which stand in neither. All empty if
    the two are the same. recut: whether their byte-pair merges differ.
    """

    model: str
    file: Path
    base_file: Path
    moved: list[tuple[str, int, int]] = field(default_factory=list)
    extra: list[tuple[str, int]] = field(default_factory=list)
    lacking: list[tuple[str, int]] = field(default_factory=list)
    renamed: list[tuple[int, str, str]] = field(default_factory=list)
    recut: bool = False

    @property
    def same(self) -> bool:
        return not (self.moved or self.extra or self.lacking or self.renamed)

    def rows(self, lead: str) -> list[dict]:
        """What becomes of each token that differs, in the form of `engine.merging.tokens.told`."""
        kinds = [(token, None, None, own, "left out") for token, own in self.extra]
        kinds += [(token, number, number, None, f"that of {lead}") for token, number in self.lacking]
        kinds += [(old, n, n, n, f"each model's own; {self.model} calls it {new!r}") for n, old, new in self.renamed]
        kinds += [(token, there, there, own, "refused: rows meet by number") for token, own, there in self.moved]
        return [
            {"token": token, "number": number, "models": {lead: base, self.model: own}, "row": row}
            for token, number, base, own, row in kinds
        ]

    def to_dict(self) -> dict:
        """Counts, and the first thousand of each kind."""
        kinds = {"moved": self.moved, "extra": self.extra, "lacking": self.lacking, "renamed": self.renamed}
        fields = {name: {"count": len(found), "tokens": found[:LISTED]} for name, found in kinds.items()}
        return {"model": self.model, "file": str(self.file), "same": self.same} | fields


def file_of(folder: Path, kinds: Iterable[str]) -> Path | None:
    """The first existing file of these names in a model's folder."""
    return next((folder / name for name in kinds if (folder / name).is_file()), None)


def tokens_of(file: Path) -> tuple[dict[str, int], list[tuple[str, ...]] | None]:
    """(token -> number, merges of byte-pair encoding or None) of a file. Raises Problem if it is unreadable."""
    try:
        numbers, merges = READERS[file.name](file)
        if not all(isinstance(number, int) for number in numbers.values()):
            raise ValueError("it does not number its tokens")
        pairs = [tuple(one.split(" ") if isinstance(one, str) else one) for one in merges or []]
        return numbers, None if merges is None else pairs
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Problem(f"Cannot read {file}: {error!r}. Copy it again from the model's source.") from error


def has_tokens(folder: Path) -> bool:
    """Whether a folder has a vocabulary of its own."""
    return file_of(folder, (*READERS, *UNREAD)) is not None


def from_tokenizer(file: Path) -> tuple[dict[str, int], list | None]:
    """tokenizer.json: Unigram models list their tokens, others number them."""
    values = table(file.read_bytes())
    numbers = values["model"]["vocab"]
    if isinstance(numbers, list):
        numbers = {token: place for place, (token, *_) in enumerate(numbers)}
    added = {one["content"]: one["id"] for one in values.get("added_tokens", [])}
    return numbers | added, values["model"].get("merges")


def from_vocabulary(file: Path) -> tuple[dict[str, int], list | None]:
    """vocab.json, with added_tokens.json and merges.txt beside it."""
    added, merges = file.with_name("added_tokens.json"), file.with_name("merges.txt")
    numbers = table(file.read_bytes()) | (table(added.read_bytes()) if added.is_file() else {})
    if not merges.is_file():
        return numbers, None
    return numbers, [line for line in lines_of(merges) if line and not line.startswith("#version")]


def from_lines(file: Path) -> tuple[dict[str, int], list | None]:
    """vocab.txt: one token per line."""
    return {token: place for place, token in enumerate(lines_of(file))}, None


def lines_of(file: Path) -> list[str]:
    """The lines of a text file; tokens may be what Unicode calls the end of a line, too."""
    return file.read_text("utf-8").removesuffix("\n").split("\n")


READERS = {"tokenizer.json": from_tokenizer, "vocab.json": from_vocabulary, "vocab.txt": from_lines}


def compared(model: str, folder: Path, base_folder: Path) -> Difference | None:
    """How a model's tokens differ from the base's; None if one of them has no readable vocabulary."""
    file, base_file = file_of(folder, READERS), file_of(base_folder, READERS)
    if file is None or base_file is None:
        return None
    read = [file.name, *(RULES if file.name == "vocab.json" else ())]
    if file.name == base_file.name and all(alike(folder / name, base_folder / name) for name in read):
        return Difference(model, file, base_file)
    (own, merges), (base, base_merges) = tokens_of(file), tokens_of(base_file)
    moved = sorted((token, number, base[token]) for token, number in own.items() if base.get(token, number) != number)
    extra = sorted(((token, n) for token, n in own.items() if token not in base), key=lambda one: one[1])
    lacking = sorted(((token, n) for token, n in base.items() if token not in own), key=lambda one: one[1])
    recut = None not in (merges, base_merges) and merges != base_merges
    taken = {number: token for token, number in lacking if RESERVED.search(token)}
    renamed = [(number, taken[number], token) for token, number in extra if number in taken]
    same = {number for number, *_ in renamed}
    extra, lacking = ([one for one in some if one[1] not in same] for some in (extra, lacking))
    return Difference(model, file, base_file, moved, extra, lacking, renamed, recut)


def alike(file: Path, other: Path) -> bool:
    """Whether two files have the same bytes, or neither exists."""
    there = [one for one in (file, other) if one.is_file()]
    return not there or (len(there) == 2 and cmp(file, other, shallow=False))


def unknown(model: str, folder: Path, base_folder: Path) -> list[str]:
    """A warning if two models have tokenizers that cannot be compared."""
    kinds = (*READERS, *UNREAD)
    file, base_file = file_of(folder, kinds), file_of(base_folder, kinds)
    if file is None and base_file is None:
        return []
    if file is None or base_file is None:
        why = f"{folder if file is None else base_folder} has no tokenizer"
    elif all(alike(folder / name, base_folder / name) for name in UNREAD if name in (file.name, base_file.name)):
        return []
    else:
        why = f"{file} and {base_file} are not the same, and one of them has an unsupported format"
    return [
        f"The tokens of {model} were not compared with the base's: {why}. Make sure that they are numbered identically."
    ]


def refusal(difference: Difference) -> str | None:
    """The refusal of two models whose embedding rows mean different tokens."""
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
        "different tokens. Write `tokenizer: {source: base}` (or union) into the merge file, which puts rows by token, "
        "or leave it out."
    )


def warnings(difference: Difference) -> list[str]:
    """Warnings about harmless differences, and how they are handled."""
    said = []
    if difference.renamed:
        named = listed([f"{new!r} for {old!r}" for _, old, new in difference.renamed], SHOWN)
        said.append(
            f"{difference.model} has names of its own for {len(difference.renamed):,} reserved tokens ({named}): rows "
            "meet by number, and the merge keeps the base's names. For its names, or both, give `tokenizer` with that "
            "model or union as source."
        )
    if difference.extra:
        said.append(
            f"{difference.model} knows {len(difference.extra):,} tokens that the base does not "
            f"({shown(difference.extra)}): the merge takes the base's tokenizer, so they are lost. "
            "`tokenizer: {source: union}` in the merge file keeps them."
        )
    if difference.lacking:
        said.append(
            f"{difference.model} does not know {len(difference.lacking):,} of the base's tokens "
            f"({shown(difference.lacking)}): the base's own rows are used for these."
        )
    if difference.recut:
        said.append(
            f"{difference.model} has the same tokens with other byte-pair merges ({difference.file}): the merge takes "
            f"the base's tokenizer ({difference.base_file})."
        )
    return said


def shown(tokens: list[tuple[str, int]]) -> str:
    """The first few, in quotes."""
    return listed([repr(token) for token, _ in tokens], SHOWN)
