"""Runs by their sizes: which are one, which size a study is about, and numbers in two units."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.spec.sizes import at_own_size, facts, notes_on_sizes, own_size, sizes_of


def test_nearly_equal_sizes_are_one_and_the_most_frequent_is_the_study_s():
    fidelity = facts([100, 101, 400, 400, 400, None], [1000, 1010, 1000, 1000, 4000, None], 6)
    sizes, which = sizes_of(fidelity)
    assert [one.runs for one in sizes] == [2, 2, 1] and which.tolist() == [0, 0, 1, 1, 2, -1]
    assert own_size(sizes) == 1  # the larger of two that have as many
    assert at_own_size(fidelity).tolist() == [False, False, True, True, False, True]
    (note,) = notes_on_sizes(fidelity)
    assert "of 3 sizes: 2 runs at 100 parameters and 1k tokens; 2 runs at 400 parameters and 1k tokens; 1 run" in note
    assert (
        "only the 2 runs at 400 parameters and 1k tokens" in note
        and "Runs without a size are counted there: 1." in note
    )


@pytest.mark.parametrize(("parameters", "tokens"), [(None, None), ([0, 0, 0], None), ([5, 5, 5], [7, 7, None])])
def test_one_size_or_none_says_nothing(parameters, tokens):
    fidelity = facts(parameters, tokens, 3)
    assert len(sizes_of(fidelity)[0]) <= 2 and at_own_size(fidelity).sum() >= 2
    assert (notes_on_sizes(fidelity) == []) == (tokens is None)


def test_no_runs_have_no_sizes():
    assert sizes_of(np.empty((0, 2))) == ([], pytest.approx([])) and notes_on_sizes(np.empty((0, 2))) == []


@pytest.mark.parametrize("axis", [0, 1])
def test_numbers_in_two_units_are_refused_and_named(axis):
    numbers = [[122, 122, 310_000_000], None]
    fidelity = facts(*(numbers if axis == 0 else numbers[::-1]), 3)
    with pytest.raises(Problem, match=r"122 and 310,000,000 .*two units"):
        sizes_of(fidelity)
    assert at_own_size(fidelity).all() and "two units" in notes_on_sizes(fidelity)[0]
