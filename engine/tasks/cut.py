"""Items cut from a corpus' own validation text, which no proxy has trained on.

continuation: which of four texts of a domain continues a passage; cloze: the last word of a sentence; docstring: the
body that follows a function's docstring. All by rule; the same seed cuts the same items.
"""

import re
from collections.abc import Callable

import numpy as np

from engine.core.errors import Problem
from engine.corpus.shelf import Corpus
from engine.tasks.generated import shuffled
from engine.tasks.task import EvalTask, Item, begins

PROMPT, ANSWER = 160, 60  # characters of a passage, and of its continuation
READ = 2_000_000  # tokens of a domain's validation text that items are cut from, at most
SENTENCE = re.compile(r"[A-Z][^.!?\n]{30,160} ([A-Za-z]{3,12})[.!?]")
DOCSTRING = re.compile(r'^( *)def \w+\([^)]*\)[^:\n]*:\n\s*"""[^"]{10,200}"""\n((?:\1 +[^\n]+\n){1,4})', re.MULTILINE)


def continuation(text: str, rng: np.random.Generator, count: int) -> list[Item]:
    """Which of four texts of the same domain continues a passage."""
    size = PROMPT + ANSWER
    starts = rng.permutation(max(0, len(text) // size))[: 4 * count] * size
    parts = [text[start : start + size] for start in starts]
    ends = [part[PROMPT:] for part in parts]
    items = []
    for place, part in enumerate(parts):
        others = {ends[k] for k in rng.choice(len(ends), min(8, len(ends)), replace=False) if k != place} - {
            ends[place]
        }
        if len(others) >= 3:
            items.append(shuffled(rng, part[:PROMPT], [ends[place], *sorted(others)[:3]]))
    return items[:count]


def cloze(text: str, rng: np.random.Generator, count: int) -> list[Item]:
    """The last word of a sentence, among the last words of others."""
    found = [(match[0][: match.start(1) - match.start(0)], match[1]) for match in SENTENCE.finditer(text)]
    return among([(before.rstrip(), f" {word}") for before, word in found], rng, count)


def docstring(text: str, rng: np.random.Generator, count: int) -> list[Item]:
    """The body that follows a docstring, among bodies of other functions."""
    found = [(match[0][: match.start(2) - match.start(0)], match[2]) for match in DOCSTRING.finditer(text)]
    return among(found, rng, count)


def among(found: list[tuple[str, str]], rng: np.random.Generator, count: int) -> list[Item]:
    """Items of pairs (a text, what follows it): what follows, among three that follow elsewhere. A text that stands
    there twice is asked once."""
    found = list({before: (before, answer) for before, answer in found}.values())
    answers = sorted({answer for _, answer in found})
    items: list[Item] = []
    for place in rng.permutation(len(found)).tolist():
        before, right = found[place]
        others: list[str] = []
        for one in rng.choice(answers, min(8, len(answers)), replace=False).tolist():
            if not any(begins(one, other) for other in (right, *others[:3])):
                others.append(one)
        others = others[:3]
        if len(others) == 3 and len(items) < count:
            items.append(shuffled(rng, before, [right, *others]))
    return items


CUTS: dict[str, Callable[[str, np.random.Generator, int], list[Item]]] = {
    "continuation": continuation,
    "cloze": cloze,
    "docstring": docstring,
}


def cut(corpus: Corpus, domain: str, kind: str, name: str, count: int, seed: int) -> EvalTask:
    """A task cut from a domain's validation text. Raises Problem where it holds too few such places."""
    if domain not in corpus.domains:
        raise Problem(f"Cannot cut items from {domain!r}: {corpus.name!r} has {', '.join(corpus.domains)}.")
    if kind not in CUTS:
        raise Problem(f"Cannot cut items of {kind!r}: choose one of {', '.join(CUTS)}.")
    corpus.need_text("cut items")
    text = corpus.decode(np.asarray(corpus.valid(domain)[:READ]))
    items = CUTS[kind](text, np.random.default_rng(seed), count)
    if len(items) < 2:
        raise Problem(
            f"Cannot cut items of {kind!r} from {domain!r}: its validation text of {len(text):,} characters holds "
            f"{len(items)}. Choose another domain or kind."
        )
    return EvalTask(
        name,
        ["accuracy", "answer_bits"],
        items,
        f"{kind} of {domain}'s validation text in {corpus.name}, {len(items)} items, seed {seed}",
        corpus=corpus.name,
        private=corpus.private,
    )
