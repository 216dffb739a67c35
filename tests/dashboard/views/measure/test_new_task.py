"""The form of a new task: what a file holds is shown before it is added, with what to mend; and what scores answers."""

import json
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.errors import Problem
from engine.core.people import Person, Refused, as_person
from engine.service.owner import Owner
from engine.studies import tasks
from engine.tasks import shelf
from engine.tasks.files import from_bytes

GLUED = [
    {"question": "Grass is", "choices": ["green", "red"], "answer": 0},
    {"question": "Blood is", "choices": ["green", "red"], "answer": 1},
]


@pytest.fixture
def owner(workspace, monkeypatch):
    monkeypatch.setattr(st, "file_uploader", st.file_uploader)  # the script puts what was chosen in its place
    opened = Owner(workspace)
    state.use(opened)
    yield opened
    state.use(None)
    opened.close()


def script(given) -> None:
    """The form, in a browser that has chosen a file."""
    import streamlit as st

    from dashboard.views.measure.new_task import form

    st.file_uploader = lambda *asked, **more: given
    form()


def shown(rows: list[dict] | dict | bytes) -> AppTest:
    data = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    return AppTest.from_function(script, args=(SimpleNamespace(getvalue=lambda: data),), default_timeout=60).run()


def test_answers_without_a_blank_are_said_and_mended_where_one_stands(owner):
    found = shown(GLUED)
    assert "In 2 of 2 items nothing stands between the prompt and an answer" in found.warning[0].value
    (apart,) = [one for one in found.checkbox if one.label.startswith("Put a blank")]
    apart.check().run()
    assert not found.warning
    found.button[0].click().run()
    assert not found.exception, found.exception
    assert shelf.load(owner.store.workspace.root, "my-task").items[0].choices == [" green", " red"]


def test_a_file_that_cannot_be_added_is_refused_before_it_is(owner):
    found = shown(b"{")
    assert "line 1 is not JSON" in found.error[0].value and found.button[0].disabled


def test_how_answers_are_drawn_and_what_scores_them_is_chosen(owner):
    root = owner.store.workspace.root
    (root / "verifiers").mkdir()
    (root / "verifiers" / "judge.py").write_text("print(1)")
    (root / "verifiers" / "linked.py").symlink_to("/etc/passwd")
    found = shown([{"prompt": "1+1=", "answer": "2"}, {"prompt": "2+2=", "answer": "4"}])
    assert [one.label for one in found.number_input] == ["Tokens of an answer"], "it is scored by exact match"
    found.multiselect[0].set_value(["best_of_n"]).run()
    (verifier,) = found.selectbox
    assert verifier.options == ["exact", "last number", "contains", "judge.py (program)"]
    verifier.set_value("judge.py")
    for label, value in (("Answers drawn (n)", 3), ("Temperature", 1.3), ("Tokens of an answer", 5)):
        next(one for one in found.number_input if one.label == label).set_value(value)
    found.run()
    assert any("The verifier's score of the best of several" in one.value for one in found.caption)
    (stops,) = [one for one in found.multiselect if one.label == "Texts that end an answer"]
    assert stops.value == ["the end of a line"] and stops.options[:2] == ["the end of a line", "a blank line"]
    stops.set_value(["a blank line"]).run()
    found.button[0].click().run()
    assert not found.exception, found.exception
    made = shelf.load(root, "my-task").sampling
    assert (made.verifier, made.samples, made.temperature, made.most_tokens) == ("judge.py", 3, 1.3, 5)
    assert made.stop == ["\n\n"]


def test_a_text_that_ends_an_answer_is_kept_and_said_where_a_right_one_holds_it(owner):
    items = [{"input": f"{n}+1=", "target": f"{n + 1} END"} for n in range(3)]
    found = shown({"name": "t", "stop_string": "END", "preferred_score": "exact_str_match", "examples": items})
    (stops,) = [one for one in found.multiselect if one.label == "Texts that end an answer"]
    assert stops.value == ["END"]


def test_only_an_operator_names_a_program(owner):
    asked = from_bytes(json.dumps(GLUED).encode(), "mine")
    how = tasks.How(metrics=["best_of_n"], sampling={"verifier": "judge.py"})
    with as_person(Person("Rae", "reviewer")), pytest.raises(Refused, match="add a task"):
        tasks.add(owner.store, asked, how)
    with pytest.raises(Problem, match="Cannot find the verifier"):
        tasks.add(owner.store, asked, how)
