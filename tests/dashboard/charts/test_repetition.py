"""The figure and the words of repetition: what is drawn of a curve, and what is said of how often is worth it."""

import numpy as np
import pytest

from dashboard.charts.repetition import over_epochs
from dashboard.models.wording import worth_words
from engine.studies.repeating import KNOWN, UNSEEN, UNSURE, Curve, Worth

GRID = np.linspace(0, 40, 9).tolist()


def curve(verdict=KNOWN):
    change = ((np.array(GRID) - 10) ** 2 / 1000).tolist()
    low, high = (np.array(change) - 0.1).tolist(), (np.array(change) + 0.2).tolist()
    fresh = (-np.array(GRID) / 1000).tolist()
    return Curve("a<b", [1.0, 8.0], [16.0, 32.0], 10.0, GRID, change, low, high, fresh, Worth(verdict, 10.0, 4.0, 20.0))


def drawn(sign=1, verdict=KNOWN):
    return over_epochs(curve(verdict), "a<b", "#0c8599", "mean loss", "bits per byte", sign)


def test_runs_and_dose_runs_are_ticks_along_the_epochs():
    traces = {trace.name: trace for trace in drawn().data if trace.name}
    assert list(traces["2 runs"].x) == [1, 8] and list(traces["2 dose runs"].x) == [16, 32]
    assert list(traces["predicted, 95% interval"].y) == curve().change
    assert list(traces["were repetition harmless"].y) == curve().fresh


def test_the_worth_and_what_lies_beyond_the_runs_are_marked():
    spans = [(shape.x0, shape.x1) for shape in drawn().layout.shapes]
    assert (4, 20) in spans and (10, 10) in spans and (32, 40) in spans
    unsure = [(shape.x0, shape.x1) for shape in drawn(verdict=UNSURE).layout.shapes]
    assert (4, 20) not in unsure


def test_scores_are_drawn_upwards():
    traces = {trace.name: trace for trace in drawn(sign=-1).data if trace.name}
    assert list(traces["predicted, 95% interval"].y) == [-one for one in curve().change]


def test_names_are_not_markup():
    assert "a&lt;b" in drawn().layout.xaxis.title.text


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (KNOWN, "10 epochs, 4 to 20"),
        (UNSEEN, "more than any run repeated it, 32 epochs"),
        (UNSURE, "cannot tell: 4 to 20 epochs"),
    ],
)
def test_how_often_is_worth_it_in_words(verdict, words):
    assert worth_words(curve(verdict)) == words
