"""The form of pre-tokenised text: it counts what is there while one types, names what is wrong, and asks who looks."""

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.errors import Problem
from engine.core.people import Person, as_person
from engine.studies.corpora import folder_there, tokens_there
from tests.support.token_files import megatron

DOCUMENTS = [[1, 2, 3, 0], [4, 5, 0]]


def form():
    import streamlit as st

    from dashboard.views.measure.tokens import ask_tokens

    st.json(ask_tokens({}))


def test_tokens_are_counted_while_one_types(tmp_path):
    for name in ("web", "code"):
        megatron(tmp_path / name, DOCUMENTS)
    app = AppTest.from_function(form).run()
    assert not app.exception and not app.dataframe
    app.text_area[0].set_value(f"web = {tmp_path / 'web'}\ncode = {tmp_path / 'code'}, {tmp_path / 'web'}").run()
    assert not app.exception and not app.error
    rows = app.dataframe[0].value
    assert rows["domain"].tolist() == ["web", "code"] and rows["documents"].tolist() == [2, 4]
    app.text_area[0].set_value("web = /nowhere/at/all").run()
    assert "/nowhere/at/all" in app.error[0].value


def test_only_an_operator_looks_into_this_machines_files():
    with as_person(Person("vera@example.org", "viewer")):
        for look in (lambda: folder_there("/etc"), lambda: tokens_there("megatron", ["/etc"], None)):
            with pytest.raises(Problem, match="takes the role operator"):
                look()
