"""Losses in the unit that was chosen: values, the ends of intervals, differences, axes; nothing else changes."""

import math

import numpy as np
import pytest

from dashboard.charts import effects, merges, runs
from dashboard.charts.units import read_in
from dashboard.models.units import NATS, PERPLEXITY, READINGS, digits, number, shown_in
from engine.spec.objectives import BITS

COLOURS = {"web": "#0c8599"}


@pytest.mark.parametrize("name", READINGS)
def test_what_is_shown_can_be_taken_back(name):
    values = np.array([0.2, 1.0, 2.5, np.nan])
    one = shown_in(name, BITS)
    np.testing.assert_allclose(one.kept(one.level(values)), values)
    assert one.unit == READINGS[name]


@pytest.mark.parametrize("name", READINGS)
def test_other_units_stay_as_they_are(name):
    for unit in ("accuracy", "standard deviations", "nats per token", "perplexity"):
        one = shown_in(name, unit)
        assert (one.unit, one.gap_unit, one.words(0.5, 0.1), one.note) == (unit, unit, "0.500 ± 0.100", "")


def test_values_and_intervals_in_words():
    assert shown_in("bits", BITS).words(2.0, 0.1) == "2.000 ± 0.100"
    assert shown_in("nats", BITS).words(2.0, 0.1) == "1.386 ± 0.069"
    assert shown_in("perplexity", BITS).words(2.0, 1.0) == "4.000 (2.000 to 8.000)", "each end by itself"
    assert shown_in("perplexity", BITS).words(2.0, math.nan) == "4.000"
    assert shown_in("perplexity", BITS).words(4.0, 1.0) == "16.00 (8.000 to 32.00)"
    assert shown_in("nats", BITS).gap_words(-1.0, 0.1) == "−0.693 ± 0.069"


@pytest.mark.parametrize("value", [0.0, -0.0, -0.0004, 0.0004])
def test_what_rounds_to_nothing_has_no_minus(value):
    assert shown_in("bits", BITS).gap_words(value, 0.1) == "+0.000 ± 0.100"
    assert (number(value), digits(100 * value, ".0f"), digits(value, ".1%")) == ("0.000", "0", "0.0%")


def test_a_difference_of_perplexities_stays_in_bits_and_says_so():
    one = shown_in("perplexity", BITS)
    assert one.gap_words(-0.1, 0.02) == "−0.100 ± 0.020" and one.gap_unit == BITS
    assert one.note == " Differences and noise are in bits per byte."


def test_intervals_as_columns_of_a_table():
    assert shown_in("bits", BITS).columns(2.0, 0.5) == {"± 95%": 0.5}
    one = shown_in("perplexity", BITS)
    assert one.columns(2.0, 1.0) == {"95% from": 2.0, "to": 8.0}
    assert one.columns(-0.5, 0.1, gap=True) == pytest.approx({"95% from": -0.6, "to": -0.4})
    assert one.columns(None, None) == {"95% from": None, "to": None}


def response(unit: str):
    x, mean, std = np.array([0.0, 1.0]), np.array([[1.0], [2.0]]), np.array([[0.5], [0.5]])
    return effects.response("web", x, mean, std, ["web"], COLOURS, 0.5, unit)


def test_an_axis_of_losses_is_read_in_the_unit():
    fig = read_in(response(BITS), shown_in("perplexity", BITS))
    high, low, line = fig.data
    np.testing.assert_allclose(line.y, [2, 4])
    np.testing.assert_allclose(high.y, 2 ** (np.array([1, 2]) + 0.98))
    np.testing.assert_allclose(low.y, 2 ** (np.array([1, 2]) - 0.98))
    assert fig.layout.yaxis.title.text == PERPLEXITY and PERPLEXITY in line.hovertemplate
    assert fig.layout.yaxis.type == "log", "else one metric that nobody knows would flatten the others"
    np.testing.assert_allclose(line.x, [0, 1], err_msg="shares are no losses")


def test_an_axis_of_another_unit_stays():
    fig = read_in(response("accuracy"), shown_in("nats", BITS))
    np.testing.assert_allclose(fig.data[2].y, [1, 2])
    assert fig.layout.yaxis.title.text == "accuracy"


def test_curves_and_differences():
    lines = {1: (np.array([1, 2]), np.array([2.0, 1.0]), "run 1")}
    fig = read_in(runs.curves(lines, {1: "web"}, COLOURS, (False, True)), shown_in("nats", BITS))
    np.testing.assert_allclose(fig.data[0].y, [2 * math.log(2), math.log(2), math.nan])
    assert fig.layout.yaxis.title.text == f"training loss, {NATS}" and fig.layout.yaxis.type == "log"
    one = np.array([1.0])
    fig = effects.residuals("web", "#0c8599", one, 0.1 * one, 0.9 * one, ["a"], BITS)
    fig = read_in(fig, shown_in("perplexity", BITS))
    assert fig.data[0].y.tolist() == [pytest.approx(-0.1)] and BITS in fig.layout.yaxis.title.text, "a difference"


def test_an_axis_with_errors_and_a_range():
    mean, std, measured = np.array([1.0, 2.0]), np.array([0.1, 0.1]), np.array([1.1, 2.0])
    fig = effects.residuals("web", "#0c8599", mean, std, measured, ["a", "b"], BITS)
    before = fig.layout.yaxis.range
    fig = read_in(fig, shown_in("nats", BITS))
    np.testing.assert_allclose(fig.layout.yaxis.range, math.log(2) * np.array(before))
    np.testing.assert_allclose(fig.data[0].x, math.log(2) * mean)
    np.testing.assert_allclose(fig.data[0].error_y.array, math.log(2) * 1.96 * std)


def test_lines_and_ranges_of_a_logarithmic_axis():
    """Plotly takes a line's place there by its value, a note's and a range's by their exponents of 10."""
    fig = merges.traces({"one": np.array([3.0, 2.0])}, {"base": 2.5}, BITS, "lower").update_yaxes(range=[2.0, 3.0])
    layout = read_in(fig, shown_in("perplexity", BITS)).layout
    assert layout.shapes[0].y0 == pytest.approx(2**2.5)
    assert layout.annotations[0].y == pytest.approx(math.log10(2**2.5))
    assert layout.yaxis.range == pytest.approx((math.log10(4), math.log10(8)))
