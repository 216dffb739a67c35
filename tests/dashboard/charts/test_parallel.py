"""Parallel coordinates: any range of an axis can be brushed, and labels of many axes stay apart."""

import numpy as np
import pytest

from dashboard.charts import runs

HIDDEN = "rgba(0,0,0,0)"


def drawn(count: int):
    values = np.random.default_rng(0).uniform(1, 2, (count, 9))
    axes = [
        {"label": f"loss {i}", "name": f"loss {i}", "values": one, "percent": i < 3} for i, one in enumerate(values)
    ]
    return runs.parallel(axes, values[0], "mean loss", "lower").data[0]


@pytest.mark.parametrize("count", [2, 10, 11, 40])
def test_a_brush_keeps_the_range_that_was_drawn(count):
    """On an axis with ticks of its own a brush jumps to the nearest one: between two, nothing can be kept."""
    assert all(one.tickvals is None and one.ticktext is None for one in drawn(count).dimensions)


@pytest.mark.parametrize("count, ends_alone", [(10, False), (11, True)])
def test_of_many_axes_only_the_ends_are_labelled(count, ends_alone):
    one = drawn(count)
    assert (one.tickfont.color == HIDDEN) == ends_alone != (one.rangefont.color == HIDDEN)
