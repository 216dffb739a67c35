"""Bars of merges: one has its experts' colours, several have patterns that mean none of them."""

import numpy as np

from dashboard.charts.review import points
from dashboard.models.colours import PALETTE, colour_of
from dashboard.models.names import Named

NAMES = Named(["prose", "code"], [], [], colour_of(["prose", "code"]))
VALUES = np.array([[0.25, -0.5], [1.0, 0.0], [0.3, 0.3]])


def test_several_merges_are_told_apart_by_patterns_and_not_by_colours_of_domains():
    bars = points("merge", ["a", "b", "c"], NAMES, VALUES).data
    assert len({bar.marker.pattern.shape for bar in bars}) == 3
    assert not {bar.marker.color for bar in bars} & set(PALETTE)
    assert list(bars[0].text) == ["0.25", "−0.50"]


def test_one_merge_has_the_colours_of_its_faders():
    (bar,) = points("merge", ["a"], NAMES, VALUES[:1]).data
    assert list(bar.marker.color) == list(NAMES.colours.values()) and bar.marker.pattern.shape is None
