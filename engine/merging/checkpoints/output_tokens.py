"""The tokens of a merge whose tokenizer is asked for: the union of its models', one model's, and tokens by name.

Numbers are those that loaders give, which is not always what tokenizer.json says: an added token whose number is
taken, or lies past a gap, gets the next free one. So files are read, and the result written, by the loaders' library.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import AddedToken, Tokenizer

from engine.core.errors import Problem
from engine.merging.checkpoints.files import table
from engine.merging.checkpoints.vocabulary import READERS, file_of, shown, tokens_of

FILE, CONFIG = "tokenizer.json", "tokenizer_config.json"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
LEGACY = "added_tokens.json"


@dataclass(frozen=True)
class Known:
    """A model's tokens: folder: of its tokenizer; numbers: token -> number; added: those added to the vocabulary, in
    order; notes: what its files say otherwise."""

    folder: Path
    numbers: dict[str, int]
    added: list[AddedToken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class OutputTokens:
    """The result's tokens. folder: whose tokenizer files it takes; numbers: token -> row; rows: of its embeddings;
    text: of tokenizer.json where tokens joined or left, else None; joined: the tokens that the folder's do not have."""

    folder: Path
    numbers: dict[str, int]
    rows: int
    text: str | None
    joined: list[AddedToken]

    def files(self, found: dict[str, bytes]) -> dict[str, bytes]:
        """The tokenizer's files, from those of its folder by name; tokens that joined stand in all that list any."""
        if self.text is None:
            return found
        found = found | {FILE: self.text.encode()}
        entries = {str(self.numbers[one.content]): entry_of(one) for one in self.joined}
        if CONFIG in found and "added_tokens_decoder" in (settings := table(found[CONFIG])):
            settings["added_tokens_decoder"] |= entries
            found[CONFIG] = json.dumps(settings, indent=2, ensure_ascii=False).encode()
        if LEGACY in found:
            more = {one.content: self.numbers[one.content] for one in self.joined}
            found[LEGACY] = json.dumps(table(found[LEGACY]) | more, indent=2, ensure_ascii=False).encode()
        return found


def known_tokens(folder: Path) -> Known | None:
    """A model's tokens as loaders number them; None if it has no vocabulary that can be read."""
    file = file_of(folder, READERS) if folder.is_dir() else None
    if file is None:
        return None
    if file.name != FILE:
        return Known(folder, tokens_of(file)[0])
    tokenizer = opened(folder)
    numbers, added = tokenizer.get_vocab(), tokenizer.get_added_tokens_decoder()
    said = {one["content"]: one["id"] for one in table(file.read_bytes()).get("added_tokens", [])}
    other = [(token, number) for token, number in said.items() if numbers.get(token) != number]
    notes = []
    if other:
        token, number = other[0]
        notes.append(
            f"{file} gives {shown(other)} numbers that are taken or leave a gap ({token!r}: {number}); loaders number "
            f"them otherwise ({numbers[token]}), and so does the merge."
        )
    return Known(folder, numbers, [added[number] for number in sorted(added)], notes)


def opened(folder: Path) -> Tokenizer:
    """The tokenizer of a folder, with the tokens that tokenizer_config.json adds. Raises Problem if it is damaged."""
    try:
        tokenizer = Tokenizer.from_file(str(folder / FILE))
        beside = folder / CONFIG
        decoder = table(beside.read_bytes()).get("added_tokens_decoder", {}) if beside.is_file() else {}
        for _, entry in sorted(decoder.items(), key=lambda one: int(one[0])):
            if tokenizer.token_to_id(entry["content"]) is None:
                tokenizer.add_tokens([AddedToken(entry["content"], **{key: entry.get(key, False) for key in FLAGS})])
        return tokenizer
    except Exception as error:  # the library raises bare ones
        why = f"{error}"[:200]
        raise Problem(f"Cannot read the tokenizer of {folder}: {why}. Copy its files again.") from error


def entry_of(one: AddedToken) -> dict:
    """An added token as files list it."""
    return {"content": one.content} | {key: getattr(one, key) for key in FLAGS}


def united(lead: Known, lead_rows: int, others: list[tuple[Known, int]], names: Iterable[str]) -> OutputTokens:
    """The lead's tokens with their numbers, then the others' plain tokens, their added ones, and those of `names`.

    Tokens without a row (numbers past their model's rows) are left out. As in mergekit, plain tokens of other models
    join as added ones: they are cut out of a text before byte-pair merges are made. Raises Problem if the lead's
    tokens cannot be added to.
    """
    plain: dict[str, AddedToken] = {}
    added: dict[str, AddedToken] = {}
    for known, rows in [(lead, lead_rows), *others]:
        own = {one.content for one in known.added}
        for token, number in sorted(known.numbers.items(), key=lambda one: one[1]):
            if number < rows and token not in own and token not in lead.numbers:
                plain.setdefault(token, AddedToken(token))
        added |= {
            one.content: one for one in known.added if known.numbers[one.content] < rows and one.content not in added
        }
    wanted = [one for token, one in plain.items() if token not in added] + list(added.values())
    return extended(lead, lead_rows, [*wanted, *(AddedToken(token) for token in names)])


def extended(lead: Known, rows: int | None, wanted: list[AddedToken]) -> OutputTokens:
    """One model's tokens with more behind them. rows: tokens past so many are left out; None: all are kept."""
    left_out = [token for token, number in lead.numbers.items() if rows is not None and number >= rows]
    joined = [one for one in wanted if one.content not in lead.numbers or one.content in left_out]
    kept = {one.content for one in lead.added}
    registered = [one for one in wanted if one.content in lead.numbers and one.content not in kept]
    if not (left_out or joined or registered):
        return OutputTokens(lead.folder, lead.numbers, 1 + max(lead.numbers.values()), None, [])
    if not (lead.folder / FILE).is_file():
        raise Problem(
            f"Cannot add tokens to the tokenizer of {lead.folder}: it has no {FILE}. Save it with transformers, which "
            "writes one."
        )
    tokenizer = without(opened(lead.folder), set(left_out), lead.folder)
    for one in [*joined, *registered]:
        tokenizer.add_tokens([one])
    text = tokenizer.to_str(pretty=True)
    numbers = Tokenizer.from_str(text).get_vocab()
    return OutputTokens(lead.folder, numbers, 1 + max(numbers.values()), text, [*joined, *registered])


def without(tokenizer: Tokenizer, tokens: set[str], folder: Path) -> Tokenizer:
    """A tokenizer without some of its tokens. Raises Problem where its vocabulary cannot be shortened."""
    if not tokens:
        return tokenizer
    values = json.loads(tokenizer.to_str())
    model = values["model"]
    values["added_tokens"] = [one for one in values["added_tokens"] if one["content"] not in tokens]
    listed = model["vocab"] if isinstance(model["vocab"], dict) else [one[0] for one in model["vocab"]]
    if inside := tokens & set(listed):
        if model["type"] != "BPE":
            raise Problem(
                f"Cannot merge the tokens of {folder}: {len(inside):,} of them have no row in its embeddings "
                f"({shown([(one, 0) for one in sorted(inside)])}), and its {model['type']} vocabulary cannot be "
                "shortened. Resize its embeddings to its tokens first."
            )
        model["vocab"] = {token: number for token, number in model["vocab"].items() if token not in tokens}
        pairs = [(pair.split(" ") if isinstance(pair, str) else pair) for pair in model["merges"]]
        model["merges"] = [pair for pair in pairs if not tokens & {*pair, "".join(pair)}]
    return Tokenizer.from_str(json.dumps(values))
