"""A task: items that models answer, and the metrics that their answers are scored by. Plain data.

Models choose between an item's `choices` by their probability, or continue its prompt; engine/metrics/ has one file for
each way to score that. I items of up to C choices.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from engine.core.errors import Problem
from engine.core.records import Record
from engine.core.workspace import NAME

PER_BYTE, GOLD = "accuracy_per_byte", "answer_bits"  # metrics that the length of choices does not harm
MOST_ITEMS, MOST_CHOICES, LONGEST = 20_000, 100, 100_000  # of a task, of an item, and characters of one text


@dataclass(frozen=True)
class Item(Record):
    """prompt: what the model sees; answers: the right ones, any of which counts (the bits of the first are measured);
    choices: what it chooses from, with the score of each, 1 for a right one and 0 for a wrong one."""

    prompt: str
    answers: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    @property
    def right(self) -> list[str]:
        """The answers that count: those that are given, else the choices of the highest score."""
        best = max(self.scores, default=0)
        return self.answers or [text for text, score in zip(self.choices, self.scores, strict=True) if score == best]

    @property
    def gold(self) -> str:
        """The answer whose bits are measured: the first right one."""
        return self.right[0]

    @property
    def text(self) -> str:
        """All of it that a training text could hold: the prompt and its answer."""
        return self.prompt + self.gold


@dataclass(frozen=True)
class Sampling(Record):
    """How models continue a prompt. most_tokens: at most so many; stop: texts that end an answer; samples: answers for
    each item at a temperature; verifier: what scores a sample (engine/metrics/verifiers.py)."""

    most_tokens: int = 32
    stop: list[str] = field(default_factory=lambda: ["\n"])
    samples: int = 8
    temperature: float = 0.8
    verifier: str = "exact"


@dataclass(frozen=True)
class EvalTask(Record):
    """name: as studies call it; metrics: names of engine.metrics.ITEM_METRICS; source: where its items are from, in
    words; corpus: whose text they are cut from; private: none of its text may be shown; low, high: the scores that
    become 0 and 1, where its authors report scores so."""

    name: str
    metrics: list[str]
    items: list[Item]
    source: str
    description: str = ""
    corpus: str | None = None
    private: bool = False
    sampling: Sampling = field(default_factory=Sampling)
    low: float | None = None
    high: float | None = None

    @property
    def labels(self) -> list[str]:
        """The choices that all items share, in their order; empty where they differ."""
        first = self.items[0].choices
        return first if all(item.choices == first for item in self.items) else []

    @property
    def notes(self) -> list[str]:
        """What has to be known of its items and their choices, a sentence each."""
        return [*self._repeated(), *self._beginning()]

    def _repeated(self) -> list[str]:
        asked = Counter((item.prompt, *sorted(item.choices)) for item in self.items)
        if not (again := sum(asked.values()) - len(asked)):
            return []
        return [
            f"Of {len(self.items)} items {again} repeat another one, in question and choices. Each counts: leave them "
            "out unless they are meant."
        ]

    def _beginning(self) -> list[str]:
        ordered = (sorted(item.choices) for item in self.items)  # a text and its longer forms are neighbours
        odd = sum(any(begins(one, other) for one, other in pairwise(choices)) for choices in ordered)
        if not odd or not {*self.metrics} - {PER_BYTE, GOLD}:
            return []
        return [
            f"In {odd} of {len(self.items)} items one choice begins another. A model that reads letter by letter can "
            "never find the longer one likelier, so where that is right it misses it. Let all choices end alike, such "
            f"as by a full stop, or score them by {PER_BYTE}."
        ]

    def facts(self) -> dict[str, Any]:
        """All but the items, and how many these are."""
        whole = self.to_dict()
        told = {name: value for name, value in whole.items() if name != "items"}
        return told | {"items": len(self.items), "notes": self.notes}


def begins(one: str, other: str) -> bool:
    """Whether one of two texts is the beginning of the other."""
    return one.startswith(other) or other.startswith(one)


def check_task(task: EvalTask) -> None:
    """Raise Problem for a task that cannot be measured, with the item that is at fault."""
    said = f"the task {task.name!r}"
    if not NAME.fullmatch(task.name):
        raise Problem(
            f"Cannot call a task {task.name!r}: use the letters a to z and A to Z, digits, dots, dashes and "
            "underscores, 64 at most, and begin with a letter or digit."
        )
    if not 2 <= len(task.items) <= MOST_ITEMS:
        raise Problem(f"Cannot use {said}: it has {len(task.items)} items, and 2 to {MOST_ITEMS:,} are needed.")
    if odd := [
        number for number, item in enumerate(task.items, 1) if bool(item.choices) != bool(task.items[0].choices)
    ]:
        raise Problem(f"Cannot use {said}: of its items 1 and {odd[0]} only one has choices. Make two tasks of it.")
    for number, item in enumerate(task.items, 1):
        if why := fault_of(item):
            raise Problem(f"Cannot use {said}: item {number} {why}. Fix it, or leave it out.")
    one = task.sampling
    if "" in one.stop:
        raise Problem(f"Cannot use {said}: an empty text stops every answer before it begins. Leave it out of `stop`.")
    if not (1 <= one.most_tokens <= 1000 and 1 <= one.samples <= 256 and 0.01 <= one.temperature <= 10):
        raise Problem(
            f"Cannot use {said}: answers take 1 to 1,000 tokens, 1 to 256 samples and a temperature from 0.01 to "
            f"10, and it asks for {one.most_tokens}, {one.samples} and {one.temperature:g}."
        )
    if (task.low is None) != (task.high is None) or (task.low is not None and task.low == task.high):
        raise Problem(f"Cannot normalise {said}: its low is {task.low} and its high {task.high}; give two that differ.")


def fault_of(item: Item) -> str | None:
    """Why an item cannot be measured, in words; None if it can."""
    texts = [item.prompt, *item.answers, *item.choices]
    if not item.answers and not item.choices:
        return "has no right answer"
    if max(map(len, texts)) > LONGEST:
        return f"has a text of {max(map(len, texts)):,} characters, and {LONGEST:,} are allowed"
    if half := next((text for text in texts if text != text.encode("utf-8", "ignore").decode()), None):
        return f"has the text {half!r:.60}, of which a part is no Unicode (half of a surrogate pair)"
    if any(not text.strip() for text in item.answers) or "" in item.choices:
        return "has an empty answer"
    if len(item.choices) != len(item.scores):
        return f"has {len(item.choices)} choices and {len(item.scores)} scores"
    if not item.choices:
        return None
    if not 2 <= len(item.choices) <= MOST_CHOICES:
        return f"has {len(item.choices)} choices, and 2 to {MOST_CHOICES} are needed"
    if twice := [choice for choice, count in Counter(item.choices).items() if count > 1]:
        return f"has the choice {twice[0]!r:.60} twice"
    if len({*item.scores}) == 1:
        return "has no right answer: all of its choices have one score"
    return None
