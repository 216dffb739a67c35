"""Metrics on one axis: what does not count is left out until it is asked for, since it may flatten all others."""

import pytest
from streamlit.testing.v1 import AppTest


def chart(priorities: dict[str, float], units: dict[str, str], most: int | None = None):
    """A page that says which metrics a chart has."""
    from types import SimpleNamespace

    import numpy as np
    import streamlit as st

    from dashboard.views.shared.metrics import metrics_of_one_unit
    from engine.spec.objectives import Objective, aggregate

    objectives = [Objective(one, units.get(one, "bits per byte")) for one in priorities]
    study = SimpleNamespace(objectives=objectives, coordinates=["web", "code"], kind="mixture", spec={})
    losses = np.random.default_rng(0).normal(size=(9, len(objectives)))
    asked = aggregate([Objective(one.metric, one.unit, priority=priorities[one.metric]) for one in objectives], losses)
    found, unit = metrics_of_one_unit(study, asked, "here", most)
    st.write(f"{[objectives[place].metric for place in found]} in {unit}")


def drawn(app: AppTest) -> str:
    assert not app.exception
    return app.markdown[-1].value


def app_of(*arguments) -> AppTest:
    return AppTest.from_function(chart, args=arguments).run()


def test_what_does_not_count_is_shown_when_it_is_asked_for():
    app = app_of({"docs": 1.0, "junk": 0.0, "noise": 0.0, "math": 2.0}, {})
    assert drawn(app) == "['docs', 'math'] in bits per byte"
    assert app.toggle[0].label == "Also what does not count: junk, noise"
    assert drawn(app.toggle[0].set_value(True).run()) == "['docs', 'junk', 'noise', 'math'] in bits per byte"


def test_where_all_of_a_unit_count_or_nothing_does_there_is_nothing_to_ask():
    app = app_of({"docs": 1.0, "math": 1.0, "accuracy": 0.0}, {"accuracy": "accuracy"})
    assert drawn(app) == "['docs', 'math'] in bits per byte" and not app.toggle
    app.session_state["unit-here"] = "accuracy"
    assert drawn(app.run()) == "['accuracy'] in accuracy" and not app.toggle


@pytest.mark.parametrize("most, first", [(2, "['docs', 'math']"), (3, "['docs', 'math', 'code']")])
def test_of_many_the_first_shown_are_those_that_count(most, first):
    app = app_of({"junk": 0.0, "docs": 3.0, "math": 2.0, "code": 1.0}, {}, most)
    assert drawn(app) == f"{first} in bits per byte"
    assert len(app.multiselect[0].options) == 4
