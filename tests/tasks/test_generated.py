"""Generated items and those cut from a corpus: right by their rule, and the same for the same seed; the shelf."""

import dataclasses

import numpy as np
import pytest

from benchmarks import task_cost
from engine import corpus as corpora
from engine.core.errors import Problem
from engine.corpus import CorpusSpec
from engine.tasks import outcomes, shelf
from engine.tasks.cut import CUTS, cut
from engine.tasks.generated import GENERATORS, generate
from engine.tasks.task import Item, check_task

SENTENCES = "The {0} of the old house by the river was painted by a very patient {1}. "
CODE = 'def f{0}(x):\n    """Adds {0} to what it is given, and no more."""\n    y = x + {0}\n    return y\n\n\n'


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("text"), np.random.default_rng(0)
    nouns = ["door", "wall", "roof", "painter", "sailor", "window", "garden", "baker"]
    (root / "text" / "prose").mkdir(parents=True)
    (root / "text" / "code").mkdir()
    for k in range(40):
        text = "".join(SENTENCES.format(*rng.choice(nouns, 2)) for _ in range(30))
        (root / "text" / "prose" / f"{k}.txt").write_text(text)
        (root / "text" / "code" / f"{k}.txt").write_text("".join(CODE.format(30 * k + n) for n in range(30)))
    source = {"type": "folder", "path": str(root / "text")}
    corpora.build(CorpusSpec(source=source), root / "corpora" / "own", processes=1)
    return corpora.load(root / "corpora" / "own")


@pytest.mark.parametrize("kind", GENERATORS)
def test_generated_items_are_valid_and_the_same_again(kind):
    task = generate(kind, "mine", 50, 3)
    check_task(task)
    assert task == generate(kind, "mine", 50, 3) != generate(kind, "mine", 50, 4)
    assert len({*map(str, task.items)}) > 40, "hardly any item twice"
    assert len({item.scores.index(1.0) for item in task.items}) == len(task.items[0].choices), (
        "the right one is anywhere"
    )


def test_no_generated_choice_begins_another(corpus):
    """Letter by letter the longer one could never be the likelier one."""
    made = [generate(kind, "m", 200, 0) for kind in GENERATORS]
    made.append(cut(corpus, "prose", "cloze", "c", 100, 0))
    assert [task.notes for task in made] == [[], [], []]
    odd = dataclasses.replace(made[0], items=[Item("? ", choices=["cat", "cattle"], scores=[1, 0]), *made[0].items])
    assert "In 1 of 201 items one choice begins another" in odd.notes[0] == odd.facts()["notes"][0]
    assert dataclasses.replace(odd, metrics=["accuracy_per_byte"]).notes == []


def test_the_benchmark_of_costs_has_its_items():
    assert {len(one.items) for one in task_cost.tasks().values()} == {task_cost.ITEMS}


def test_sums_and_brackets_are_right():
    for item in generate("arithmetic", "a", 100, 0).items:
        assert eval(item.prompt.rstrip("=")) == int(item.gold)
    for item in generate("brackets", "b", 100, 0).items:
        opened = []
        for mark in item.prompt:
            opened.append(mark) if mark in "([{" else opened.pop()
        assert {"(": ")", "[": "]", "{": "}"}[opened[-1]] == item.gold


def test_reasoning_gym_where_it_is_installed():
    pytest.importorskip("reasoning_gym")
    task = generate("gym:chain_sum", "gym", 10, 1)
    check_task(task)
    assert len(task.items) == 10 and all(int(item.gold) is not None for item in task.items)
    with pytest.raises(Problem, match="reasoning-gym's 'nonsense'"):
        generate("gym:nonsense", "gym", 10, 1)


@pytest.mark.parametrize("kind", CUTS)
def test_items_are_cut_from_validation_text_only(kind, corpus):
    domain = "code" if kind == "docstring" else "prose"
    task = cut(corpus, domain, kind, "cut", 20, 0)
    check_task(task)
    whole = corpus.decode(np.asarray(corpus.valid(domain)))
    assert 2 <= len(task.items) <= 20
    assert all(item.text in whole for item in task.items), "prompt and right answer stand there side by side"
    assert task == cut(corpus, domain, kind, "cut", 20, 0) and task.corpus == "own"


def test_items_of_a_private_corpus_are_private(corpus):
    assert cut(dataclasses.replace(corpus, private=True), "prose", "cloze", "t", 5, 0).private


def test_what_cannot_be_made_is_said(corpus):
    for ask, why in (
        (lambda: generate("poems", "t", 5, 0), "the generators are arithmetic"),
        (lambda: generate("arithmetic", "t", 1, 0), "give 2 to"),
        (lambda: generate("arithmetic", "t", 5, -1), "at least 0"),
        (lambda: cut(corpus, "verse", "cloze", "t", 5, 0), "'own' has code, prose"),
        (lambda: cut(corpus, "prose", "rhyme", "t", 5, 0), "choose one of continuation"),
        (lambda: cut(corpus, "prose", "docstring", "t", 5, 0), "holds 0"),
    ):
        with pytest.raises(Problem, match=why):
            ask()


def test_a_task_on_the_shelf_is_never_another(tmp_path):
    task = generate("brackets", "mine", 10, 0)
    shelf.save(tmp_path, task)
    shelf.save(tmp_path, task)
    assert shelf.load(tmp_path, "mine") == task and shelf.names(tmp_path) == ["mine"]
    with pytest.raises(Problem, match="there is one of that name with other items"):
        shelf.save(tmp_path, generate("brackets", "mine", 10, 1))
    with pytest.raises(Problem, match=r"Cannot call a task '\.\./x'"):
        shelf.save(tmp_path, dataclasses.replace(task, name="../x"))
    with pytest.raises(Problem, match="Choose one of mine"):
        shelf.load(tmp_path, "other")
    shelf.file_of(tmp_path, "mine").write_text("{")
    with pytest.raises(Problem, match="Cannot read the task 'mine'"):
        shelf.load(tmp_path, "mine")


def test_answers_are_kept_as_they_were(tmp_path):
    found = {"a": outcomes.Outcome(np.array([1.0, 0.0, np.nan]), ["x", "é" * 900, ""], cut=2)}
    outcomes.save(tmp_path / "answers" / "run.npz", found)
    back = outcomes.load(tmp_path / "answers" / "run.npz")["a"]
    np.testing.assert_array_equal(back.scores, found["a"].scores)
    assert back.answers == ["x", "é" * 500, ""] and (back.cut, back.left_out) == (2, 1)
    with pytest.raises(Problem, match="Cannot read the answers of none"):
        outcomes.load(tmp_path / "none.npz")
