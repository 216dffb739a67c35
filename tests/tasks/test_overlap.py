"""Items that stand in training text: counted where they were planted, and nowhere else."""

import dataclasses

import numpy as np
import pytest

from engine import corpus as corpora
from engine.corpus import CorpusSpec
from engine.tasks import overlap
from engine.tasks.overlap import folded, overlaps
from engine.tasks.task import EvalTask, Item

WORDS = ("river", "lantern", "orchard", "copper", "winter", "harbour", "saddle", "marble", "thistle", "engine")


def prose(rng: np.random.Generator, words: int) -> str:
    return " ".join(f"{rng.choice(WORDS)}{rng.integers(1000)}" for _ in range(words))


@pytest.fixture(scope="module", params=["bytes", "bpe"])
def corpus(request, tmp_path_factory):
    """Two domains whose texts have no window of 48 bytes in common."""
    root, rng = tmp_path_factory.mktemp("text"), np.random.default_rng(0)
    for domain in ("prose", "genes"):
        (root / "text" / domain).mkdir(parents=True)
        for k in range(45):
            text = prose(rng, 200) if domain == "prose" else "".join(rng.choice([*"acgt"], 2000))
            (root / "text" / domain / f"{k}.txt").write_text(text)
    tokenizer = "bytes" if request.param == "bytes" else {"type": "bpe", "vocabulary": 300}
    source = {"type": "folder", "path": str(root / "text")}
    corpora.build(CorpusSpec(source=source, tokenizer=tokenizer), root / "corpora" / "own", processes=1)
    return corpora.load(root / "corpora" / "own")


def asked(*items: Item) -> EvalTask:
    """A task of these items and of twenty that stand nowhere, so that no window is the task's own wording."""
    rng = np.random.default_rng(99)
    return EvalTask("asked", ["exact_match"], [*items, *(Item(prose(rng, 12), [" x1"]) for _ in range(20))], "by hand")


def piece(corpus, domain: str, at: int, size: int) -> str:
    return corpus.decode(np.asarray(corpus.train(domain)))[at : at + size]


def found(task: EvalTask, corpus):
    return overlaps([task], corpus, corpus.domains, lambda place, domain: None)[task.name]


def test_items_are_counted_where_they_stand(corpus):
    text, genes = piece(corpus, "prose", 500, 200), piece(corpus, "genes", 700, 200)
    task = asked(
        Item(text[:150], [text[150:180]]),  # with its answer
        Item(text[:150].upper().replace(" ", "\n  "), [" nothing of the kind"]),  # its prompt only, and as others write
        Item("Which comes next? " + genes[:60], [genes[60:70]]),
        Item(text[60:80], [text[80:96]]),  # 36 bytes: all of it
        Item(text[60:80], [" marble999999999"]),  # as long, and half of it
        Item("2 + 2 = ", ["4"]),  # too short to tell
    )
    there = found(task, corpus)
    assert there.items == 26 and there.untold == [5]
    assert there.domains == {"prose": [0, 1, 3], "genes": [2]}
    assert there.answered["prose"] == [0, 3] and there.answered["genes"] == [2]
    assert there.standing == [0, 1, 2, 3]


def test_what_many_items_share_is_the_tasks_own_wording(corpus):
    """A prompt's beginning that happens to stand in the text marks no item; what only a few share does."""
    start, rng = piece(corpus, "prose", 900, 100), np.random.default_rng(5)
    task = asked(*(Item(f"{start}\n{prose(rng, 10)}", [" x1"]) for _ in range(6)))
    assert found(task, corpus).standing == []
    few = asked(*(Item(f"{start}\n{prose(rng, 10)}", [" x1"]) for _ in range(2)))
    assert found(few, corpus).standing == [0, 1]


def test_chunks_of_text_overlap(corpus, monkeypatch):
    text = piece(corpus, "prose", 300, 4000)
    task = asked(*(Item(text[at : at + 40], [text[at + 40 : at + 60]]) for at in range(0, 3900, 150)))
    whole = found(task, corpus)
    assert len(whole.standing) == 26
    monkeypatch.setattr(overlap, "CHUNK", 97)
    assert found(task, corpus) == whole


def test_validation_text_does_not_count(corpus):
    valid = corpus.decode(np.asarray(corpus.valid("prose")))
    assert found(asked(Item(valid[100:200], [valid[200:220]])), corpus).standing == []


def test_a_long_item_is_found_by_a_passage_of_it(corpus):
    rng, text = np.random.default_rng(3), piece(corpus, "prose", 0, 400)
    long = prose(rng, 5000)
    task = asked(Item(long[:20_000] + text + long[20_000:], [" x1"]))
    assert found(task, corpus).standing == [0]


def test_nothing_is_found_of_a_task_of_short_items(corpus):
    task = EvalTask("sums", ["exact_match"], [Item(f"{k} + 1 =", [str(k + 1)]) for k in range(9)], "by hand")
    there = found(task, corpus)
    assert there.untold == [*range(9)] and there.standing == []
    assert found(dataclasses.replace(task, items=task.items[:2]), corpus).items == 2


def test_case_and_blanks_are_folded():
    assert bytes(folded("A  b\t\nÄ9".encode())) == "a b Ä9".encode()
    assert len(folded(b"")) == 0
