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


def desk_of_three():
    """A desk in the link, with two presets; writes where it stands."""
    from types import SimpleNamespace

    import numpy as np
    import streamlit as st

    from dashboard.components.desk import Fader, desk
    from dashboard.views.shared.faders import position, presets, reset_of

    study = SimpleNamespace(id="study", kind="mixture", coordinates=["a", "b"])
    presets("mix-study", {"even": np.array([0.5, 0.5]), "mostly a": np.array([0.9, 0.1])})
    at = position(study, "mix-study", [0.2, 0.8])
    faders = [Fader(name, "red", value, 0.0, 1.0, 0.5, "natural") for name, value in zip("ab", at.values, strict=True)]
    desk(faders, "desk-mix-study", reset_of("mix-study"))
    st.write(str(at.values))


def test_a_link_that_was_on_its_way_while_the_faders_moved_does_not_move_them_back():
    page = AppTest.from_function(desk_of_three)
    page.query_params["mix"] = "0.30000,0.70000"
    page.run()
    late = page.query_params["mix"]
    page.button[0].click().run()
    page.query_params["mix"] = late
    page.run()
    assert page.markdown[-1].value == "[0.5, 0.5]" and "0.50000,0.50000" in page.query_params["mix"]
