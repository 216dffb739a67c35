"""Which items of a task stand in training text: where a model may have learned an answer by heart.

An item stands in a domain where any 48 bytes of its prompt and right answer stand there in a row, or all of it where it
is shorter (but for 24 bytes at least): letters in lower case, runs of blanks as one. That is the 50 characters of
GPT-4's report (arXiv:2303.08774, appendix C), as bytes: the 13 words of GPT-3 (arXiv:2005.14165, appendix C) are none
in DNA, molecules, code, or scripts without blanks, and miss short questions. Both count a common phrase, too, so the
counts are upper bounds. What more than a tenth of the items share is the task's own wording, of which no more than half
of the bytes may be. I items, W windows.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.corpus.hashing import window_hashes
from engine.corpus.leak import WINDOW, occurring
from engine.corpus.shelf import Corpus, load
from engine.jobs.spool import Job
from engine.spec.kinds.overlap import OverlapCounted, OverlapTask, TaskOverlap
from engine.tasks import shelf
from engine.tasks.task import EvalTask, Item

SHORTEST = 24  # bytes of an item below which nothing is said: so much stands in any text by chance
MOST = 2000  # windows of one item: a longer one is looked at in even steps
OWN = 0.1  # of the items: what more of them share is the task's own wording
CHUNK, AROUND = 1_000_000, 256  # tokens of training text at once, and those of the next that are read with them
BLANK = 32

FOLDED = np.arange(256, dtype=np.uint8)
FOLDED[65:91] += BLANK  # A to Z
FOLDED[9:14] = BLANK  # tabs and ends of lines


def folded(data: bytes) -> np.ndarray:
    """(N,) uint8 of what is compared: letters of ASCII in lower case, every run of blanks as one."""
    found = FOLDED[np.frombuffer(data, np.uint8)]
    blank = found == BLANK
    kept: np.ndarray = found[~(blank & np.concatenate([[False], blank[:-1]]))]
    return kept


@dataclass(frozen=True)
class Windows:
    """The windows of one length of a task's items. hashes, answer, item (W,): each window's hash, whether it reaches
    into the right answer, and the place of its item; needed (I,): how many of an item's must stand in a text."""

    hashes: np.ndarray
    answer: np.ndarray
    item: np.ndarray
    needed: np.ndarray


@dataclass(frozen=True)
class Looked:
    """What of one item is looked for: windows of `length` bytes of its text (`size` bytes). hashes, starts (w,): of
    each; answer: where the right answer begins."""

    length: int
    size: int
    hashes: np.ndarray
    starts: np.ndarray
    answer: int


def windows_of(task: EvalTask) -> dict[int, Windows]:
    """The windows of a task's items, by their length in bytes; an item has windows of one length, or none."""
    looked = {place: found for place, item in enumerate(task.items) if (found := _of_item(item)) is not None}
    made = {}
    for length in sorted({one.length for one in looked.values()}):
        own = {place: one for place, one in looked.items() if one.length == length}
        hashes, count = np.unique(np.concatenate([np.unique(one.hashes) for one in own.values()]), return_counts=True)
        wording = hashes[count > max(1, math.floor(OWN * len(task.items)))]
        parts = [_told(one, wording) for one in own.values()]
        places = np.repeat(list(own), [len(one) for one, _ in parts])
        left = np.bincount(places, minlength=len(task.items))
        needed = np.minimum(left, 1) if length == WINDOW else left
        hashes, answer = (np.concatenate(column) for column in zip(*parts, strict=True))
        made[length] = Windows(hashes, answer, places, needed)
    return made


def _of_item(item: Item) -> Looked | None:
    """What of an item is looked for; None if it is too short.

    Of a long one windows at even steps; of a short one those at both its ends, which hold all of it.
    """
    text = folded(item.text.encode())
    if len(text) < SHORTEST:
        return None
    length = min(WINDOW, len(text) // 8 * 8)
    last = len(text) - length
    step = max(1, math.ceil(last / MOST)) if length == WINDOW else max(1, last)
    starts = np.unique(np.append(np.arange(0, last + 1, step), last))
    answer = len(text) - len(folded(item.gold.encode()))
    return Looked(length, len(text), window_hashes(text, length, starts), starts, answer)


def _told(one: Looked, wording: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of an item's windows, each once, of which half or more is none of the task's own wording (sorted
    hashes of windows), and whether each reaches into the right answer."""
    shared = one.starts[np.isin(one.hashes, wording)]
    covered = np.zeros(one.size + 1, int)
    np.add.at(covered, shared, 1)
    np.add.at(covered, shared + one.length, -1)
    before = np.concatenate([[0], (covered.cumsum()[:-1] > 0).cumsum()])  # bytes of wording before each place
    kept = 2 * (before[one.starts + one.length] - before[one.starts]) <= one.length
    hashes, group = np.unique(one.hashes[kept], return_inverse=True)
    reaches = one.starts[kept] + one.length > one.answer
    return hashes, np.bincount(group, weights=reaches, minlength=len(hashes)) > 0


def text_of(corpus: Corpus, domain: str) -> Iterator[np.ndarray]:
    """The training text of a domain as it is compared, in chunks that overlap."""
    tokens = corpus.train(domain)
    for start in range(0, len(tokens), CHUNK):
        yield folded(corpus.decode(np.asarray(tokens[start : start + CHUNK + AROUND])).encode())


def overlap(task: EvalTask, own: dict[int, Windows], seen: dict[str, dict[int, np.ndarray]]) -> TaskOverlap:
    """The items that stand in each domain. own: `windows_of` the task; seen: domain -> length -> the sorted hashes of
    that length that stand in its text."""
    told = np.zeros(len(task.items), bool)
    standing, answered = {}, {}
    for length in own:
        told[own[length].item] = True
    for domain, there in seen.items():
        inside, reached = np.zeros((2, len(task.items)), bool)
        for length, windows in own.items():
            hit = np.isin(windows.hashes, there[length])
            count = np.bincount(windows.item[hit], minlength=len(task.items))
            whole = (windows.needed > 0) & (count >= windows.needed)
            inside |= whole
            reached[windows.item[hit & windows.answer]] |= whole[windows.item[hit & windows.answer]]
        standing[domain], answered[domain] = np.flatnonzero(inside).tolist(), np.flatnonzero(reached).tolist()
    return TaskOverlap(
        items=len(task.items), untold=np.flatnonzero(~told).tolist(), domains=standing, answered=answered
    )


def overlaps(
    tasks: Sequence[EvalTask], corpus: Corpus, domains: Sequence[str], tell: Callable[[int, str], None]
) -> dict[str, TaskOverlap]:
    """What of each task stands in the training text of each domain. Reads the text once for each length of window.

    tell(place, domain): is told each domain before it is read.
    """
    own = {task.name: windows_of(task) for task in tasks}
    wanted = {
        length: np.unique(np.concatenate([found[length].hashes for found in own.values() if length in found]))
        for length in sorted({length for found in own.values() for length in found})
    }
    seen: dict[str, dict[int, np.ndarray]] = {}
    for place, domain in enumerate(domains):
        seen[domain] = {}
        for length, hashes in wanted.items():
            tell(place, domain)
            seen[domain][length] = hashes[occurring(text_of(corpus, domain), hashes, length)] if len(hashes) else hashes
    return {task.name: overlap(task, own[task.name], seen) for task in tasks}


def run(job: Job) -> None:
    """The background job of an OverlapTask. Raises Problem where a task, or a domain of the corpus, is missing."""
    asked = job.task(OverlapTask)
    corpus = load(job.workspace / "corpora" / asked.corpus)
    if missing := [domain for domain in asked.domains if domain not in corpus.domains]:
        raise Problem(f"Cannot look into {missing[0]!r}: the corpus has {', '.join(corpus.domains)}. Choose of these.")
    found = overlaps(
        shelf.loaded(job.workspace, asked.tasks),
        corpus,
        asked.domains,
        lambda place, domain: job.progress(place, len(asked.domains), f"looking for items in {domain}"),
    )
    settings = {"corpus": asked.corpus, "tasks": asked.tasks, "domains": asked.domains, "window": WINDOW}
    tasks = {name: one.to_dict() for name, one in found.items()}
    job.emit(OverlapCounted(study=asked.study, settings=settings, found={"tasks": tasks}))
