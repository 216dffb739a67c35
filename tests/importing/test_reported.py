"""Results of planned runs in trackers' exports: Weights & Biases, MLflow, Trackio; last, best or smoothed."""

import json
import sqlite3

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.importing.files import read_table
from engine.importing.reducing import reduced
from engine.importing.reported import Wanted, results_in_table
from tests.importing.reading import runs_of

IDS = ["lab-1-00001", "lab-1-00002", "lab-1-00003"]
WANTED = [Wanted("web", False), Wanted("code", False)]
WEB = np.array([[3.0, 2.5, 2.0, 2.2], [3.1, 2.6, 2.4, 2.5], [3.2, 2.9, 2.7, 2.6]])  # of each run, by step
STEPS = [10, 20, 30, 40]


def read(tmp_path, name: str, content: str | bytes, **more):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return results_in_table(read_table(path), set(IDS), WANTED, **more)


def history(prefix: str = "eval/", head: str = "run,_step") -> str:
    lines = [f"{head},{prefix}web_loss,{prefix}code_loss,train/loss"]
    for run, values in zip(IDS, WEB, strict=True):
        lines += [f"{run},{step},{value},{value + 1},{value - 1}" for step, value in zip(STEPS, values, strict=True)]
    return "\n".join(lines) + "\n"


def web(found) -> list[float]:
    return [run["losses"]["web"] for run in found.runs]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("last", WEB[:, -1]), ("best", WEB.min(axis=1)), ("smoothed", WEB[:, 1:].mean(axis=1))],
)
def test_a_history_counts_as_somebody_says(tmp_path, value, expected):
    found = read(tmp_path, "history.csv", history(), value=value)
    np.testing.assert_allclose(web(found), expected)
    assert found.columns == {"web": "eval/web_loss", "code": "eval/code_loss"}
    curve = found.runs[0]["curve"]
    assert found.runs[0]["steps"] == 40 and [point["step"] for point in curve] == STEPS
    assert curve[1] == {"step": 20, "loss": 1.5, "losses": {"web": 2.5, "code": 3.5}}


def test_which_value_counts_is_asked(tmp_path):
    with pytest.raises(Problem, match=r"last: .*best: .*smoothed: "):
        read(tmp_path, "history.csv", history())


def test_the_best_score_is_the_highest():
    assert reduced([0.1, 0.5, np.nan, 0.3], "best", True) == 0.5 and reduced([1, 2, 3], "best", False) == 1
    assert np.isnan(reduced([np.nan], "last", True)) and reduced(np.arange(100), "smoothed", True) == 94.5


def test_a_run_table_of_weights_and_biases(tmp_path):
    """One row per run; a crashed one failed, one in training has no result."""
    table = (
        "Name,State,web,code,lr\n" + f"{IDS[0]},finished,2.5,3,.1\n{IDS[1]},crashed,9,9,.1\n{IDS[2]},running,4,4,.1\n"
    )
    found = read(tmp_path, "wandb.csv", table + "other,finished,1,1,.1\n")
    assert found.runs == [
        {"run": IDS[0], "losses": {"web": 2.5, "code": 3.0}},
        {"run": IDS[1], "state": "failed", "message": "wandb.csv says State crashed."},
    ]
    assert "'other'" in found.notes[0] and "still in training" in found.notes[1]


def test_a_panel_of_weights_and_biases(tmp_path):
    head = [
        "Step",
        *(f"{run} - {name}{end}" for run in IDS[:2] for name in ("web", "code") for end in ("", "__MIN", "__MAX")),
    ]
    rows = [f"{step},2,1,9,3,1,9,{4 - step / 20},1,9,5,1,9" for step in (20, 40)]
    quoted = ",".join(f'"{name}"' for name in head)
    found = read(tmp_path, "panel.csv", "\n".join([quoted, *rows]) + "\n", value="last")
    assert web(found) == [2.0, 2.0] and found.runs[1]["losses"]["code"] == 5.0


def test_a_run_table_of_mlflow(tmp_path):
    head = "run_id,status,metrics.web,metrics.code,params.mixdesk_run,tags.mlflow.runName\n"
    found = read(tmp_path, "mlflow.csv", head + f"0af,FINISHED,2.5,3.5,{IDS[0]},bold-cat\n1bc,FAILED,1,1,{IDS[1]},x\n")
    assert [run.get("state") for run in found.runs] == [None, "failed"] and web(read_first(found)) == [2.5]


def read_first(found):
    return found._replace(runs=found.runs[:1])


def trackio(path, rows, configs=()):
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT)"
        )
        database.execute("CREATE TABLE configs (id INTEGER PRIMARY KEY, run_name TEXT, config TEXT, created_at TEXT)")
        database.executemany("INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES ('now', ?, ?, ?)", rows)
        database.executemany("INSERT INTO configs (run_name, config, created_at) VALUES (?, ?, 'now')", configs)
    database.close()


def test_the_database_of_trackio(tmp_path):
    rows = [
        (run, step, json.dumps({"web": value, "eval": {"code": value + 1}}))
        for run, values in zip(IDS, WEB, strict=True)
        for step, value in zip(STEPS, values.tolist(), strict=True)
    ]
    trackio(tmp_path / "lab.db", rows)
    found = results_in_table(read_table(tmp_path / "lab.db"), set(IDS), WANTED, value="best")
    np.testing.assert_allclose(web(found), WEB.min(axis=1))
    assert found.columns == {"web": "web", "code": "eval.code"} and len(found.runs[2]["curve"]) == 4


def test_its_runs_may_be_imported_with_their_settings(tmp_path):
    """Shares in the settings of runs, losses in their histories."""
    rng, rows, configs = np.random.default_rng(0), [], []
    for number, shares in enumerate(rng.dirichlet(np.ones(3), 12).round(6)):
        shares[2] = 1 - shares[:2].sum()
        configs.append((f"run-{number}", json.dumps({"mixture": dict(zip("abc", shares.tolist(), strict=True))})))
        for step in (1, 2, 3, 4):
            rows.append(
                (f"run-{number}", step, json.dumps({"a_loss": 3 - shares[0] + 1 / step, "b_loss": 3 - shares[1]}))
            )
    trackio(tmp_path / "trackio.db", rows, configs)
    runs = runs_of(tmp_path / "trackio.db", answers={"steps": "smoothed"})
    assert len(runs.keys) == 12 and list(runs.mapping.weights) == ["a", "b", "c"]
    np.testing.assert_allclose(runs.values[:, 0], 3 - runs.weights[:, 0] + np.mean([1 / 2, 1 / 3, 1 / 4]), atol=1e-6)


@pytest.mark.parametrize(
    ("content", "words"),
    {
        "another database": (b"", "not Trackio's"),
        "no runs of the plan": ("name,web,code\nx,1,2\n", "no column holds an id"),
        "no metric": (f"name,loss_of_all\n{IDS[0]},2\n", "none of web, code"),
        "two columns of a metric": (f"name,train2/web,eval/web\n{IDS[0]},2,3\n", "Cannot tell which column"),
        "rows without a step": (f"name,web\n{IDS[0]},2\n{IDS[0]},3\n", "no column is called like a step"),
    }.values(),
)
def test_what_cannot_be_read(tmp_path, content, words):
    if not content:
        with sqlite3.connect(tmp_path / "other.db") as database:
            database.execute("CREATE TABLE experiments (id INTEGER)")
        database.close()
        content = (tmp_path / "other.db").read_bytes()
    with pytest.raises(Problem, match=words):
        read(tmp_path, "results", content)


def test_columns_may_be_named(tmp_path):
    table = f"name,train2/web,eval/web\n{IDS[0]},2,3\n"
    assert web(read(tmp_path, "runs.csv", table, given={"web": "eval/web"})) == [3.0]
    with pytest.raises(Problem, match="Cannot find the column 'wob'"):
        read(tmp_path, "runs.csv", table, given={"web": "wob"})
    with pytest.raises(Problem, match="the metrics of this study are"):
        read(tmp_path, "runs.csv", table, given={"wob": "eval/web"})


def test_no_number_at_the_end_is_a_run_that_diverged(tmp_path):
    table = f"name,step,web\n{IDS[0]},1,2\n{IDS[0]},2,inf\n{IDS[1]},1,inf\n{IDS[1]},2,inf\n"
    found = read(tmp_path, "runs.csv", table, value="best")
    assert [run["losses"]["web"] for run in found.runs] == [2.0, None]
