"""Rows of one mixture: repeats only where nothing but chance tells them apart; else it is asked what they are."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.importing import read, read_runs, read_table
from tests.importing.made import LOSS, MIX, RUNS, repeated, text


def reading(tmp_path, columns, **given):
    (tmp_path / "runs.csv").write_text(text(columns))
    return read("flat", read_table(tmp_path / "runs.csv", "runs.csv", given.get("answers")), **given)


def twice(**columns):
    """Every mixture in two runs, which differ in what is given."""
    both = {name: list(cells) * RUNS for name, cells in columns.items()}
    losses = [loss + late for loss in LOSS.tolist() for late in (0.3, 0.0)]
    return {"run": [f"r{i}" for i in range(2 * RUNS)], **repeated(MIX, 2), **both, "val_loss": losses}


def question(found, name):
    return next((one for one in found.questions if one.id == name), None)


DIFFERENT = {
    "a ratio of tokens": {"tokens_per_param": (20, 40)},
    "compute": {"train_flops": (1e18, 4e18)},
    "a model by name": {"arch": ("llama", "mamba")},
    "a setting": {"lr": (1e-3, 1e-4)},
    "a number of steps": {"max_steps": (1000, 2000)},
    "a letter": {"N": (1e7, 2e7)},
    "two at once": {"tokenizer": ("a", "b"), "num_layers": (4, 8)},
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_runs_that_differ_in_more_than_a_seed_are_no_repeats(tmp_path, case):
    found = reading(tmp_path, twice(**DIFFERENT[case]))
    first, *_, last = question(found, "alike").options
    assert last == "all" and all(f"{name}=" in first for name in DIFFERENT[case])
    chosen = read_runs(reading(tmp_path, twice(**DIFFERENT[case]), answers={"alike": first}))
    np.testing.assert_allclose(chosen.values[:, 0], LOSS + 0.3)
    assert "16 runs that are not" in str(chosen.notes) and "noise" not in str(chosen.notes)
    both = read_runs(reading(tmp_path, twice(**DIFFERENT[case]), answers={"alike": "all"}))
    assert len(both.weights) == 2 * RUNS


@pytest.mark.parametrize(
    "column",
    [
        {"seed": (1, 2)},
        {"replicate": (0, 1)},
        {"hours": (1.5, 2.5)},
        {"user": ("ada", "bob")},
        {"val_loss_sd": (0.01, 0.02)},
        {"host": ("a", "b")},
    ],
)
def test_runs_that_differ_by_chance_are_repeats(tmp_path, column):
    found = reading(tmp_path, twice(**column))
    assert not found.questions and "measure the noise" in str(read_runs(found).notes)


def test_numbers_that_are_others_in_every_row_tell_no_kinds_of_runs(tmp_path):
    table = twice() | {"something": np.random.default_rng(0).random(2 * RUNS).tolist()}
    assert question(reading(tmp_path, table), "alike") is None


def history(**columns):
    """Three rows of every mixture, the last of which is the run's result."""
    losses = [loss + late for loss in LOSS.tolist() for late in (2.0, 1.0, 0.0)]
    return {**columns, **repeated(MIX, 3), "val_loss": losses}


NAMES = repeated({"run": [f"r{i}" for i in range(RUNS)]}, 3)["run"]


@pytest.mark.parametrize(
    "columns", [{"run": NAMES, "update": [10, 20, 30] * RUNS}, {"run": NAMES}, {"when": [1, 2, 3] * RUNS}]
)
def test_a_history_is_known_by_its_rows_whatever_its_steps_are_called(tmp_path, columns):
    found = reading(tmp_path, history(**columns))
    first, *others = question(found, "steps").options
    assert first == "last" and others[-1] == "rows"
    np.testing.assert_allclose(read_runs(found).values[:, 0], LOSS)
    rows = read_runs(reading(tmp_path, history(**columns), answers={"steps": "rows"}))
    assert len(rows.weights) == 3 * RUNS


@pytest.mark.parametrize("name", ["run_name", "Name", "sys/name"])
@pytest.mark.parametrize("beside", [{}, {"hours": [0, 1, 2] * RUNS}, {"id": list(range(3 * RUNS))}])
def test_names_of_runs_that_repeat_make_no_history_repeats(tmp_path, name, beside):
    """A tracker names its runs; a number for each row, as databases give, tells no runs apart."""
    found = reading(tmp_path, history(**beside, **{name: NAMES}))
    assert [one.id for one in found.questions] == ["steps"]
    np.testing.assert_allclose(read_runs(found).values[:, 0], LOSS)
    assert (
        len(read_runs(reading(tmp_path, history(**beside, **{name: NAMES}), answers={"steps": "rows"})).weights) == 48
    )


@pytest.mark.parametrize("column", ["phase", "Stage", "stage_id"])
def test_phases_told_by_numbers_are_asked_about(tmp_path, column):
    mixtures = {name: [*cells, *cells[::-1]] for name, cells in MIX.items()}
    runs = {"run": [*range(RUNS), *range(RUNS)], column: [0] * RUNS + [1] * RUNS, **mixtures}
    assert "long" in {one.id for one in reading(tmp_path, runs | {"val_loss": LOSS.tolist() * 2}).questions}


DRESSED = ["{:.3f} ± 0.01", "{:.3f} (0.01)", "{:.3f} nats", "tensor({:.4f})", "[{:.3f}]"]


@pytest.mark.parametrize("how", DRESSED)
def test_a_metric_written_as_text_is_not_left_out_beside_another(tmp_path, how):
    table = {**MIX, "val_loss": [how.format(loss) for loss in LOSS.tolist()], "acc": (LOSS / 9).tolist()}
    with pytest.raises(Problem, match=r"row 2 of runs.csv, column 'val_loss': it is named like a metric.*without it"):
        reading(tmp_path, table)
    assert [one.metric for one in reading(tmp_path, table, metric_columns=["acc"]).mapping.objectives] == ["acc"]


@pytest.mark.parametrize("cell", ["cross_entropy", "[2.5, 2.4, 2.3]", "configs/loss-0.5.yaml"])
def test_other_text_under_a_metrics_name_is_left_out(tmp_path, cell):
    table = {**MIX, "val_loss_history": [cell] * RUNS, "acc": (LOSS / 9).tolist()}
    assert [one.metric for one in reading(tmp_path, table).mapping.objectives] == ["acc"]


def test_the_step_may_be_chosen_whatever_it_is_called(tmp_path):
    table = history(run=NAMES, update=[10, 20, 30] * RUNS)
    found = read_runs(reading(tmp_path, table, answers={"steps": "20"}))
    np.testing.assert_allclose(found.values[:, 0], LOSS + 1)


def test_rows_without_names_may_be_repeats_or_a_history(tmp_path):
    asked = question(reading(tmp_path, history()), "steps")
    assert list(asked.options) == ["rows", "last"]


def test_few_repeated_mixtures_are_repeats(tmp_path):
    table = {name: [*cells, *cells[:3]] for name, cells in {**MIX, "val_loss": LOSS.tolist()}.items()}
    table["val_loss"][-3:] = [5.0, 5.1, 5.2]
    found = reading(tmp_path, table)
    assert not found.questions and "3 runs. They measure the noise" in str(read_runs(found).notes)


SPREADS = [
    "acc_err",
    "acc±",
    "acc (+/-)",
    "sigma_acc",
    "acc_ci95",
    "acc (95% CI)",
    "acc 95% CI low",
    "acc_bootstrap_se",
    "acc_CI_high",
    "acc_uncertainty",
    "acc.margin",
    "acc_iqr",
]


@pytest.mark.parametrize("name", SPREADS)
def test_a_spread_beside_its_metric_is_none(tmp_path, name):
    table = {**MIX, "acc": (LOSS / 9).tolist(), name: (0.01 + LOSS / 900).tolist()}
    assert [one.metric for one in reading(tmp_path, table).mapping.objectives] == ["acc"]


def test_an_error_rate_of_its_own_is_a_metric(tmp_path):
    found = reading(tmp_path, {**MIX, "word_err": LOSS.tolist(), "acc": (LOSS / 9).tolist()})
    assert [one.metric for one in found.mapping.objectives] == ["word_err", "acc"]
