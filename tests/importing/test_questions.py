"""Questions on their way: an import waits for the answers, a preview shows them, the command line names its options."""

import json

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.studies import imports
from store import runs, studies
from store.from_journals import rebuild
from tests.importing import made
from tests.importing.made import LOSS, MIX, RUN, RUNS, text, under
from tests.support.running import engine

RAW = {**RUN, **under("w_", made.RAW), "val_loss": LOSS.tolist()}


@pytest.fixture
def folder(store):
    """The imports folder of a store."""
    made = store.workspace.root / "imports"
    made.mkdir()
    return made


def test_an_import_waits_for_its_answers_and_keeps_them(store, folder, workspace, tmp_path):
    (folder / "runs.csv").write_text(text(made.HISTORY))
    with pytest.raises(Problem, match="'steps' is answered"):
        imports.import_runs(store, "Mine", "flat", "runs.csv")
    assert studies.all_studies(store) == []
    told = imports.import_runs(store, "Mine", "flat", "runs.csv", answers={"steps": "last"})
    assert told["questions"][0]["answer"] == "last" and "step" in [one["column"] for one in told["columns_read"]]
    study = studies.get(store, told["study"])
    assert study.done == RUNS and study.imported["answers"] == {"steps": "last"}
    np.testing.assert_allclose(runs.measured(store, study.id).losses[:, 0], LOSS)
    rebuild(workspace, tmp_path / "again.duckdb")
    assert imports.import_runs(store, "Mine", "flat", "runs.csv", answers={"steps": "last"})["already_there"]


def test_a_preview_shows_what_was_read_why_and_what_is_asked(store, folder):
    (folder / "runs.csv").write_text(text(made.PHASES))
    shown = imports.preview(store, "flat", "runs.csv")
    (question,) = shown["questions"]
    assert question["answer"] is None and list(question["options"]) == ["phase_0_*", "phase_1_*"]
    assert shown["shares"]["why"] == "they sum to 1" and shown["problem"] is None
    assert shown["shares"]["others"][0]["columns"] == [f"phase_1_{name}" for name in MIX]
    out = {one["column"]: one["role"] for one in shown["columns_read"] if not one["read"]}
    assert out["lm_eval/arc/acc_stderr,none"] == "noise"
    chosen = imports.preview(store, "flat", "runs.csv", answers={"shares": "phase_1_*"})
    assert chosen["mapping"]["weights"]["web"] == "phase_1_web" and chosen["questions"][0]["answer"] == "phase_1_*"
    (folder / "crashed.csv").write_text(text(made.WANDB))
    assert "crashed" in imports.preview(store, "flat", "crashed.csv")["dropped"][0]


def test_tables_without_shares_show_their_columns_to_choose_from(store, folder):
    table = {**RUN, "a": [0.2 + i / 100 for i in range(RUNS)], "b": [0.9] * RUNS, "loss": LOSS.tolist()}
    (folder / "runs.csv").write_text(text(table))
    shown = imports.preview(store, "flat", "runs.csv")
    assert "Say which ones are the shares" in shown["problem"] and "--" not in shown["problem"]
    assert shown["columns"] == [["run", "a", "b", "loss"], None] and shown["mapping"]["weights"] == {}
    named = imports.preview(store, "flat", "runs.csv", weight_columns=["a", "b"])
    assert [one["id"] for one in named["questions"]] == ["scale"] and named["problem"] is None


def test_the_command_line_says_what_it_read_asks_and_takes_answers(tmp_path):
    path, workspace = tmp_path / "runs.csv", tmp_path / "workspace"
    path.write_text(text({**RAW, "lr": [1e-3] * RUNS}))
    wish = ("import", "--study", "Mine", "--format", "flat", "--weights", str(path))
    asked = engine(workspace, *wish, check=False)
    assert asked.returncode == 1 and "--answer scale=divide: weights to be divided by their sum" in asked.stderr
    assert "Shares: w_web, w_code, w_books: named 'w_', like weights" in asked.stderr
    assert "Not read: lr (named like a setting of the trainer)" in asked.stderr
    assert "Metrics: val_loss (lower is better)" in asked.stderr
    shown = json.loads(engine(workspace, *wish, "--preview").stdout)
    assert shown["questions"][0]["id"] == "scale" and shown["runs"] == RUNS
    done = json.loads(engine(workspace, *wish, "--answer", "scale=divide").stdout)
    assert done["runs"] == RUNS and done["columns"]["scale"] == "divide"


@pytest.mark.slow
def test_new_mixtures_may_be_raw_weights_where_the_runs_were(tmp_path):
    path, workspace = tmp_path / "runs.csv", tmp_path / "workspace"
    path.write_text(text(RAW))
    answer = ("--answer", "scale=divide")
    engine(workspace, "import", "--study", "Mine", "--format", "flat", "--weights", str(path), *answer)
    wish = ("predict", "--study", "Mine", "--surrogate", "linear")
    found = []
    for times in (1.0, 3.0):
        raw = {name: [times * cell for cell in cells] for name, cells in made.RAW.items()}
        (tmp_path / "new.csv").write_text(text(under("w_", raw)))
        engine(workspace, *wish, "--weights", str(tmp_path / "new.csv"), "--out", str(out := tmp_path / f"{times}.csv"))
        found.append([float(line.split(",")[0]) for line in out.read_text().split()[1:]])
    assert len(found[0]) == RUNS and np.allclose(*found)
