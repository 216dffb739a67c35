"""A task: items that models answer, and the metrics that their answers are scored by. Plain data.

Models choose between an item's `choices` by their probability, or continue its prompt; engine/metrics/ has one file for
each way to score that. I items of up to C choices.
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from engine.core.errors import Problem
from engine.core.records import Record
from engine.core.short_names import counted
from engine.core.workspace import NAME

PER_BYTE, GOLD = "accuracy_per_byte", "answer_bits"  # metrics that the length of choices does not harm
WRITTEN = {"exact_match", "best_of_n"}  # metrics of what a model writes, blanks around it aside
AS_WRITTEN = {"exact", "contains"}  # verifiers that a right answer must be written for
STOPS, UNSPACED = ".,:;?!)]\"'", "\u0e00"  # what a blank follows; scripts from here on (Thai, Chinese) have none
MOST_TOKENS, MOST_SAMPLES, TEMPERATURES = 1000, 256, (0.01, 10.0)  # of answers that models write
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

    def apart(self) -> "Item":
        """The same with a blank before each answer, if the prompt and one of them meet in a word."""
        if not any(glued(self.prompt, text) for text in (*self.choices, *self.answers)):
            return self
        answers, choices = ([spaced(text) for text in texts] for texts in (self.answers, self.choices))
        return replace(self, answers=answers, choices=choices)

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
    become 0 and 1, where its authors report scores so; title: what a harness calls it, where another task has that
    name here."""

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
    title: str | None = None

    @property
    def labels(self) -> list[str]:
        """The choices that all items share, in their order; empty where they differ."""
        first = self.items[0].choices
        return first if all(item.choices == first for item in self.items) else []

    @property
    def notes(self) -> list[str]:
        """What has to be known of its items and their choices, a sentence each."""
        return [*self._repeated(), *self._glued(), *self._beginning(), *self._alike(), *self._ended()]

    @property
    def glued(self) -> int:
        """Of how many items an answer that is scored by its probability follows the prompt as if it went on in the same
        word. Text that was cut from a corpus goes on as it does there."""
        if self.corpus is not None or not {*self.metrics} - WRITTEN:
            return 0
        return sum(any(glued(one.prompt, text) for text in one.choices or [one.gold]) for one in self.items)

    def apart(self) -> "EvalTask":
        """The same with a blank before each answer that would follow its prompt without one."""
        return replace(self, items=[one.apart() for one in self.items])

    def _glued(self) -> list[str]:
        if not (count := self.glued):
            return []
        return [
            f"In {count} of {len(self.items)} items nothing stands between the prompt and an answer, so models read "
            "both as one word, as no text has them. Let each answer begin with a blank, or each prompt end with one, "
            "and add the task again under another name."
        ]

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

    def _alike(self) -> list[str]:
        odd = sum(len({*map(folded, one.choices)}) < len(one.choices) for one in self.items)
        if not odd:
            return []
        return [
            f"In {odd} of {len(self.items)} items two choices differ only in case, in blanks around them, or in how a "
            "letter is encoded, and count as two. Write them alike if they mean the same."
        ]

    @property
    def as_written(self) -> bool:
        """Whether a right answer has to be written as it stands, for some metric."""
        by_rule = "best_of_n" in self.metrics and self.sampling.verifier in AS_WRITTEN
        return "exact_match" in self.metrics or by_rule

    def _ended(self) -> list[str]:
        stops = self.sampling.stop
        odd = [one for one in self.items if all(any(stop in text.strip() for stop in stops) for text in one.right)]
        if not odd or not self.as_written:
            return []
        return [
            f"In {len(odd)} of {len(self.items)} items the right answer holds a text that ends an answer "
            f"({', '.join(map(repr, stops)):.60}), so what a model writes is cut before it is right: it scores 0. Let "
            "right answers do without, or add the task again with other texts that end an answer."
        ]

    def facts(self) -> dict[str, Any]:
        """All but the items, and how many these are."""
        whole = self.to_dict()
        told = {name: value for name, value in whole.items() if name != "items"}
        return told | {"items": len(self.items), "notes": self.notes}


def glued(prompt: str, answer: str) -> bool:
    """Whether a prompt and an answer meet as parts of one word do, in a script that has blanks between words: "is" and
    "green" do, and so do "A:" and "green"; "=" and "4", or "(" and ")", do not."""
    before, after = prompt[-1:], answer[:1]
    return (
        bool(before)
        and before < UNSPACED
        and after < UNSPACED
        and after.isalnum()
        and (before.isalnum() or before in STOPS)
    )


def spaced(text: str) -> str:
    """A text that begins with a blank."""
    return text if text[:1].isspace() else f" {text}"


def folded(text: str) -> str:
    """A text without what people hardly see: case, blanks around it, and of several encodings of a letter one."""
    return unicodedata.normalize("NFC", text).casefold().strip()


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
        raise Problem(
            f"Cannot use {said}: it has {counted(len(task.items), 'item')}, and 2 to {MOST_ITEMS:,} are needed."
        )
    if odd := [
        number for number, item in enumerate(task.items, 1) if bool(item.choices) != bool(task.items[0].choices)
    ]:
        raise Problem(f"Cannot use {said}: of its items 1 and {odd[0]} only one has choices. Make two tasks of it.")
    for number, item in enumerate(task.items, 1):
        if why := fault_of(item):
            raise Problem(f"Cannot use {said}: item {number} {why}. Fix it, or leave it out.")
    _check_written(task, said)
    low_and_high = task.low is not None and task.high is not None
    if (task.low is None) != (task.high is None) or (low_and_high and not task.low < task.high):  # type: ignore[operator]
        raise Problem(
            f"Cannot normalise {said}: its low is {task.low} and its high {task.high}; the high lies above the low."
        )


def _check_written(task: EvalTask, said: str) -> None:
    """Raise Problem where models cannot write the answers of a task (said: what it is called)."""
    if task.as_written and (
        blank := [n for n, one in enumerate(task.items, 1) if any(not x.strip() for x in one.right)]
    ):
        raise Problem(
            f"Cannot use {said}: a right answer of item {blank[0]} is blank, and what a model writes is read without "
            "the blanks around it. Score its choices, or leave that item out."
        )
    one = task.sampling
    if "" in one.stop:
        raise Problem(f"Cannot use {said}: an empty text stops every answer before it begins. Leave it out of `stop`.")
    low, high = TEMPERATURES
    if not (
        1 <= one.most_tokens <= MOST_TOKENS and 1 <= one.samples <= MOST_SAMPLES and low <= one.temperature <= high
    ):
        raise Problem(
            f"Cannot use {said}: answers take 1 to {MOST_TOKENS:,} tokens, 1 to {MOST_SAMPLES} samples and a "
            f"temperature from {low} to {high:g}, and it asks for {one.most_tokens}, {one.samples} and "
            f"{one.temperature:g}."
        )


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
