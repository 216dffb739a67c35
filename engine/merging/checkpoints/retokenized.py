"""Models whose embeddings and heads have the rows of the merge's tokens, token by token.

A model's own row of a token comes first. Where it has none: by a rule for that token, else (as in mergekit) the base's
row, the only model's that knows it, or the mean of those that know it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.checkpoints.adapters import Adapted
from engine.merging.checkpoints.aligned import Aligned
from engine.merging.checkpoints.files import table
from engine.merging.checkpoints.output_tokens import Known, OutputTokens
from engine.merging.checkpoints.reader import HEAD, SHARED, Checkpoint, Stored, resized
from engine.merging.checkpoints.tying import TOKENS
from engine.merging.token_rules import Rule
from engine.spec.stacks import layer_of

BIAS = re.compile(r"(?:^|\.)(?:lm_head|predictions(?:\.decoder)?)\.bias$")

SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")  # keys of config.json


@dataclass(frozen=True)
class Filling:
    """Rows that models lack: number -> [(model, its row)], whose mean it is; none of them: zeros. forced: those that
    stand in for the models' own, too."""

    rows: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    forced: frozenset[int] = frozenset()


@dataclass
class Vocabulary:
    """The merge's tokens and every model's part in them. known: by model; own: model -> (rows,) its row for each of the
    merge's, -1 for none."""

    output: OutputTokens
    rows: int
    known: dict[str, Known]
    own: dict[str, np.ndarray]
    rules: dict[str, Rule]
    base: str | None
    models: dict[str, "Retokenized"] = field(default_factory=dict)

    @cached_property
    def used(self) -> np.ndarray:
        """(rows,) whether a token has this number."""
        found = np.zeros(self.rows, bool)
        found[list(self.output.numbers.values())] = True
        return found

    def renumbered(self, settings: dict, reference: str) -> dict:
        """A model's config with the merge's numbers of its special tokens, by their text; where another model's
        tokenizer was asked for, with those of that model's config.json."""
        tokens = {number: token for token, number in self.known[reference].numbers.items()}
        folder, found = self.output.folder, dict(settings)
        named = folder / "config.json"
        theirs = table(named.read_bytes()) if folder != self.known[reference].folder and named.is_file() else {}
        for key in [key for key in SPECIAL if settings.get(key) is not None]:
            own = settings[key] if isinstance(settings[key], list) else [settings[key]]
            new = [self.output.numbers[tokens[one]] for one in own if tokens.get(one) in self.output.numbers]
            found[key] = theirs.get(key, new if isinstance(settings[key], list) else new[0] if new else None)
        return found

    def filling(self, group: tuple[str, ...]) -> Filling:
        """Where the models of a slice get the rows that they lack. Raises Problem for a rule that cannot be kept."""
        rows, forced = {}, set()
        own = np.array([self.own[name] for name in group])
        lacked = (own < 0).any(axis=0)
        for token, number in self.output.numbers.items():
            rule = self.rules.get(token, Rule())
            if not lacked[number] and not rule.force:
                continue
            knowing = [(name, int(row)) for name, row in zip(group, own[:, number], strict=True) if row >= 0]
            rows[number] = self.source(token, rule, knowing, group)
            forced |= {number} if rule.force else set()
        return Filling(rows, frozenset(forced))

    def source(self, token: str, rule: Rule, knowing: list[tuple[str, int]], group: tuple[str, ...]) -> list:
        """The rows whose mean is a token's. knowing: the models that have it, and their rows."""
        if rule.kind == "zero":
            return []
        if rule.kind == "mean":
            return knowing
        if rule.kind is None:
            return [one for one in knowing if one[0] == self.base] or knowing
        if rule.model not in group:
            raise Problem(
                f"Cannot take the row of {token!r} from {rule.model}: it is not merged there. Name one of "
                f"{', '.join(group)}."
            )
        if rule.kind == "model":
            found = [one for one in knowing if one[0] == rule.model]
            if not found:
                raise Problem(f"Cannot take the row of {token!r} from {rule.model}: it does not know that token.")
            return found
        number = rule.number if rule.token is None else self.known[rule.model].numbers.get(rule.token, -1)
        if not 0 <= number < self.models[rule.model].height:
            named = f"the token {rule.token!r}" if rule.token is not None else f"a row {number:,}"
            raise Problem(f"Cannot take {named} of {rule.model} for {token!r}: it has none.")
        return [(rule.model, number)]


class Retokenized:
    """A model in a merge whose tokens are the merge's; used like a `Checkpoint`.

    height: rows of its own embeddings; reference: its name in the merge file; filling: of a tensor, by its name.
    """

    difference, longer = None, 0

    def __init__(
        self,
        model: Checkpoint | Adapted | Aligned,
        reference: str,
        vocabulary: Vocabulary,
        filling: Callable[[str], Filling],
    ):
        self.model, self.reference, self.vocabulary, self.filling = model, reference, vocabulary, filling
        self.path, self.home, self.files = model.path, model.home, model.files
        self.layers, self.is_tied = model.layers, model.is_tied
        self.stacks, self.notes = model.stacks, list(model.notes)
        self.height = height_of(model)
        self.changed = by_token(model, self.height)

    @cached_property
    def config(self) -> dict | None:
        """The model's config.json with the merge's rows and numbers of special tokens."""
        if self.model.config is None:
            return None
        sized = resized(self.model.config, self.height, self.vocabulary.rows)
        return self.vocabulary.renumbered(sized, self.reference)

    @property
    def heads(self) -> dict[str, str]:
        return self.model.heads if isinstance(self.model, Aligned) else {}

    @property
    def held(self) -> int:
        """Bytes of memory to access the tensors: those with one row per token are copied."""
        stored = [self.model.tensors[name] for name in self.changed]
        return self.model.held + max(
            (self.vocabulary.rows * max(1, one.size // max(1, self.height)) * 4 for one in stored), default=0
        )

    @cached_property
    def tensors(self) -> dict[str, Stored]:
        """The model's tensors, with the merge's rows."""
        found = dict(self.model.tensors)
        for name in self.changed:
            found[name] = replace(found[name], shape=(self.vocabulary.rows, *found[name].shape[1:]))
        return found

    def flat(self, name: str) -> Tensor:
        """A tensor's elements (n,), token by token in the merge's order."""
        if name not in self.changed:
            return self.model.flat(name)
        mine = self.by_row(name)
        filling, own = self.filling(name), self.vocabulary.own[self.reference]
        averaged = any(len(sources) > 1 for sources in filling.rows.values()) or not self.vocabulary.used.all()
        found = torch.zeros(self.vocabulary.rows, mine.shape[1], dtype=torch.float32 if averaged else mine.dtype)
        there = own >= 0
        there[list(filling.forced)] = False
        numbers = torch.from_numpy(np.flatnonzero(there))
        found[numbers] = mine[torch.from_numpy(own[there])].to(found.dtype)
        for number, row in self.filled(name, filling, there).items():
            found[number] = row.to(found.dtype)
        used = torch.from_numpy(self.vocabulary.used)
        found[~used] = found[used].mean(dim=0)  # rows of no token, as others pad (Hewitt 2021)
        return found.view(-1)

    def by_row(self, name: str) -> Tensor:
        """A tensor of its own (rows, columns)."""
        return self.model.flat(name).view(self.height, -1)

    def filled(self, name: str, filling: Filling, there: np.ndarray) -> dict[int, Tensor]:
        """The rows that come from elsewhere, in fp32, but for those that stay zero. there: (rows,) its own."""
        wanted = {number: rows for number, rows in filling.rows.items() if rows and not there[number]}
        named = dict.fromkeys(other for rows in wanted.values() for other, _ in rows)
        others = {other: self.vocabulary.models[other] for other in named}
        if lacking := [other for other, model in others.items() if name not in model.changed]:
            raise Problem(
                f"Cannot merge {name!r}: rows of some tokens come from {lacking[0]}, which has no such tensor."
            )
        matrices = {other: model.by_row(name) for other, model in others.items()}
        return {
            number: torch.stack([matrices[other][row].float() for other, row in rows]).mean(dim=0)
            for number, rows in wanted.items()
        }

    def culprit(self, name: str) -> Path:
        """The file responsible for a tensor's invalid values."""
        return self.model.culprit(name)


def height_of(model: Checkpoint | Adapted | Aligned) -> int:
    """Rows of a model's token embeddings. Raises Problem if it has none."""
    for name, one in model.tensors.items():
        if layer_of(name) < 0 and TOKENS.search(name) and not HEAD.search(name) and len(one.shape) == 2:
            return one.shape[0]
    raise Problem(
        f"Cannot merge the tokens of {model.path}: it has no token embeddings. Leave `tokenizer` out of the merge file."
    )


def by_token(model: Checkpoint | Adapted | Aligned, height: int) -> list[str]:
    """The model's tensors with one row per token."""
    return [
        name
        for name, one in model.tensors.items()
        if layer_of(name) < 0 and one.shape[:1] == (height,) and (SHARED.search(name) or BIAS.search(name))
    ]
