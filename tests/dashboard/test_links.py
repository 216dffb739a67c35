"""What a link carries: whoever opens it sees the numbers that its sender saw."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.views.shared.sidebar import parse_priorities

METRICS = ["web", "arc_easy|acc,none", "a:b"]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["arc_easy|acc,none:2", "a:b:0.25"], {"arc_easy|acc,none": 2.0, "a:b": 0.25}),
        (["web:2,a:b:0.5"], {"web": 2.0, "a:b": 0.5}),  # as links held them before
        (["web:0.333333333333333"], {"web": 0.333333333333333}),
        (["web:9", "web", "books:1", "web:nan", ""], {}),
    ],
)
def test_priorities_of_any_names_come_back(texts, found):
    assert parse_priorities(texts, METRICS) == found


def brushing(brush: dict | None):
    """What the page of runs keeps of a brush, and finds in a link."""
    import streamlit as st

    from dashboard.models.units import Shown
    from dashboard.views.measure.brushing import keep_brush_in_link, linked_brush

    st.write(str(linked_brush("study")))
    if brush:
        keep_brush_in_link("study", brush, dict.fromkeys(brush, Shown("", "")))


def test_a_brush_comes_back_digit_for_digit():
    brush = {"share 1": [[0.1234567890123, 0.5], [0.6, 2 / 3]], "score": [[-1e-7, 3.0]]}
    sender = AppTest.from_function(brushing, kwargs={"brush": brush}).run()
    receiver = AppTest.from_function(brushing, kwargs={"brush": None})
    receiver.query_params["brush"] = sender.query_params["brush"]
    assert receiver.run().markdown[0].value == str(brush) and not receiver.exception


def target(at: float | None):
    """A fader of the target over the sizes of some runs."""
    from types import SimpleNamespace

    import streamlit as st

    from dashboard.views.shared.target import _fader

    if at:
        st.session_state["target-study"] = at
    st.write(repr(_fader(st, "Target", "target", {1e9, 1234567891.0}, 1e9, SimpleNamespace(id="study"), "")))


def test_a_target_comes_back_digit_for_digit():
    sender = AppTest.from_function(target, kwargs={"at": 1234567891.0}).run()
    receiver = AppTest.from_function(target, kwargs={"at": None})
    receiver.query_params["target"] = sender.query_params["target"]
    assert receiver.run().markdown[0].value == sender.markdown[0].value == "1234567891.0"
