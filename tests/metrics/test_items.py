"""What every metric of tasks promises, on models whose probabilities are known; and each of them by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.corpus.templates import fault_of
from engine.metrics import ITEM_METRICS, Answers, check_tasks, item_metrics, measured, objectives_of, task_values
from engine.metrics.models import question
from engine.studies.score_forecasts import can_link
from engine.tasks.files import from_bytes
from engine.tasks.task import EvalTask, Item, Sampling
from tests.support.parrots import Parrot, speaking

COLOURS = ["red", "blue", "green"]
SHORT = [Item(str(k), choices=["a", "b"], scores=[float(k % 2), float(1 - k % 2)]) for k in range(4)]
QUICK = Sampling(most_tokens=8, samples=3, stop=["\n"])


def task(metric: str = "accuracy", count: int = 12) -> EvalTask:
    """Items that share their choices, so that every metric has what it needs."""
    items = [
        Item(f"The colour of {k} is ", choices=COLOURS, scores=[float(k % 3 == c) for c in range(3)])
        for k in range(count)
    ]
    return EvalTask("colours", [metric], items, "by hand", sampling=QUICK)


def knowing(asked: EvalTask, count: int, sure: float = 5.0) -> Parrot:
    """A model that has read the first `count` items with their answers."""
    return Parrot([item.text + "\n" for item in asked.items[:count]], sure)


@pytest.mark.parametrize("name", ITEM_METRICS)
def test_values_are_finite_with_an_error_and_knowing_is_better(name):
    asked, metric = task(name), ITEM_METRICS[name]
    ignorant, half, whole = (measured(metric, Answers(asked, speaking(knowing(asked, n)))) for n in (0, 6, 12))
    for value, error, scores in (ignorant, half, whole):
        assert value.shape == error.shape == (1,) and np.isfinite([value, error]).all() and error >= 0
        assert scores.shape[:2] == (1, 12)
    assert half[1] > 0, "half of the items differ from the others"
    if name != "calibration_error":  # who guesses evenly is calibrated
        assert whole[0] > half[0] > ignorant[0] if metric.higher_is_better else whole[0] < half[0] < ignorant[0]


@pytest.mark.parametrize("name", ITEM_METRICS)
def test_an_items_score_is_higher_where_it_is_answered_better(name):
    """What pages show of an item, and flips compare, whichever way the metric itself is better."""
    asked = task(name)
    found = task_values(speaking(knowing(asked, 6)), [(asked, item_metrics(asked))], None)
    scores = found.outcomes[0]["colours"].scores
    assert scores[:6].mean() > scores[6:].mean() and (scores >= 0).all() and (scores <= 1).all()


@pytest.mark.parametrize("name", ITEM_METRICS)
def test_an_item_that_does_not_fit_is_left_out_and_counted(name):
    asked = task(name)
    longer = Item("x" * 10, choices=["y" * 300, "z", "w"], scores=[1.0, 0.0, 0.0])
    if name in ("macro_f1", "calibration_error"):
        pytest.skip("labels are short")
    with_it = replace(asked, items=[*asked.items, longer])
    models = speaking(knowing(asked, 6))
    plain, extended = (task_values(models, [(one, item_metrics(one))], None) for one in (asked, with_it))
    assert extended.values == pytest.approx(plain.values)
    assert extended.outcomes[0]["colours"].left_out == 1
    beside = [(asked, item_metrics(asked)), (replace(asked, name="short", items=SHORT), item_metrics(asked))]
    short = speaking(knowing(asked, 6), context=3)
    found = task_values(short, beside, None)
    assert np.isnan(found.values[0, 0]) and np.isfinite(found.values[0, 1]), "the other task is scored"
    told = found.missing(beside)
    assert list(told) == [f"colours {ITEM_METRICS[name].title}"] and [*found.outcomes[0]] == ["short"]
    assert "0 of its 12 items fit" in str(told)
    with pytest.raises(Problem, match="0 of its 12 items fit the context of 3 tokens"):
        check_tasks(beside, short, None)
    assert check_tasks(beside[1:], short, None) == []


def test_a_right_answer_that_is_no_choice_and_does_not_fit_leaves_its_item_out():
    asked = replace(task("answer_bits"), metrics=["accuracy", "answer_bits"])
    long = Item("x", ["z" * 300], choices=["y", "z"], scores=[1.0, 0.0])
    one = replace(asked, items=[*asked.items, long])
    found = task_values(speaking(knowing(asked, 6)), [(one, item_metrics(one))], None)
    assert np.isfinite(found.values).all() and found.outcomes[0]["colours"].left_out == 1


def test_a_prompt_that_is_too_long_loses_its_beginning_and_that_is_counted():
    asked = replace(task(), items=[replace(item, prompt="word " * 50 + item.prompt) for item in task().items])
    found = task_values(speaking(Parrot([]), context=40), [(asked, item_metrics(asked))], None)
    assert found.outcomes[0]["colours"].cut == 12
    assert question(speaking(Parrot([]), context=40), asked.items[0].prompt, "red").ids[-3:] == list(b"red")


def test_a_model_whose_losses_are_no_numbers_has_no_score():
    class Broken(Parrot):
        def logits(self, tokens):
            return super().logits(tokens) * math.nan

    for name in ("accuracy", "answer_bits", "macro_f1"):
        value, error, _ = measured(ITEM_METRICS[name], Answers(task(name), speaking(Broken([]))))
        assert np.isnan(value).all() and np.isnan(error).all()


def by_hand(parrot: Parrot, prompt: str, answer: str) -> float:
    """-log p(answer | prompt) in nats, byte by byte."""
    total, seen = 0.0, prompt.encode()
    for byte in answer.encode():
        known = parrot.known.get(seen)
        weight = math.exp(parrot.sure)
        total -= 0.0 if known is None else (parrot.sure if known == byte else 0.0)
        total += math.log(256) if known is None else math.log(255 + weight)
        seen += bytes([byte])
    return total


def test_choices_bits_labels_and_calibration_equal_a_computation_by_hand():
    asked = task(count=20)
    parrot = knowing(asked, 9, sure=2.0)
    nats = np.array([[by_hand(parrot, item.prompt, choice) for choice in COLOURS] for item in asked.items])
    true = np.arange(20) % 3
    chosen = nats.argmin(1)
    answers = Answers(asked, speaking(parrot))
    np.testing.assert_allclose(answers.nats[0], nats, rtol=1e-5)
    of = lambda name: float(measured(ITEM_METRICS[name], answers)[0][0])  # noqa: E731
    assert of("accuracy") == np.mean(chosen == true)
    size = [len(choice) for choice in COLOURS]
    assert of("accuracy_per_byte") == np.mean((nats / size).argmin(1) == true)
    gold = nats[np.arange(20), true]
    assert of("answer_bits") == pytest.approx(gold.sum() / math.log(2) / sum(size[k] for k in true))
    f1 = [2 * np.sum((chosen == k) & (true == k)) / (np.sum(chosen == k) + np.sum(true == k)) for k in range(3)]
    assert of("macro_f1") == pytest.approx(np.mean(f1))
    sure = (np.exp(-nats) / np.exp(-nats).sum(1, keepdims=True)).max(1)
    place = np.minimum((sure * 10).astype(int), 9)
    gaps = [abs(np.sum((sure - (chosen == true))[place == k])) for k in range(10)]
    assert of("calibration_error") == pytest.approx(sum(gaps) / 20)


def bigbench(score: str, examples: list[dict]) -> EvalTask:
    """A task of BIG-bench's JSON."""
    value = {"metrics": [score], "preferred_score": score, "task_prefix": "Name it.", "examples": examples}
    return from_bytes(json.dumps(value).encode(), "colours")


def test_scores_of_bigbench_equal_a_computation_by_hand():
    """20 items of each of its kinds, their score between chance and the best; half right choices count as half."""
    scores = [dict(zip(COLOURS, np.roll([1, 0.5, 0], k % 3).tolist(), strict=True)) for k in range(20)]
    asked = bigbench(
        "multiple_choice_grade", [{"input": f"thing {k}", "target_scores": own} for k, own in enumerate(scores)]
    )
    parrot = Parrot([item.prompt + item.gold for item in asked.items[:7]], 2.0)
    nats = np.array([[by_hand(parrot, item.prompt, choice) for choice in COLOURS] for item in asked.items])
    reached = np.mean([own[COLOURS[k]] for own, k in zip(scores, nats.argmin(1), strict=True)])
    value, error, _ = measured(ITEM_METRICS["accuracy"], Answers(asked, speaking(parrot)))
    assert value[0] == pytest.approx((reached - 0.5) / (1 - 0.5)) and 0 < value[0] < 1 and error[0] > 0
    written = bigbench("exact_str_match", [{"input": f"thing {k}", "target": COLOURS[k % 3]} for k in range(20)])
    assert written.items[3].prompt == "Name it.\nQ: thing 3\nA: "
    parrot = Parrot([f"{item.prompt}{item.gold}\n" for item in written.items[:13]])
    value, error, _ = measured(ITEM_METRICS["exact_match"], Answers(written, speaking(parrot)))
    assert value[0] == 13 / 20 and error[0] == pytest.approx(np.sqrt(13 / 20 * 7 / 20 / 20), rel=0.2)


def test_tied_choices_are_the_first_one():
    """Who knows nothing chooses the shortest; of equal lengths, the first."""
    items = [Item("?", choices=["ab", "cd"], scores=[0.0, 1.0]), Item("!", choices=["ab", "cd"], scores=[1.0, 0.0])]
    asked = EvalTask("ties", ["accuracy"], items, "by hand")
    assert measured(ITEM_METRICS["accuracy"], Answers(asked, speaking(Parrot([]))))[0] == 0.5


def test_the_answer_shown_is_the_one_scored():
    """Also where two choices differ by rounding alone."""
    items = [Item("?", choices=["ab", "cd"], scores=[1.0, 0.0]), Item("!", choices=["ab", "cd"], scores=[0.0, 1.0])]
    answers = Answers(EvalTask("ties", ["accuracy"], items, "by hand"), speaking(Parrot([])))
    answers.nats = np.array([[[1.0 + 1e-13, 1.0], [2.0, 1.0]]])
    assert answers.chosen() == [["ab", "cd"]]
    np.testing.assert_array_equal(measured(ITEM_METRICS["accuracy"], answers)[2], [[1.0, 1.0]])


@pytest.mark.parametrize(
    ("name", "answer", "score"),
    [
        ("accuracy", "ab", 0.0),
        ("accuracy_per_byte", "abcdefgh", 1.0),
        ("exact_match", "wx", 0.0),
        ("best_of_n", "wx", 0.0),
    ],
)
def test_each_metric_shows_the_answers_that_it_scores(name, answer, score):
    """A short choice is likely as a whole, a long one per byte, and what is written is neither."""
    items = [Item(f"{k}?", choices=["ab", "abcdefgh"], scores=[0.0, 1.0]) for k in range(2)]
    asked = EvalTask("long", [name], items, "by hand", sampling=QUICK)
    models = speaking(Parrot([f"{k}?wx\n" for k in range(2)], sure=50.0))
    found = task_values(models, [(asked, item_metrics(asked))], None)
    assert found.outcomes[0]["long"].answers == [answer] * 2 and found.values == score


def test_any_right_choice_that_is_written_counts():
    items = [Item(f"{k}?", choices=["no", "yes", "sure"], scores=[0.0, 1.0, 1.0]) for k in range(2)]
    asked = EvalTask("polite", ["exact_match"], items, "by hand", sampling=QUICK)
    assert items[0].right == ["yes", "sure"] and items[0].gold == "yes"
    parrot = Parrot(["0?sure\n", "1?no\n"], sure=9.0)
    assert measured(ITEM_METRICS["exact_match"], Answers(asked, speaking(parrot)))[0] == 0.5


def test_generation_stops_where_the_task_says():
    asked = EvalTask(
        "sums", ["exact_match"], [Item("1+1=", ["2"]), Item("2+2=", ["4", "four"])], "by hand", sampling=QUICK
    )
    parrot = Parrot(["1+1=2\nand", "2+2=four\n"], sure=9.0)
    answers = Answers(asked, speaking(parrot))
    assert answers.greedy == [["2", "four"]]
    assert measured(ITEM_METRICS["exact_match"], answers)[0] == 1.0
    assert answers.chosen() == [["2", "four"]]


def test_more_samples_find_more():
    """Best of n rises with n for a model that is not sure."""
    asked = EvalTask("dice", ["best_of_n"], [Item(f"{k}:", [str(k % 10)]) for k in range(40)], "by hand")
    parrot = Parrot([f"{k}:{k % 10}\n" for k in range(40)], sure=5.0)
    one, many = (
        measured(
            ITEM_METRICS["best_of_n"],
            Answers(replace(asked, sampling=Sampling(2, ["\n"], samples=n, temperature=1.0)), speaking(parrot)),
        )[0]
        for n in (1, 16)
    )
    assert 0 < one < many <= 1


def test_normalised_scores_are_between_low_and_high():
    asked = replace(task(), low=1 / 3, high=1.0)
    parrot = knowing(asked, 12)
    value, _, _ = measured(ITEM_METRICS["accuracy"], Answers(asked, speaking(parrot)))
    assert value == pytest.approx(1.0)
    (one,) = objectives_of((), [], [asked])
    assert (one.unit, one.chance, one.items, one.priority) == ("normalised score", pytest.approx(0), 12, 0.0)


def test_what_a_metric_needs_is_said():
    with pytest.raises(Problem, match="needs choices"):
        item_metrics(EvalTask("t", ["accuracy"], [Item("a", ["b"]), Item("c", ["d"])], "by hand"))
    with pytest.raises(Problem, match="Cannot measure 'bleu' on a task: the metrics are accuracy"):
        item_metrics(task("bleu"))
    with pytest.raises(Problem, match="names no metric"):
        item_metrics(replace(task(), metrics=[]))


def test_a_task_and_a_domain_cannot_share_a_column():
    with pytest.raises(Problem, match="'colours accuracy' twice, of a domain and of a task"):
        objectives_of(("accuracy",), ["colours"], [task()])


def test_the_error_covers_what_other_items_would_give():
    """Resampled items: over many draws of 40 items of a known accuracy, 95% intervals hold it about as often."""
    rng, held = np.random.default_rng(0), 0
    items = [Item(f"{k}?", choices=["a", "b"], scores=[1.0, 0.0]) for k in range(40)]
    asked = EvalTask("t", ["accuracy"], items, "by hand")
    for _ in range(100):
        answers = Answers(asked, speaking(Parrot([])))
        right = (rng.random(40) < 0.6)[None, :, None]
        answers.nats = np.where(right, [1.0, 2.0], [2.0, 1.0])
        value, error, _ = measured(ITEM_METRICS["accuracy"], answers)
        held += abs(value[0] - 0.6) <= 1.96 * error[0]
    assert 86 <= held <= 100


def test_only_a_tasks_score_is_told_between_its_low_and_high():
    """A calibration error or bits of answers would be shifted below 0 by the ends of another scale."""
    asked = replace(task(), metrics=["accuracy", "answer_bits"])
    ends = replace(asked, low=0.25, high=1.0)
    plain, units = (objectives_of([], [], [one]) for one in (asked, ends))
    assert units[0].unit == "normalised score" and units[1].unit == plain[1].unit != "normalised score"
    whole, told = (task_values(speaking(knowing(asked, 6)), [(one, item_metrics(one))], None) for one in (asked, ends))
    assert told.values[:, 1] == pytest.approx(whole.values[:, 1])
    assert told.values[:, 0] == pytest.approx((whole.values[:, 0] - 0.25) / 0.75)


@pytest.mark.parametrize("metric", ["exact_match", "best_of_n", "accuracy"])
def test_scores_that_are_a_part_of_the_items_can_be_linked_to_losses(metric):
    (objective,) = objectives_of([], [], [task(metric)])
    assert can_link(objective)


def test_answers_longer_than_what_a_model_writes_are_told_before_the_work(tmp_path):
    long = replace(task("exact_match", 2), items=[Item("a ", ["x" * 9]), Item("b ", ["x" * 9, "y" * 8])])
    models = speaking(Parrot([], 1.0))
    (said,) = check_tasks([(long, item_metrics(long))], models, tmp_path)
    assert "In 1 of 2 items of 'colours' the right answer is longer than the 8 tokens" in said
    for one in (replace(long, metrics=["answer_bits"]), replace(long, sampling=replace(QUICK, most_tokens=9))):
        assert check_tasks([(one, item_metrics(one))], models, tmp_path) == []


@pytest.mark.parametrize("template", ["{{ messages | nothing }}", "{% break %}", "{{ messages"])
def test_a_template_that_cannot_be_run_is_no_template(template):
    assert fault_of(template) and not fault_of("{% for one in messages %}{{ one.content | trim }}{% endfor %}")
