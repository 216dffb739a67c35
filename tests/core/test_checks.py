"""What counts as a number, a whole number, a list of texts; and what a wrong value's Problem says."""

import numpy as np
import pytest

from engine.core.checks import check, is_number, is_texts, is_whole
from engine.core.errors import Problem

ODD = [None, True, "1", [], float("nan"), float("inf"), 10**400, 1e200, np.float32("inf"), np.float16("nan")]


@pytest.mark.parametrize("value", ODD)
def test_what_is_not_a_number(value):
    assert not is_number(value)
    assert not is_whole(value, high=1e300)


def test_numbers_in_their_bounds():
    assert is_number(1) and is_number(-0.5) and is_number(np.float32(2)) and is_whole(2)
    assert is_number(0, 0, 1) and is_number(1, 0, 1) and not is_number(1.1, 0, 1) and not is_number(-1e-9, 0)
    assert is_whole(3, 3, 3) and not is_whole(2, 3) and not is_whole(2.0)


def test_texts():
    assert is_texts(["a"]) and is_texts(()) and not is_texts("a") and not is_texts(["a", 1])


def test_a_problem_names_the_thing_the_value_and_what_it_must_be():
    check(True, 1, "anything", "anything")
    with pytest.raises(Problem, match=r"Cannot use 'x' as a study's seed: it must be a whole number."):
        check(False, "x", "a study's seed", "a whole number")
