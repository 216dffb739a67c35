"""Stacks answer items as each of their members alone does, whatever is asked beside them."""

import numpy as np
import pytest
import torch

from engine.corpus.shelf import Corpus
from engine.corpus.tokenizers import raw_bytes
from engine.merging.measuring.answering import LogitModels
from engine.metrics import ITEM_METRICS, item_metrics, task_values
from engine.proxies.answering import StackModels
from engine.proxies.model import Stack
from engine.spec.fidelity import Fidelity
from engine.tasks.generated import generate
from engine.tasks.task import EvalTask, Item, Sampling

CORPUS = Corpus("own", None, {"domains": {}}, raw_bytes())


def stacked(seeds: list[int]) -> Stack:
    """Members whose matrices are not at their start, where all of them predict the same."""
    made = Stack(Fidelity(context=32), 256, seeds)
    made.flat += 0.3 * made.flat.roll(1, 1)
    return made


@pytest.fixture(scope="module")
def models():
    return StackModels(stacked([1, 2, 3]), CORPUS)


def alone(models: StackModels, g: int) -> LogitModels:
    """One member, by its logits."""
    predict = lambda tokens: models.stack.forward(tokens.expand(models.members, -1, -1))[g]  # noqa: E731
    return LogitModels(predict, models.encode, models.decode, models.begin, models.context, "cpu")


def test_losses_of_rows_of_any_length_are_those_of_one_member_alone(models):
    rng = np.random.default_rng(0)
    rows = [[10, *rng.integers(256, size=rng.integers(1, 32)).tolist()] for _ in range(30)]
    together = models.nats(rows)
    for g in range(3):
        for own, one in zip(together, alone(models, g).nats(rows), strict=True):
            np.testing.assert_allclose(own[g], one[0], rtol=1e-4, atol=1e-5)


def test_the_most_likely_token_is_the_one_that_would_be_generated(models):
    rng = np.random.default_rng(1)
    rows = [[10, *rng.integers(256, size=length).tolist()] for length in (1, 5, 31)]
    for row, (nats, first), own in zip(rows, models.scored(rows), models.nats(rows), strict=True):
        np.testing.assert_array_equal(nats, own)
        for place in range(1, len(row)):
            logits = models.next_logits([[row[:place]]] * models.members)[:, 0]  # (G, V)
            chosen = logits.argmax(-1).tolist()
            (again,) = models.scored([[*row[:place], chosen[0]]])
            assert again.first[0, -1] and first[:, place - 1].tolist() == [one == row[place] for one in chosen]
    for g in range(3):
        for own, one in zip(models.scored(rows), alone(models, g).scored(rows), strict=True):
            assert own.first[g].tolist() == one.first[0].tolist()


def test_members_generate_as_they_would_alone(models):
    rows = [[10, *b"one"], [10, *(b"a longer beginning that fills the whole context")], [10]]
    ends = lambda text: len(text) >= 3  # noqa: E731
    together = models.generate(rows, 6, 0.0, 0, lambda text: False)
    for g in range(3):
        assert together[g] == alone(models, g).generate(rows, 6, 0.0, 0, lambda text: False)[0]
    assert all(len(text.encode()) >= 3 for own in models.generate(rows, 6, 0.0, 0, ends) for text in own)


@pytest.mark.parametrize("tokens", [4, 60], ids=["kept", "read again"])
def test_a_member_that_diverged_takes_nothing_from_the_others(models, tokens):
    """A refused merge, or a run whose weights are no numbers, says something; what others draw stays as it is."""
    broken = StackModels(stacked([1, 2, 3]), CORPUS)
    broken.stack.flat[1] = torch.nan
    asked = [[10, 97], [10, 98, 99]]
    whole, own = (one.generate(asked, tokens, 0.8, 0, lambda text: False) for one in (models, broken))
    assert [own[0], own[2]] == [whole[0], whole[2]] and len(own[1]) == 2


def test_draws_follow_the_seed(models):
    one, same, other = (models.generate([[10]] * 5, 4, 1.0, seed, lambda text: False) for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize("name", ITEM_METRICS)
def test_every_metric_measures_a_stack_as_its_members(name, models):
    items = [Item(f"{k}?", choices=["ab", "cd"], scores=[k % 2, 1 - k % 2]) for k in range(6)]
    task = EvalTask("t", [name], items, "by hand", sampling=Sampling(3, samples=1))
    asked = [(task, item_metrics(task))]
    together = task_values(models, asked, None)
    assert together.values.shape == together.errors.shape == (3, 1) and len(together.outcomes) == 3
    if name != "best_of_n":  # whose draws differ between stacks
        for g in range(3):
            np.testing.assert_allclose(task_values(alone(models, g), asked, None).values[0], together.values[g], 1e-4)


def test_what_is_asked_beside_changes_nothing(models):
    small, large = (generate("brackets", "b", count, 0) for count in (20, 60))
    assert small.items == large.items[:20]
    few, many = (task_values(models, [(one, item_metrics(one))], None).outcomes[0]["b"] for one in (small, large))
    assert few.answers == many.answers[:20]
