"""Figures, steps and states as people write them: read where one thing is meant, else named with their row."""

import pytest

from engine.core.errors import Problem
from tests.importing.made import HISTORY, LOSS, MIX, PLAIN, RUN, RUNS, under
from tests.importing.reading import reading, runs_of, written

LOSSES = LOSS.tolist()
FIGURES = {
    "fractions": (lambda share: f"{round(1000 * share)}/1000", "/1000'"),
    "per mille": (lambda share: f"{round(1000 * share)} ‰", " ‰'"),
    "billions": (lambda share: f"{10 * share:.2f}B", "B'"),
    "words": (lambda share: f"{100 * share:.1f} pct", " pct'"),
    "about": (lambda share: f"~{share}", "~0.0579'"),
    "spreads": (lambda share: f"{share} ± 0.01", " ± 0.01'"),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("before", ["", "w_"])
def test_figures_that_are_not_read_are_named_with_their_row(tmp_path, name, before):
    write, said = FIGURES[name]
    shares = {one: list(map(write, cells)) for one, cells in under(before).items()}
    with pytest.raises(
        Problem, match=rf"row 2 of runs.csv, column '{before}web': it holds .*{said}, which is not read"
    ):
        runs_of(written(tmp_path / "runs.csv", {**RUN, **shares, "val_loss": LOSSES}))


def test_one_such_column_beside_plain_ones_is_named(tmp_path):
    """The others would be divided by a sum without it."""
    shares = under("w_") | {"w_code": [f"{round(1000 * share)}/1000" for share in MIX["code"]]}
    with pytest.raises(Problem, match=r"row 2 of runs.csv, column 'w_code'.*/1000'"):
        reading(written(tmp_path / "runs.csv", {**RUN, **shares, "val_loss": LOSSES}))


def test_texts_that_begin_with_figures_are_no_figures(tmp_path):
    texts = {"when": [f"2026-01-{day + 1:02d}" for day in range(RUNS)], "model": ["70m-a"] * RUNS, "gpu": ["8x"] * RUNS}
    assert len(runs_of(written(tmp_path / "runs.csv", {**PLAIN, **texts})).values) == RUNS
    with pytest.raises(Problem, match="Cannot tell which columns"):
        runs_of(written(tmp_path / "only.csv", {**RUN, **texts, "val_loss": LOSSES}))


@pytest.mark.parametrize("column", ["checkpoint", "ckpt", "revision", "step"])
@pytest.mark.parametrize("word", ["ckpt-{}", "checkpoint_{}", "step{}", "global_step{}", "step{}-tokens4B"])
def test_steps_behind_a_word_are_a_history(tmp_path, column, word):
    table = {**HISTORY, column: [word.format(step) for step in HISTORY["step"]]}
    table.pop("step") if column != "step" else None
    path = written(tmp_path / "runs.csv", table)
    (question,) = reading(path).questions
    assert question.id == "steps" and list(question.options) == ["last", "300", "200", "100", "best", "smoothed"]
    last = runs_of(path, answers={"steps": "last"})
    assert last.values[:, 0].tolist() == LOSSES


def test_names_of_checkpoints_that_are_no_steps_stay_names(tmp_path):
    named = {"ckpt": [f"ckpt-{i}" for i in range(RUNS)]}
    found = runs_of(written(tmp_path / "runs.csv", {**named, **MIX, "val_loss": LOSSES}))
    assert found.keys == named["ckpt"]
    both = written(tmp_path / "w.csv", {**named, **MIX}), written(tmp_path / "m.csv", {**named, "val_loss": LOSSES})
    assert runs_of(*both, "pair").values[:, 0].tolist() == LOSSES


NO_RUN = {
    "is_valid": ["1"] * (RUNS - 1) + ["0"],
    "run_ok": ["True"] * (RUNS - 1) + ["False"],
    "included": ["yes"] * (RUNS - 1) + ["no"],
    "excluded": ["0"] * (RUNS - 1) + ["1"],
    "is_outlier": ["no"] * (RUNS - 1) + ["yes"],
    "config.invalid": ["false"] * (RUNS - 1) + ["true"],
}


@pytest.mark.parametrize("column", NO_RUN)
def test_rows_that_somebody_ruled_out_are_left_out(tmp_path, column):
    runs = runs_of(written(tmp_path / "runs.csv", {**PLAIN, column: NO_RUN[column]}))
    assert len(runs.values) == RUNS - 1 and any(f"row {RUNS + 1}" in one and column in one for one in runs.notes)


def test_counts_under_such_names_rule_nothing_out(tmp_path):
    counts = {"skipped": list(range(RUNS)), "broken": [0, 1, 2, 5] * (RUNS // 4)}
    assert len(runs_of(written(tmp_path / "runs.csv", {**PLAIN, **counts})).values) == RUNS
