"""Results of lm-evaluation-harness and lighteval: read as their files say, joined with mixtures, sent with runs."""

import json

import numpy as np
import pytest

from engine import importing
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.importing import read_runs, read_table, refuse_open
from engine.importing.harness import is_results, read_results
from engine.importing.harness_files import combined, files_in
from engine.studies import imports
from engine.studies.submissions import submit_runs
from store import runs, studies
from store.database import Store
from store.from_journals import rebuild
from tests.importing.reading import written
from tests.importing.results import ARC, RUNS, SHARES, mixtures, newest
from tests.support.running import engine

OLD = {
    "results": {
        "hellaswag": {"acc": 0.2891, "acc_stderr": 0.0045, "acc_norm": 0.3102, "acc_norm_stderr": 0.0046},
        "lambada_openai": {"ppl": 90.5, "ppl_stderr": 3.75, "acc": 0.2},
    },
    "versions": {"hellaswag": 0, "lambada_openai": 0},
    "config": {"model": "hf-causal", "model_args": "pretrained=/models/run-7/hf", "num_fewshot": 0, "limit": None},
}
LIGHTEVAL = {
    "config_general": {"model_name": "org/small", "start_time": 12.5},
    "results": {
        "leaderboard|arc:challenge|25": {
            "acc": 0.2125,
            "acc_stderr": 0.01196,
            "acc_norm": 0.25,
            "acc_norm_stderr": 0.0126,
        },
        "lighteval|math|4": {"qem": 0.015, "qem_stderr": 0.002},
        "leaderboard|mmlu:_average|5": {"acc": 0.25, "acc_stderr": 0.03},
        "all": {"acc": 0.2125, "acc_stderr": 0.01196, "qem": 0.015},
    },
    "versions": {"leaderboard|arc:challenge|25": 0},
    "config_tasks": {"leaderboard|arc:challenge": {"effective_num_docs": 1172}},
}


def values_of(found):
    return {title: (score.value, score.error) for title, score in found.scores.items()}


def test_version_04_is_read_as_its_own_table_has_it():
    found = read_results(newest(), "results.json")
    assert values_of(found) == {
        "arc_easy acc": (0.31, 0.011),
        "arc_easy acc_norm": (0.31 + 0.02, None),
        "gsm8k exact_match (strict-match)": (0.02, None),
        "gsm8k exact_match (flexible-extract)": (0.31 / 9, 0.004),
        "wikitext word_perplexity": (30 - 9 * 0.31, None),
        "odd jolts": (0.62, 0.1),
    }
    known = {title: (one.known.higher, one.known.chance, one.known.items) for title, one in found.scores.items()}
    assert known["arc_easy acc"] == (True, 0.25, 500)
    assert known["gsm8k exact_match (strict-match)"] == (True, None, 1319)
    assert known["wikitext word_perplexity"] == (False, None, None)
    assert known["odd jolts"] == (False, None, None), (
        "the choices of its items differ: nothing says what guessing scores"
    )
    assert {key for why, key in found.left if why.startswith("Averages")} == {"mmlu", "leaderboard"}


def test_version_03_says_neither_directions_nor_items():
    found = read_results(OLD, "old.json")
    assert values_of(found) == {
        "hellaswag acc": (0.2891, 0.0045),
        "hellaswag acc_norm": (0.3102, 0.0046),
        "lambada_openai ppl": (90.5, 3.75),
        "lambada_openai acc": (0.2, None),
    }
    assert {(one.known.higher, one.known.chance, one.known.items) for one in found.scores.values()} == {(None,) * 3}


def test_lighteval_is_read_without_its_averages():
    found = read_results(LIGHTEVAL, "lighteval.json")
    assert values_of(found) == {
        "leaderboard|arc:challenge|25 acc": (0.2125, 0.01196),
        "leaderboard|arc:challenge|25 acc_norm": (0.25, 0.0126),
        "lighteval|math|4 qem": (0.015, 0.002),
    }
    assert found.scores["leaderboard|arc:challenge|25 acc"].known.items == 1172
    assert [key for _, key in found.left] == ["leaderboard|mmlu:_average|5", "all"]


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        ({"acc,none": float("nan")}, "arc acc: nan"),
        ({"acc,none": "N/A"}, "arc acc: 'N/A'"),
        ({"acc,none": {"mean": 0.3}}, "arc acc: {'mean': 0.3}"),
        ({"acc,none": True}, "arc acc: True"),
        ({"acc_stderr,none": 0.1}, "arc acc_stderr"),
        ([0.3, 0.1], "arc: [0.3, 0.1]"),
        (0.3, "arc: 0.3"),
    ],
)
def test_what_is_not_understood_is_named(facts, key):
    file = {"results": {"arc": facts, "boolq": {"acc,none": 0.6, "acc_stderr,none": 0.01}}, "versions": {}}
    found = read_results(file, "odd.json")
    assert list(found.scores) == ["boolq acc"] and [one for _, one in found.left] == [key]
    with pytest.raises(Problem, match=r"odd\.json: its results hold no score"):
        read_results({**file, "results": {"arc": facts}}, "odd.json")


@pytest.mark.parametrize("error", [float("nan"), -0.1, "N/A", None, True])
def test_an_error_that_is_none_leaves_the_value_without_one(error):
    found = read_results({"results": {"arc": {"acc,none": 0.3, "acc_stderr,none": error}}, "versions": {}}, "x")
    assert values_of(found) == {"arc acc": (0.3, None)} and found.left == (("Without a standard error", "arc acc"),)


def test_a_file_without_results_and_tables_of_people_are_told_apart(tmp_path):
    with pytest.raises(Problem, match="hold no score of a task"):
        read_results({"results": {}, "versions": {}}, "empty.json")
    assert not is_results({"config": {"mixture": {"web": 1}}, "results": {"web": {"loss": 2.0}}})
    rows = [{"run": n, "mixture": {"a": n / 9, "b": 1 - n / 9}, "results": {"loss": 2.0 + n}} for n in range(6)]
    table = read_table(written(tmp_path / "own.json", json.dumps(rows)))
    assert not table.told and "results.loss" in table.columns


def folder_of(root, files):
    """Results files in folders: path -> what the file holds."""
    for path, value in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(value if isinstance(value, str) else json.dumps(value))
    return root


def results_of_runs(root):
    name = "results_2026-11-30T10-00-00.123456.json"
    return folder_of(root, {f"{run}/org__m/{name}": newest(arc) for run, arc in zip(RUNS, ARC, strict=True)})


def reading(tmp_path, root, key="run", **given):
    text, notes = combined(files_in(root), "results")
    tables = [read_table(mixtures(tmp_path / "w.csv", key)), read_table(written(tmp_path / "m.jsonl", text))]
    found = importing.read("pair", *tables, **given)
    refuse_open(found.questions, found.answers)
    return read_runs(found), notes


@pytest.mark.parametrize("key", ["run", "name"])
def test_a_folder_of_results_is_joined_by_the_names_of_its_folders(tmp_path, key):
    others = {"notes.json": {"a": 1}, "run-0/torn.json": "{", "run-0/scores.csv": "acc\n.4", ".DS_Store": "x"}
    root = folder_of(results_of_runs(tmp_path / "results"), others)
    found, notes = reading(tmp_path, root, key)
    assert found.keys == RUNS and notes == [
        "Not read, because they do not hold the results of a harness: results/notes.json, results/run-0/scores.csv, "
        "results/run-0/torn.json."
    ]
    objectives = {one.metric: one for one in found.mapping.objectives}
    assert list(objectives) == [
        "arc_easy acc",
        "arc_easy acc_norm",
        "gsm8k exact_match (flexible-extract)",
        "wikitext word_perplexity",
        "odd jolts",
    ], "a score that is the same in all runs says nothing"
    arc = objectives["arc_easy acc"]
    assert (arc.unit, arc.higher_is_better, arc.chance, arc.items, arc.usual) == ("accuracy", True, 0.25, 500, 1.0)
    assert not objectives["odd jolts"].higher_is_better and objectives["wikitext word_perplexity"].unit == "perplexity"
    np.testing.assert_array_equal(found.values[:, 0], ARC)
    assert found.errors[:, 0].tolist() == [0.011] * 6 and np.isnan(found.errors[:, 1]).all()
    said = " ".join(found.notes)
    assert "Averages over tasks are left out (m.jsonl): mmlu, leaderboard." in said
    assert "gsm8k exact_match (strict-match)" in said and "Without a standard error" in said


def test_of_two_files_of_a_run_the_newest_counts_and_that_is_noted(tmp_path):
    root = results_of_runs(tmp_path / "results")
    later = newest(0.5)
    del later["results"]["odd"]
    folder_of(root, {"run-2/results_2026-11-30T11-00-00.json": later})
    found, _ = reading(tmp_path, root)
    assert found.values[2, 0] == 0.5 and found.values[2, -1] == 2 * ARC[2], "what the newest lacks is of the one before"
    assert any("the newest value of each metric counts: run-2 (2 files)" in note for note in found.notes)


STEPS = {
    "folders": lambda run, step: (f"{run}/checkpoint-{step}/results.json", f"/models/{run}"),
    "models": lambda run, step: (f"{run}/results_{step}.json", f"/models/{run}/step{step}"),
    "revisions": lambda run, step: (f"{run}/{step}/results.json", f"org/m,revision=step{step}"),
}


@pytest.mark.parametrize("way", STEPS)
def test_checkpoints_of_a_run_are_asked_about_whenever_they_were_evaluated(tmp_path, way):
    """The earlier one was measured later: the newest file is not the last step."""
    files = {}
    for run, arc in zip(RUNS, ARC, strict=True):
        for step, score, date in ((1000, arc, 1.0), (200, arc / 2, 2.0)):
            path, model = STEPS[way](run, step)
            files[path] = newest(score, model, date=date)
    root = folder_of(tmp_path / "results", files)
    with pytest.raises(Problem, match=r"'checkpoint'.*several models of 6 runs: run-0 has .*1000.*Answers: last"):
        reading(tmp_path, root)
    last, _ = reading(tmp_path, root, answers={"checkpoint": "last"})
    assert last.values[:, 0].tolist() == ARC
    option = "checkpoint-200" if way == "folders" else "step200"
    early, _ = reading(tmp_path, root, answers={"checkpoint": option})
    assert early.values[:, 0].tolist() == [arc / 2 for arc in ARC]


def test_models_of_a_run_that_nothing_tells_apart_are_refused(tmp_path):
    files = {f"{run}/{k}.json": newest(0.3 + n / 99, f"/m/{run}-{k}") for n, run in enumerate(RUNS) for k in ("a", "b")}
    with pytest.raises(Problem, match=r"run-0 has run-0-a, run-0-b. Give those of one model for each run"):
        reading(tmp_path, folder_of(tmp_path / "results", files))


def test_two_files_of_a_run_without_dates_are_refused(tmp_path):
    root = results_of_runs(tmp_path / "results")
    folder_of(root, {"run-2/a.json": newest(0.5, date=None), "run-2/b.json": newest(0.6, date=None)})
    for path in root.glob("run-2/org__m/*"):
        path.unlink()
    with pytest.raises(Problem, match=r"which value of 'arc_easy acc' counts: .* says 0.5 .* 0.6"):
        reading(tmp_path, root)


def test_names_that_do_not_tell_are_refused(tmp_path):
    root = folder_of(tmp_path / "results", {f"x{n}/results.json": newest(0.3 + n / 99) for n in range(3)})
    with pytest.raises(Problem, match=r"no column of the first has a run named like the model.*x0.*org/model"):
        reading(tmp_path, root)
    root = results_of_runs(tmp_path / "twice")
    folder_of(root, {"run-1/run-3/results.json": newest(0.4)})
    with pytest.raises(Problem, match="of the run 'run-3' or 'run-1'"):
        reading(tmp_path, root)
    with pytest.raises(Problem, match="holds no results of lm-evaluation-harness or lighteval"):
        combined(files_in(folder_of(tmp_path / "none", {"a.json": {}})), "none")


def test_models_name_the_runs_of_files_without_folders(tmp_path):
    files = [
        (f"results_{n}.json", json.dumps(newest(arc, f"/models/{run}/hf")).encode())
        for n, (run, arc) in enumerate(zip(RUNS, ARC, strict=True))
    ]
    path = written(tmp_path / "m.jsonl", combined(files, "uploads")[0])
    found = importing.read("pair", read_table(mixtures(tmp_path / "w.csv")), read_table(path))
    assert not found.questions and read_runs(found).values[:, 0].tolist() == ARC


def test_directions_that_nothing_tells_are_asked_and_no_others(tmp_path):
    rows = []
    for n, run in enumerate(RUNS):
        results = {"t|error_detection|0": {"acc": 0.3 + n / 50, "acc_stderr": 0.01, "qem": 0.2 + n / 40}}
        rows.append({**LIGHTEVAL, "run": run, "results": results})
    path = written(tmp_path / "m.json", json.dumps(rows))
    tables = [read_table(mixtures(tmp_path / "w.csv")), read_table(path)]
    (question,) = importing.read("pair", *tables).questions
    assert question.id == "better" and "t|error_detection|0 qem?" in question.text
    found = importing.read("pair", *tables, answers={"better": "higher"})
    assert all(one.higher_is_better for one in found.mapping.objectives), "the task's name says nothing of its accuracy"
    chosen = importing.read("pair", *tables, metric_columns=["* acc*"])
    assert [one.metric for one in chosen.mapping.objectives] == ["t|error_detection|0 acc"], "an error is no metric"
    with pytest.raises(Problem, match="only errors"):
        importing.read("pair", *tables, metric_columns=["*stderr"])


def test_results_are_no_mixtures_and_files_must_agree(tmp_path):
    path = written(tmp_path / "m.json", json.dumps(newest()))
    with pytest.raises(Problem, match="second file of a pair"):
        importing.read("flat", read_table(path))
    other = newest()
    other["higher_is_better"]["odd"]["jolts"] = True
    with pytest.raises(Problem, match="'odd jolts': in some results files higher is better"):
        read_table(written(tmp_path / "n.json", json.dumps([newest(), other])))
    with pytest.raises(Problem, match=r"row 2 of o\.json: it holds no results"):
        read_table(written(tmp_path / "o.json", json.dumps([newest(), {"results": {}}])))
    later = newest(versions={"arc_easy": 2.0})
    table = read_table(written(tmp_path / "p.json", json.dumps([newest(), later])))
    assert any("several versions do not compare (p.json): arc_easy: 1.0, 2.0" in note for note in table.notes)


def test_an_import_from_the_command_line_and_a_run_that_is_sent(tmp_path):
    root, home = results_of_runs(tmp_path / "results"), tmp_path / "workspace"
    words = ("--study", "Harness", "--format", "pair", "--weights", str(mixtures(tmp_path / "mixtures.csv")))
    words += ("--metrics", str(root), "--surrogates", "ridge")
    done = json.loads(engine(home, "import", *words).stdout)
    assert done["runs"] == 6 and json.loads(engine(home, "import", *words).stdout)["already_there"]
    store = Store(Workspace.open(home))
    study = studies.get(store, "Harness")
    assert study.objectives[0].chance == 0.25 and study.objectives[0].items == 500
    errors = runs.standard_errors(store, study.id, len(study.metrics))
    assert {row[0] for row in errors.values()} == {0.011}
    sent = {"id": "later", "weights": {"web": 0.5, "code": 0.5}, "results": newest(0.4)}
    told = submit_runs(store, "Harness", [sent])
    assert told["added"] == ["later"] and "gsm8k exact_match (strict-match)" in told["notes"][0]
    assert submit_runs(store, "Harness", [sent])["already_there"] == ["later"]
    measured = runs.measured(store, study.id)
    row = measured.labels.index("later")
    assert measured.losses[row, 0] == 0.4
    assert runs.standard_errors(store, study.id, len(study.metrics))[measured.ids[row]][0] == 0.011
    before = store.rows("SELECT id, losses, losses_se FROM runs ORDER BY id")
    rebuild(store.workspace, tmp_path / "again.duckdb")
    again = Store(store.workspace, tmp_path / "again.duckdb")
    assert repr(again.rows("SELECT id, losses, losses_se FROM runs ORDER BY id")) == repr(before)
    again.close()
    turned = newest(0.4)
    turned["higher_is_better"]["odd"]["jolts"] = True
    for wrong, said in (
        ({"results": {"acc": 0.3}}, "give the object that lm-evaluation-harness"),
        ({"results": OLD}, "none of the study's arc_easy acc"),
        ({"results": newest(0.41)}, "exists with other numbers"),
        ({"results": newest(0.4), "losses": {"arc_easy acc": 0.7}}, "0.7 in its losses and 0.4 in its results"),
        ({"results": turned}, "'odd jolts' that the other way"),
    ):
        with pytest.raises(Problem, match=said):
            submit_runs(store, "Harness", [{**sent, **wrong}])
    store.close()


def test_a_run_with_results_is_sent_from_the_command_line(tmp_path):
    root, home = results_of_runs(tmp_path / "results"), tmp_path / "workspace"
    words = ("--study", "Harness", "--format", "pair", "--weights", str(mixtures(tmp_path / "mixtures.csv")))
    engine(home, "import", *words, "--metrics", str(root), "--surrogates", "ridge")
    (tmp_path / "later").mkdir()
    later = written(tmp_path / "later" / "results_2026-11-30T10-00-00.json", json.dumps(newest(0.4)))
    words = ("submit-runs", "Harness", "--id", "later", "--weight", "web=0.5", "--weight", "code=0.5", "--results")
    assert json.loads(engine(home, *words, str(later)).stdout)["added"] == ["later"]
    assert json.loads(engine(home, *words, str(later.parent)).stdout)["already_there"] == ["later"]
    refused = engine(home, *words, str(root), check=False).stderr
    assert "Cannot tell which results" in refused and "Name one file." in refused
    assert "it is not a file of up to" in engine(home, *words, str(tmp_path / "none"), check=False).stderr


def test_imports_without_errors_keep_their_ids(store):
    """What was imported before runs had errors is the same study when it is imported again."""
    (store.workspace.root / "imports").mkdir()
    mixtures(store.workspace.root / "imports" / "w.csv")
    table = {"run": RUNS, "web": SHARES[:, 0], "code": 1 - SHARES[:, 0], "val_loss": ARC}
    written(store.workspace.root / "imports" / "flat.csv", table)
    study = imports.import_runs(store, "Flat", "flat", "flat.csv")["study"]
    assert {losses for (losses,) in store.rows("SELECT losses_se FROM runs WHERE study = ?", [study])} == {None}
