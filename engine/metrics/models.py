"""What metrics of tasks ask of models: the probability of a text after a prompt, and how they continue a prompt.

Stacks of proxies, merges and external models each say how they do it, and nothing else (engine/proxies/answering.py,
engine/merging/measuring/answering.py). G models are asked at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

Ids = list[int]


class Scored(NamedTuple):
    """What G models say of a row of T tokens, (G, T - 1) each, of every token but the first. nats: its loss; first:
    whether it is the one that a model finds most likely there, so the one that it would generate."""

    nats: np.ndarray
    first: np.ndarray


class Reader(Protocol):
    """How models read a text. context: the most tokens that are seen; begin: the tokens before every text."""

    @property
    def context(self) -> int: ...
    @property
    def begin(self) -> Ids: ...
    def encode(self, text: str) -> Ids: ...


class Models(Reader, Protocol):
    """members: G."""

    @property
    def members(self) -> int: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def nats(self, rows: Sequence[Ids]) -> list[np.ndarray]:
        """The loss of every token but the first of each row, of up to context + 1 tokens: (G, len - 1) each."""

    def scored(self, rows: Sequence[Ids]) -> list[Scored]:
        """The same, and whether each of these tokens is the most likely one."""

    def generate(
        self, rows: Sequence[Ids], tokens: int, temperature: float, seed: int, ends: Callable[[str], bool]
    ) -> list[list[str]]:
        """How each model continues each row: [G][rows], up to `tokens` tokens or until `ends` says so of the text.
        temperature 0: always by the most likely token."""


@dataclass(frozen=True)
class Question:
    """A prompt and an answer as tokens. start: where the answer begins; cut: whether the prompt lost its beginning to
    fit the context; ids is None where even the answer does not fit."""

    ids: Ids | None
    start: int
    cut: bool


def question(models: Reader, prompt: str, answer: str) -> Question:
    """The tokens of an answer after its prompt.

    Where the two meet within a token, as a blank and a word do, that token counts as the answer's.
    """
    before, whole = models.encode(prompt), models.encode(prompt + answer)
    differ = (place for place, (one, other) in enumerate(zip(before, whole, strict=False)) if one != other)
    start = min(next(differ, min(len(before), len(whole))), len(whole) - 1)
    ids, start = [*models.begin, *whole], start + len(models.begin)
    over = max(0, len(ids) - models.context - 1)
    if over >= start or start == 0:
        return Question(None, 0, False)
    return Question(ids[over:], start - over, over > 0)


def nats_of(models: Models, questions: Sequence[Question]) -> np.ndarray:
    """The loss of each answer in nats, (G, Q); NaN where it does not fit the context."""
    found = np.full((models.members, len(questions)), np.nan)
    asked = [place for place, one in enumerate(questions) if one.ids is not None]
    if asked:
        rows = models.nats([questions[place].ids or [] for place in asked])
        for place, nats in zip(asked, rows, strict=True):
            found[:, place] = nats[:, questions[place].start - 1 :].sum(1)
    return found
