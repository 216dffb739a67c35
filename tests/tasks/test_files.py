"""Tasks from files: BIG-bench's JSON, choices, completions and labelled texts; and what is wrong with others."""

import json
import math
from dataclasses import replace

import pytest

from engine.core.errors import Problem
from engine.tasks.files import from_bytes, from_file
from engine.tasks.task import Item, Sampling, check_task

BIGBENCH = {
    "name": "colours",
    "description": "Which colour",
    "metrics": ["multiple_choice_grade"],
    "preferred_score": "multiple_choice_grade",
    "task_prefix": "Answer.",
    "examples": [
        {"input": "grass", "target_scores": {"green": 1, "red": 0}},
        {"input": "blood", "target_scores": {"green": 0, "red": 1, "blue": 0.25}},
    ],
}


def lines(*rows: dict) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def test_bigbench_choices():
    task = from_bytes(json.dumps(BIGBENCH).encode(), "colours")
    check_task(task)
    shown = {"Answer.\nQ: grass\n  choice: green\n  choice: red\nA: "}
    shown |= {"Answer.\nQ: grass\n  choice: red\n  choice: green\nA: "}
    assert task.items[0].prompt in shown
    own = {**BIGBENCH, "choice_prefix": "\n- "}
    assert "\n- green" in from_bytes(json.dumps(own).encode(), "colours").items[0].prompt
    bare = from_bytes(json.dumps({**BIGBENCH, "append_choices_to_input": False}).encode(), "colours")
    assert bare.items[0].prompt == "Answer.\nQ: grass\nA: "
    with pytest.raises(Problem, match="append_choices_to_input is 'no'"):
        from_bytes(json.dumps({**BIGBENCH, "append_choices_to_input": "no"}).encode(), "colours")
    assert task.items[1].scores == [0.0, 1.0, 0.25] and task.items[1].gold == "red"
    assert task.metrics == ["accuracy"]
    assert (task.low, task.high) == (pytest.approx((0.5 + 1.25 / 3) / 2), 1.0)


@pytest.mark.parametrize(
    ("scores", "metric", "ends"),
    [
        ([{"a": 5, "b": 0}, {"a": 0, "b": 10}], "multiple_choice_grade", (3.75, 7.5)),
        ([{"a": -1, "b": 1}, {"a": 0, "b": 0.5}], "multiple_choice_grade", (0.125, 1.0)),
        ([{"a": 5, "b": 0}, {"a": 0, "b": 10, "c": 1}], "exact_str_match", ((1 / 2 + 1 / 3) / 2, 1.0)),
    ],
)
def test_bigbench_scores_of_any_scale_are_higher_where_they_are_better(scores, metric, ends):
    examples = [{"input": "?", "target_scores": one} for one in scores]
    task = from_bytes(json.dumps({"examples": examples, "metrics": [metric]}).encode(), "t")
    check_task(task)
    assert (task.low, task.high) == pytest.approx(ends)
    with pytest.raises(Problem, match="Cannot normalise"):
        check_task(replace(task, low=1.25, high=1.0))


def test_bigbench_generation_with_its_own_prefixes():
    value = {
        "preferred_score": "exact_str_match",
        "metrics": ["exact_str_match", "bleu"],
        "example_input_prefix": "",
        "example_output_prefix": " = ",
        "examples": [{"input": "1+1", "target": "2"}, {"input": "2+2", "target": ["4", "four"]}],
    }
    task = from_bytes(json.dumps(value).encode(), "sums")
    assert [item.prompt for item in task.items] == ["1+1 = ", "2+2 = "]
    assert task.metrics == ["exact_match"] and task.items[1].answers == ["4", "four"] and task.low == 0.0


@pytest.mark.parametrize(
    ("row", "scores"),
    [
        ({"question": "?", "choices": ["a", "b"], "answer": 1}, [0, 1]),
        ({"prompt": "?", "options": ["x", "y"], "answer": "B"}, [0, 1]),
        ({"ctx": "", "context": "?", "endings": ["x", "y"], "label": "0"}, [1, 0]),
        ({"question": "?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}, [0, 1]),
        ({"query": "?", "choices": ["1", "0"], "answer": "1"}, [1, 0]),
        ({"input": "?", "candidates": ["x", "y", "z"], "answers": ["x", "z"]}, [1, 0, 1]),
    ],
)
def test_choices_by_text_letter_and_place(row, scores):
    task = from_bytes(lines(row, row), "t")
    assert task.items[0].scores == scores and task.items[0].prompt == "?" and "accuracy" in task.metrics


def test_labelled_texts_choose_between_all_labels():
    rows = [{"text": f"text {k}", "label": "good" if k % 2 else "bad"} for k in range(10)]
    task = from_bytes(json.dumps(rows).encode(), "t")
    assert task.labels == ["bad", "good"] and task.metrics == ["accuracy", "macro_f1", "calibration_error"]


def test_labels_that_begin_alike_are_told_apart():
    """ "no" begins "nominal": each is scored whole, so the shorter one is not chosen for being a beginning."""
    rows = [{"text": f"text {k}", "label": "no" if k % 2 else "nominal"} for k in range(10)]
    task = from_bytes(json.dumps(rows).encode(), "t")
    assert task.labels == ["no", "nominal"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " "])
def test_unicode_of_any_kind_and_any_ends_of_lines(encoding, end):
    """Also objects over several lines, one after another, as tools print them."""
    rows = [{"prompt": "Wo?\u2028", "answer": "hier"}, {"prompt": "où ?", "answer": "là"}]
    for indent in (None, 1):
        text = end.join(json.dumps(row, ensure_ascii=False, indent=indent) for row in rows)
        items = from_bytes(text.encode(encoding), "t").items
        assert [(item.prompt, item.answers) for item in items] == [(row["prompt"], [row["answer"]]) for row in rows]


def test_items_that_repeat_others_are_counted():
    task = from_bytes(lines(*[{"prompt": "a ", "answer": "b"}] * 3, {"prompt": "b ", "answer": "b"}), "t")
    assert ["Of 4 items 2 repeat another one" in note for note in task.notes] == [True]
    assert from_bytes(lines({"prompt": "a ", "answer": "b"}, {"prompt": "b ", "answer": "b"}), "t").notes == []


@pytest.mark.parametrize(
    ("answers", "count"),
    [(["one\ntwo", "one "], 1), (["\none\n", "one"], 0), (["one\ntwo", "one\n\n## 2"], 2)],
)
def test_right_answers_that_are_cut_before_they_are_right_are_told(answers, count):
    task = from_bytes(lines(*({"prompt": f"{k} ", "answer": one} for k, one in enumerate(answers))), "t")
    said = f"In {count} of 2 items the right answer holds a text that ends an answer ('\\n')"
    assert any(said in note for note in task.notes) is bool(count)
    several = replace(task, items=[Item("?", [answers[0], "one"])] * 2)
    drawn = replace(task, metrics=["best_of_n"], sampling=Sampling(verifier="last_number"))
    other = replace(task, sampling=Sampling(stop=["END"]))
    for one in (several, drawn, other, replace(task, metrics=["answer_bits"])):
        assert not any("ends an answer" in note for note in one.notes)


@pytest.mark.parametrize(
    ("other", "alike"), [("\u0065\u0301t\u00e9", 1), ("\u00c9T\u00c9", 1), ("\u00e9t\u00e9 ", 1), ("ete", 0)]
)
def test_labels_that_look_the_same_are_told(other, alike):
    task = from_bytes(lines(*({"text": f"{k}: ", "label": [other, "\u00e9t\u00e9"][k % 2]} for k in range(6))), "t")
    assert len(task.labels) == 2
    assert sum("two choices differ only in case" in note for note in task.notes) == alike


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([{"question": "Grass is", "choices": ["green", "red"], "answer": 0}], 1),
        ([{"question": "Grass? Answer:", "choices": ["green", " red"], "answer": 0}], 1),
        ([{"text": "A fine film.", "label": "good"}, {"text": "Bad!", "label": "poor"}], 2),
        ([{"prompt": "Gras ist", "answer": "grün"}], 1),
        ([{"question": "Grass is", "choices": [" green", "\tred"], "answer": 0}], 0),
        ([{"question": "Grass is ", "choices": ["green", "red"], "answer": 0}], 0),
        ([{"prompt": "2+2=", "answer": "4"}, {"prompt": "([", "answer": "])"}], 0),
        ([{"question": "草是", "choices": ["绿色", "红色"], "answer": 0}], 0),
    ],
)
def test_answers_that_would_be_read_as_one_word_with_the_prompt_are_told_and_set_apart(rows, count):
    task = from_bytes(lines(*rows, *rows), "t")
    assert task.glued == 2 * count
    assert any("nothing stands between the prompt and an answer" in note for note in task.notes) is bool(count)
    there = task.apart()
    assert there.glued == 0 and (there == task) is not bool(count)
    assert [item.prompt for item in there.items] == [item.prompt for item in task.items]
    assert [item.gold.strip() for item in there.items] == [item.gold.strip() for item in task.items]
    assert replace(task, metrics=["exact_match"]).glued == replace(task, corpus="web").glued == 0


def test_completions():
    task = from_bytes(
        lines({"prompt": "1+1=", "completion": "2"}, {"prompt": "2+2=", "completion": ["4", "four"]}), "t"
    )
    assert task.items[1].answers == ["4", "four"] and task.metrics == ["exact_match", "answer_bits"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it has 0 items"),
        (b"hello", "it is no JSON; it begins with 'hello'"),
        (b"question,answer\na,b\n", "it is no JSON; it begins with 'question,answer'"),
        (b'{"prompt": "a", "answer": "b"}\n\n{"prompt": }', "line 3 is not JSON: '{\"prompt\": }'"),
        (b"\x1f\x8b\x08", r"it is packed \(\.gz\)"),
        (b"PAR1" + bytes(9), "it is a Parquet file"),
        (b"[1, 2" + bytes(60), "line 1 is not JSON|zero bytes"),
        ('[{"prompt": "é"}]'.encode("cp1252"), "no utf-8 text. Give JSON or JSON lines, in UTF-8"),
        (lines(*[{"prompt": 5, "answer": "b"}] * 2), "the 'prompt' of row 1 is 5, and must be a text"),
        (lines(*[{"question": {"stem": "a"}, "answerKey": "A"}] * 2), r"the 'question' of row 1 is \{'stem'"),
        (
            lines(*[{"sentence": "a", "option1": "x", "option2": "y", "answer": "1"}] * 2),
            "option1, option2, which look",
        ),
        (lines(*[{"question": "a", "A": "x", "B": "y", "answer": "A"}] * 2), "A, B, which look like choices"),
        (lines(*[{"question": "a", "choice_a": "x", "choice_b": "y", "answer": "a"}] * 2), "choice_a, choice_b, which"),
        (
            lines(*[{"prompt": "a", "choices": [], "answer": "x"}] * 2),
            r"choices of row 1 are \[\]; give a list of texts",
        ),
        (lines(*[{"prompt": "a", "choices": [1, 2], "answer": 1}] * 2), r"row 1 are \[1, 2\]; give a list of texts"),
        (lines(*[{"text": "a", "label": {"text": []}}] * 2), "row 1 has an empty list of answers"),
        (lines(*[{"prompt": "a", "answer": " "}] * 2), "item 1 has an empty answer"),
        (b'{"a": 1}\n{"a": 2}', "row 1 has none of prompt, question"),
        (b"[1, 2]", "row 1 is 1, and must be an object"),
        (lines({"prompt": "a", "answer": "b"}, {"prompt": "a"}), "row 2 has no right answer"),
        (
            lines({"prompt": "a", "answer": ""}, {"prompt": "a", "answer": "b"}),
            "no right answer; its answer is empty",
        ),
        (lines({"prompt": "a", "choices": ["x", "y"], "answer": 7}, {}), "row 2 has none of prompt"),
        (lines(*[{"prompt": "a", "choices": ["x", "y"], "answer": 7}] * 2), "answer 7 of row 1 is none of its choices"),
        (lines(*[{"prompt": "a", "choices": ["x", "x"], "answer": 0}] * 2), "item 1 has the choice 'x' twice"),
        (lines(*[{"prompt": "a", "choices": ["x"], "answer": 0}] * 2), "item 1 has 1 choices"),
        (
            lines({"prompt": "a", "choices": ["x", "y"], "answer": 0}, {"prompt": "a", "answer": "b"}),
            "row 1 has choices",
        ),
        (json.dumps({"examples": [{"input": "a"}] * 2}).encode(), "item 1 has no right answer"),
        (json.dumps({"examples": [{"target": "a"}] * 2}).encode(), "its example 1 has no input"),
        (json.dumps({"examples": [{"input": "a", "target_scores": {"x": 0, "y": 0}}] * 2}).encode(), "have one score"),
        (json.dumps({"examples": [{"input": "a", "target_scores": {"x": math.nan}}] * 2}).encode(), "table of numbers"),
        (json.dumps({"examples": 3}).encode(), "its examples must be a list"),
        (b"\xff\xfe{", "no utf-16-le text"),
        (b"[" * 10**5, "it is nested too deep"),
        (lines(*[{"prompt": "a" * 200_000, "answer": "b"}] * 2), "200,000 characters, and 100,000 are allowed"),
    ],
)
def test_what_is_wrong_is_named(data, why):
    with pytest.raises(Problem, match=why):
        check_task(from_bytes(data, "t"))


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(Problem, match="No such file"):
        from_file(tmp_path / "none", "t")
    (tmp_path / "big").write_bytes(b" " * ((64 << 20) + 1))
    with pytest.raises(Problem, match="more than 64 MB"):
        from_file(tmp_path / "big", "t")
