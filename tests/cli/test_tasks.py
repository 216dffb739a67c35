"""Tasks from the command line: added, listed, measured by proxies, and counted only where somebody says so."""

import json

import pytest

from engine.metrics import ITEM_METRICS
from engine.metrics.verifiers import VERIFIERS
from engine.tasks.cut import CUTS
from engine.tasks.generated import GENERATORS
from tests.support.running import TINY, copied, engine
from tests.system.test_words import commands

CHOICES = [{"question": f"{k} and {k} is ", "choices": [str(2 * k), "no"], "answer": 0} for k in range(20)]


@pytest.fixture(scope="module")
def workspace(tasked, tmp_path_factory):
    return copied(tasked, tmp_path_factory.mktemp("tasks") / "workspace")


def told(workspace, *words: str):
    return json.loads(engine(workspace, *words).stdout)


def test_a_task_is_added_shown_and_removed(workspace, tmp_path):
    (tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, CHOICES)))
    added = told(workspace, "add-task", "sums", "--file", str(tmp_path / "sums.jsonl"), "--private")
    assert (added["items"], added["metrics"], added["private"]) == (20, ["accuracy", "answer_bits"], True)
    told(workspace, "add-task", "closing", "--generate", "brackets", "--items", "30")
    told(
        workspace,
        "add-task",
        "next",
        "--cut",
        "continuation",
        "--corpus",
        "small",
        "--domain",
        "digits",
        "--items",
        "9",
    )
    assert [one["name"] for one in told(workspace, "tasks")] == ["brackets", "closing", "next", "sums"]
    assert told(workspace, "show-task", "sums")["shown"] == [], "nothing of a private task is shown"
    assert len(told(workspace, "show-task", "closing", "--first", "29")["shown"]) == 2
    told(workspace, "mark-corpus", "small")
    assert told(workspace, "show-task", "next")["shown"] == [], "nor of one from a corpus that became private"
    told(workspace, "mark-corpus", "small", "--public")
    assert len(told(workspace, "show-task", "next")["shown"]) == 5
    assert told(workspace, "remove-task", "next") == {"removed": "next"}


def test_a_task_may_be_the_first_thing_in_a_workspace(tmp_path):
    """One that is refused leaves nothing behind, as a mistyped name."""
    (tmp_path / "odd.jsonl").write_text(json.dumps({"question": "?"}))
    refused = engine(tmp_path / "w", "add-task", "odd", "--file", str(tmp_path / "odd.jsonl"), check=False)
    assert refused.returncode == 1 and "no right answer" in refused.stderr and not (tmp_path / "w").exists()
    told(tmp_path / "w", "add-task", "closing", "--generate", "brackets", "--items", "5")
    assert [one["name"] for one in told(tmp_path / "w", "tasks")] == ["closing"]


@pytest.mark.parametrize("table", [GENERATORS, CUTS, VERIFIERS, ITEM_METRICS])
def test_what_a_table_has_is_offered(table, monkeypatch):
    """So that a generator, a cut, a verifier or a metric of tasks is one function and one line."""
    monkeypatch.setitem(table, "of_ones_own", None)
    assert "of_ones_own" in commands()["add-task"].format_help()


def test_a_study_measures_its_tasks_and_counts_them_where_told(workspace):
    priorities = {one["metric"]: one["priority"] for one in told(workspace, "show", "Tasked")["metrics"]}
    assert priorities["brackets accuracy"] == 0 < priorities["prose"]
    runs = told(workspace, "runs", "Tasked")
    assert all({"brackets accuracy", "brackets answer bits"} <= set(run["losses"]) for run in runs if run["losses"])
    assert told(workspace, "tasks")[0]["studies"] == ["Tasked"]
    refused = engine(workspace, "remove-task", "brackets", check=False)
    assert refused.returncode == 1 and "'Tasked' measures it" in refused.stderr


def test_items_in_training_text_are_counted_with_the_study_and_on_demand(workspace):
    (there,) = told(workspace, "overlap", "Tasked")
    assert (there["items"], there["standing"], there["too_short"]) == (40, 0, 40), "brackets are too short to tell"
    assert len(there["gains"]) == 2 and all(gain["unknown"] or gain["verdict"] for gain in there["gains"])
    again = told(workspace, "count-overlap", "Tasked")
    assert again["already_there"] and again["state"] == "done"
    refused = engine(workspace, "clean-task", "brackets", "clean", "--study", "Small", check=False)
    assert refused.returncode == 1 and "none was looked for in 'Small' yet" in refused.stderr
    cleaned = told(workspace, "clean-task", "brackets", "clean", "--study", "Tasked")
    assert cleaned["items"] == 40 and "without 0 items that stand in the training text" in cleaned["source"]
    told(workspace, "remove-task", "clean")
    refused = engine(workspace, "count-overlap", "Small", check=False)
    assert refused.returncode == 1 and "it measures no task" in refused.stderr


def test_flips_are_counted_once_the_runs_are_there(workspace):
    runs = [run for run in told(workspace, "runs", "Tasked") if run["losses"]]
    worse = [run["losses"]["worse windows"] for run in runs]
    assert all(0 <= one <= 1 for one in worse) and max(worse) > 0.3, "mixtures of one domain are worse elsewhere"
    prior = [run["losses"] for run in runs if run["role"] == "repeat" or run["label"] == "natural"]
    assert len(prior) == 3 and max(one["worse windows"] for one in prior) < 0.2
    assert all(0 <= run["losses"]["brackets worse items"] <= 1 for run in runs)
    shown = told(workspace, "show", "Tasked")
    assert {job["kind"] for job in shown["jobs"] if job["state"] == "done"} >= {"flips", "overlap", "train", "fit"}
    assert shown["warnings"] == [] and shown["aggregate"]["priorities"]["worse windows"] == 0
    (row,) = [one for one in told(workspace, "readiness", "Tasked")["metrics"] if one["metric"] == "worse windows"]
    assert row["repeats"] == 2 and row["held_out_rank"] is not None


def test_flips_of_confirmations_are_counted_against_their_own_baseline(workspace):
    confirm = ("--candidate", "uniform", "--times", "1", "--seeds", "2", "--spread", "0", "--wait")
    told(workspace, "confirm", "Tasked", *confirm)
    runs = [run for run in told(workspace, "runs", "Tasked") if run["role"] == "confirm"]
    worse = {run["label"]: run["losses"]["worse windows"] for run in runs}
    assert len(worse) >= 2 and worse["natural"] < worse["uniform"] <= 1


def test_a_study_of_a_task_that_is_not_there_is_refused(workspace, tmp_path):
    (tmp_path / "study.toml").write_text(TINY.replace("[fidelity]", 'tasks = ["poems"]\n[fidelity]'))
    refused = engine(workspace, "start", str(tmp_path / "study.toml"), check=False)
    assert refused.returncode == 1 and "Cannot find the task 'poems'. Choose one of" in refused.stderr
