"""Which choice is right, and what a model sees, where a file may mean two things: decided by the file, or refused."""

import json
from dataclasses import replace

import pytest

from engine.core.errors import Problem
from engine.tasks.files import from_bytes
from engine.tasks.task import EvalTask, Sampling, check_task


def task(*rows: dict) -> EvalTask:
    found = from_bytes("\n".join(json.dumps(row) for row in rows).encode(), "t")
    check_task(found)
    return found


def asked(choices: list[str], answer: object) -> dict:
    return {"question": "?", "choices": choices, "answer": answer}


@pytest.mark.parametrize(
    ("rows", "right"),
    [
        # Places among numbers, as MMLU has them: the 2 of the second row is "3", not "2".
        ([(["0", "4", "2", "6"], 1), (["1", "2", "3", "4"], 2)], ["4", "3"]),
        ([(["0", "4", "2", "6"], "1"), (["1", "2", "3", "4"], "2")], ["4", "3"]),
        ([(["0", "4"], 1.0), (["1", "2", "3"], 2.0)], ["4", "3"]),
        ([(["3", "4"], 4), (["1", "2", "3"], 2)], ["4", "2"]),
        ([(["1", "2"], "1"), (["1", "2", "3"], "2")], ["1", "2"]),
        ([(["x", "y"], "B"), (["C", "A", "D"], "A")], ["y", "C"]),
        ([(["x", "y"], "y"), (["B", "A"], "A")], ["y", "A"]),
        ([(["x", "y"], 1), (["x", "y"], "x")], ["y", "x"]),
        ([(["x", "y"], "B"), (["x", "y"], "x")], ["y", "x"]),
    ],
)
def test_all_answers_of_a_file_are_read_in_one_way(rows, right):
    found = task(*[asked(choices, answer) for choices, answer in rows])
    assert [item.gold for item in found.items] == right


@pytest.mark.parametrize(
    "rows",
    [
        [(["1", "2"], 1), (["1", "2", "3"], 2)],
        [(["A", "B"], "B"), (["B", "A"], "A")],
        [(["x", "y"], "y"), (["x", "y"], "B"), (["1", "0"], "1")],
    ],
)
def test_an_answer_that_may_be_two_choices_is_refused(rows):
    with pytest.raises(Problem, match=r"of row \d may be the choice that reads so, or another one"):
        task(*[asked(choices, answer) for choices, answer in rows])


def test_the_numbers_that_a_row_gives_its_choices_come_first():
    rows = [{"question": "?", "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]}, "answerKey": 1}] * 2
    assert task(*rows).items[0].gold == "x"


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"instruction": "Add.", "input": "1 and 2", "output": "3"}, "input, instruction"),
        ({"question": "?", "context": "Rome", "answers": {"text": ["a"], "answer_start": [3]}}, "question, context"),
        ({"question": "?", "passage": "Rome", "answer": "yes"}, "question, passage"),
        ({"question": "?", "article": "Rome", "options": ["x", "y"], "answer": "A"}, "question, article"),
        ({"sentence": "?", "premise": "Rome", "label": "no"}, "sentence, premise"),
    ],
)
def test_a_prompt_of_several_parts_is_never_guessed(row, fields):
    with pytest.raises(Problem, match=f"row 1 has {fields}, and nothing tells.*'prompt'"):
        task(row, row)
    whole = {key: value for key, value in row.items() if key != "label"} | {"prompt": "All of it", "target": "no"}
    assert {item.prompt for item in task(whole, whole).items} == {"All of it"}


def test_an_empty_part_is_none():
    assert [item.prompt for item in task(*[{"instruction": "Add.", "input": "", "output": "3"}] * 2).items] == [
        "Add."
    ] * 2


def test_fields_that_are_not_read_are_named():
    assert task(*[{**asked(["x", "y"], 0), "subject": "law", "id": 7, "note": ""}] * 2).source == (
        "choices, as JSON; not read: subject, id"
    )


def test_answers_as_squad_has_them():
    row = {"question": "?", "answers": {"text": ["Rome", "in Rome"], "answer_start": [3, 0]}}
    assert task(row, row).items[0].answers == ["Rome", "in Rome"]
    assert task(*[{"prompt": "1 - 2 =", "answer": -1}] * 2).items[0].answers == ["-1"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(True, "is True, and must be a text"), ([None], "is [None]"), ({"value": 1}, "'value'"), (float("nan"), "nan")],
)
def test_an_answer_that_is_no_text_is_refused(answer, said):
    with pytest.raises(Problem) as refused:
        task({"question": "?", "answer": answer}, {"question": "?", "answer": answer})
    assert "the answer of row 1" in str(refused.value) and said in str(refused.value)


def test_hidden_and_single_labels_are_refused():
    with pytest.raises(Problem, match="row 2 has no right answer"):
        task({"text": "?", "label": 1}, {"text": "?", "label": -1})
    with pytest.raises(Problem, match="all of its 3 rows have the label '1'"):
        task(*[{"text": "?", "label": 1}] * 3)


def test_ends_of_lines_inside_texts():
    """Unicode's line separator may stand in JSON as it is."""
    row = json.dumps({"prompt": "a\u2028b\x85c", "answer": "d"}, ensure_ascii=False)
    assert from_bytes(f"{row}\n{row}\r\n".encode(), "t").items[1].prompt == "a\u2028b\x85c"


def test_half_of_a_surrogate_pair_is_named():
    with pytest.raises(Problem, match=r"item 1 has the text.*no Unicode"):
        task(*[{"prompt": "a\ud800", "answer": "b"}] * 2)


BIGBENCH = {"metrics": ["bleu", "exact_str_match"], "examples": [{"input": "a", "target": "b"}] * 2}


def test_scores_of_bigbench_that_are_not_measured_are_named():
    assert from_bytes(json.dumps(BIGBENCH).encode(), "t").source == "BIG-bench JSON; not measured: bleu"


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"metrics": [["a"]]}, "its metrics are"),
        (
            {"examples": [{"input": "a", "target_scores": {"x": 1, "y": 0}}, {"input": "a", "target": "b"}]},
            "1 and 2 only",
        ),
        ({"metrics": "exact_str_match"}, "its metrics are 'exact"),
        ({"preferred_score": ["a"], "metrics": 3}, "its metrics are 3"),
        ({"examples": [{"input": "a", "target_scores": {"x": 1, "y": float("nan")}}] * 2}, "a table of numbers"),
        ({"examples": [{"input": "a", "target_scores": {"x": 10**400, "y": 0}}] * 2}, "a table of numbers"),
    ],
)
def test_odd_values_of_bigbench_are_named(odd, said):
    with pytest.raises(Problem, match=said):
        check_task(from_bytes(json.dumps({**BIGBENCH, **odd}).encode(), "t"))


@pytest.mark.parametrize(
    ("sampling", "said"),
    [({"stop": ["\n", ""]}, "an empty text stops every answer"), ({"temperature": 1e-9}, "from 0.01 to 10")],
)
def test_answers_that_could_not_be_drawn_are_refused(sampling, said):
    """The first would score 0 for every model, the second fail once all are trained."""
    found = replace(task(*[asked(["x", "y"], 0)] * 2), sampling=Sampling(**sampling))
    with pytest.raises(Problem, match=said):
        check_task(found)
