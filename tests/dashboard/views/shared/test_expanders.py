"""Expanders whose title changes stay open: Streamlit closes one without a key when its title does."""

import ast

from streamlit.testing.v1 import AppTest

from tests.support.running import ROOT


def test_an_expander_with_a_changing_title_has_a_key():
    found = 0
    for path in sorted((ROOT / "dashboard").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", None) == "expander":
                fixed = isinstance(call.args[0], ast.Constant)
                found += not fixed
                assert fixed or any(word.arg == "key" for word in call.keywords), f"{path.name}:{call.lineno}"
    assert found > 8


def sidebar():
    import streamlit as st

    from dashboard.views.shared.sidebar import not_counted

    labels, start = {"a": "docs", "b": "python", "c": "junk"}, {"a": 1.0, "b": 1.0, "c": 0.0}
    st.write(", ".join(not_counted("s", labels, start)))
    for name in labels:
        st.slider(name, 0.0, 3.0, start[name], key=f"priority-s-{name}")
    st.selectbox("Count only", ["all", *labels], key="only-s")


def test_what_does_not_count_is_said_as_the_sliders_stand():
    app = AppTest.from_function(sidebar).run()
    assert app.markdown[0].value == "junk"
    app.slider[1].set_value(0.0).run()
    assert app.markdown[0].value == "python, junk"
    app.selectbox[0].set_value("b").run()
    assert app.markdown[0].value == "docs, junk"
