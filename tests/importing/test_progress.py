"""Tokens that a run has seen so far are its progress; those that it was trained on are its budget."""

import pytest

from engine.importing import read_runs
from tests.importing.made import LOSS, MIX, RUN, RUNS, repeated
from tests.importing.reading import reading, runs_of, written

STEPS = [100, 200, 300]
LATER = [loss + more for loss in LOSS.tolist() for more in (2.0, 1.0, 0.0)]
TOKENS = [step * 1000 for step in STEPS] * RUNS


@pytest.mark.parametrize("name", ["tokens_seen", "tokens", "train/consumed_tokens", "num_input_tokens_seen"])
@pytest.mark.parametrize("named", [True, False])
def test_a_history_by_tokens_is_asked_about_as_one(tmp_path, name, named):
    if not named and name == "tokens":
        pytest.skip("several budgets of each mixture, as likely as a history")
    rows = {**repeated(MIX, 3), name: TOKENS, "val_loss": LATER}
    path = written(tmp_path / "a.csv", {**(repeated(RUN, 3) if named else {}), **rows})
    found = reading(path)
    assert [one.id for one in found.questions] == ["steps"] and f"by {name!r}" in found.questions[0].text
    assert read_runs(found).values[:, 0].tolist() == LOSS.tolist()
    first = runs_of(path, answers={"steps": "100000"})
    assert first.values[:, 0].tolist() == LATER[::3]
    apart = reading(path, answers={"steps": "budgets"})
    assert [one.id for one in apart.questions] == ["steps", "budget"]
    assert len(runs_of(path, answers={"steps": "budgets", "budget": "200000"}).keys) == RUNS


@pytest.mark.parametrize("name", ["step", "tokens_seen"])
def test_steps_that_differ_in_their_last_digits_are_told_apart(tmp_path, name):
    rows = {**repeated(RUN, 2), **repeated(MIX, 2), name: [4_194_304_000, 4_194_308_096] * RUNS}
    path = written(tmp_path / "a.csv", {**rows, "val_loss": LATER[: 2 * RUNS]})
    for answer, place in (("4194304000", 0), ("4194308096", 1)):
        assert runs_of(path, answers={"steps": answer}).values[:, 0].tolist() == LATER[: 2 * RUNS][place::2]


def test_beside_a_step_tokens_are_asked_about_by_the_step_alone(tmp_path):
    rows = {**repeated(RUN, 3), "step": STEPS * RUNS, "tokens_seen": TOKENS, **repeated(MIX, 3), "val_loss": LATER}
    found = reading(written(tmp_path / "a.csv", rows))
    assert [one.id for one in found.questions] == ["steps"] and "by 'step'" in found.questions[0].text


@pytest.mark.parametrize(("beyond", "asked"), [(7, []), (90_000, ["budget"])])
def test_runs_that_end_a_batch_apart_have_one_budget(tmp_path, beyond, asked):
    tokens = [300_000 + beyond * (place % 11) for place in range(RUNS)]
    found = reading(written(tmp_path / "a.csv", {**RUN, **MIX, "tokens_seen": tokens, "val_loss": LOSS.tolist()}))
    assert [one.id for one in found.questions] == asked
    assert asked or "counts as one budget" in str(found.notes)


def test_one_run_per_row_has_its_budget(tmp_path):
    rows = {**RUN, **MIX, "tokens": [1e9] * RUNS, "val_loss": LOSS.tolist()}
    assert reading(written(tmp_path / "a.csv", rows)).mapping.n_tokens == "tokens"
