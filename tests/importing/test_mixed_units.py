"""Fractions and percents in one column are asked about, and never taken as they are without a word."""

import numpy as np
import pytest

from tests.importing.made import MIX, RUN, RUNS
from tests.importing.reading import reading, runs_of, written

ACC = [0.5 + place / 100 for place in range(RUNS)]
MIXED = [100 * one if place % 5 == 2 else one for place, one in enumerate(ACC)]


@pytest.mark.parametrize("name", ["acc", "quiz_f1", "exact_match", "score", "word_error", "pass@1"])
@pytest.mark.parametrize("percents", ["few", "most"])
def test_fractions_and_percents_are_asked_about(tmp_path, name, percents):
    cells = MIXED if percents == "few" else [one if one > 1 else 100 * one for one in MIXED[:-1]] + [ACC[-1]]
    path = written(tmp_path / "a.csv", {**RUN, **MIX, name: cells})
    (question,) = reading(path).questions
    assert question.id == "percents" and f"{name} is 0." in question.text and " in row " in question.text
    found = runs_of(path, answers={"percents": "mixed"})
    assert np.allclose(found.values[:, 0], ACC) and any("divided by 100" in note for note in found.notes)
    assert np.allclose(runs_of(path, answers={"percents": "same"}).values[:, 0], cells)


def test_so_are_those_less_than_ten_times_apart(tmp_path):
    """Hard and easy tasks: 0.05 to 0.9 in most rows, 5 to 90 in others."""
    wide = [0.05 + 0.85 * place / (RUNS - 1) for place in range(RUNS)]
    cells = [100 * one if place % 3 == 1 else one for place, one in enumerate(wide)]
    path = written(tmp_path / "a.csv", {**RUN, **MIX, "acc": cells})
    assert [one.id for one in reading(path).questions] == ["percents"]
    assert np.allclose(runs_of(path, answers={"percents": "mixed"}).values[:, 0], wide)


def test_two_files_are_asked_about_too(tmp_path):
    first = written(tmp_path / "a.csv", {**RUN, **MIX})
    second = written(tmp_path / "b.csv", {**RUN, "acc": MIXED, "val_loss": [3 - one for one in ACC]})
    found = runs_of(first, second, "pair", answers={"percents": "mixed"})
    assert np.allclose(found.values[:, 0], ACC)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("acc", [0.8 + place / 10 for place in range(RUNS)]),  # percents of a hard task
        ("acc", [100 * one for one in ACC]),
        ("acc", [0.7 * 1.5 ** (place % 8) for place in range(RUNS)]),  # percents of a task that few learn: 0.7 to 12
        ("val_loss", [0.5, *[40 + one for one in ACC[1:]]]),
        ("elo_reward", [0.5, *[40 + one for one in ACC[1:]]]),
        ("score", [0.5, *[400 + one for one in ACC[1:]]]),
    ],
)
def test_what_may_be_one_unit_is_not(tmp_path, name, cells):
    assert not reading(written(tmp_path / "a.csv", {**RUN, **MIX, name: cells})).questions
