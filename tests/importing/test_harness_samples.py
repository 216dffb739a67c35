"""Samples of harnesses: read as both write them, matched to the runs of an imported study, and shown side by side."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.importing.harness_samples import read_samples, samples_in, written
from engine.studies import task_scores
from engine.studies.harness_samples import add_samples
from store import runs, studies
from store.database import Store
from tests.support.running import engine

DATE = "2026-11-30T10-00-00.123456"
CHOICES = [" red", " green"]


def choice(place: int, right: int, logs: tuple[float, float]) -> dict:
    """A line of lm-evaluation-harness, of a task of choices."""
    return {
        "doc_id": place,
        "doc": {"question": f"Colour {place}?"},
        "target": str(right),
        "arguments": {f"gen_args_{k}": {"arg_0": f"Colour {place}?", "arg_1": one} for k, one in enumerate(CHOICES)},
        "resps": [[[str(one), "False"]] for one in logs],
        "filtered_resps": [[str(one), "False"] for one in logs],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": "1",
        "acc": float(np.argmax(logs) == right),
    }


CHOICE = choice(0, 0, (-1.0, -2.0))


def lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_choices_of_lm_evaluation_harness():
    rows = [choice(1, 1, (-2.0, -1.0)), choice(0, 0, (-3.0, -2.5))]
    found = read_samples(f"results/run-1/org__model/samples_colours_{DATE}.jsonl", lines(rows))
    assert found.names[:3] == ["org__model", "model", "org"] and "run-1" in found.names
    assert (found.task, found.metric, found.date) == ("colours", "acc", DATE)
    assert [one.prompt for one in found.samples] == ["Colour 0?", "Colour 1?"], "in the order of the items"
    assert [(one.right, one.answer, one.score) for one in found.samples] == [
        ([" red"], " green", 0.0),
        ([" green"], " green", 1.0),
    ]


def test_generated_answers_count_by_their_first_filter_and_in_older_layouts():
    row = {"doc_id": 0, "doc": {}, "target": "7", "arguments": [["3 + 4 =", {"until": ["\n"]}]], "resps": [[" 7"]]}
    rows = [
        {**row, "filtered_resps": [said], "exact_match": score} for said, score in ((" 7", 1.0), ("[invalid]", 0.0))
    ]
    (one,) = read_samples(f"a/samples_gsm8k_{DATE}.jsonl", lines(rows)).samples
    assert (one.prompt, one.right, one.answer, one.score) == ("3 + 4 =", ["7"], " 7", 1.0)


NEW = {
    "doc": {"query": "Colour 0?", "choices": CHOICES, "gold_index": 1},
    "model_response": {"text": [], "logprobs": [-2.0, -1.0]},
    "metric": {"acc": 1},
}
OLD = {"full_prompt": "3 + 4 =", "choices": [], "gold": ["7"], "predictions": ["8"], "metrics": {"em": 0.0}}


@pytest.mark.parametrize(
    ("row", "wanted"),
    [(NEW, ("Colour 0?", [" green"], " green", 1.0)), (OLD, ("3 + 4 =", ["7"], "8", 0.0))],
)
def test_both_layouts_of_lighteval(row, wanted, tmp_path):
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "details")
    path = f"run-1/details/org/model/{DATE}/details_lighteval|colours|0_{DATE}.parquet"
    found = read_samples(path, (tmp_path / "details").read_bytes())
    (one,) = found.samples
    assert (one.prompt, one.right, one.answer, one.score) == wanted
    assert found.task == "lighteval|colours|0" and DATE not in found.names and "run-1" in found.names


@pytest.mark.parametrize("data", [b"{}", b"\xff\xfe", b'{"doc_id": 0}\n', b""])
def test_what_is_no_samples_is_refused_with_its_name(data):
    with pytest.raises(Problem, match=r"samples_x_.*jsonl"):
        read_samples(f"a/samples_x_{DATE}.jsonl", data)
    assert read_samples("a/results.json", data) is None
    with pytest.raises(Problem, match=r"there are a/results\.json"):
        samples_in([("a/results.json", data)], "a")


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A workspace with an imported study of six runs that a harness measured, and the folder of its samples."""
    root = tmp_path_factory.mktemp("samples")
    rng = np.random.default_rng(0)
    table = ["run,web,code"]
    for run in range(6):
        share, folder = rng.uniform(0.2, 0.8), root / "results" / f"run-{run}" / "model"
        folder.mkdir(parents=True)
        rows = [choice(k, k % 2, (-1.0, -2.0 + 2 * (run > 2))) for k in range(4)]
        (folder / f"samples_colours_{DATE}.jsonl").write_bytes(lines(rows))
        told = {"acc,none": 0.5 + run / 20, "acc_stderr,none": 0.1}
        results = {"results": {"colours": told}, "higher_is_better": {"colours": {"acc": True}}, "versions": {}}
        (folder / f"results_{DATE}.json").write_text(json.dumps(results))
        table.append(f"run-{run},{share},{1 - share}")
    (root / "runs.csv").write_text("\n".join(table) + "\n")
    workspace, asked = root / "w", ("--format", "pair", "--weights", root / "runs.csv", "--metrics", root / "results")
    engine(workspace, "import", "--study", "Harness", *map(str, asked))
    return workspace, root / "results"


def test_a_task_that_cannot_be_read_costs_itself(imported):
    """As a task without single answers writes its samples: the perplexity of whole texts."""
    rolling = [{"doc_id": 0, "target": "a", "arguments": {"gen_args_0": {"arg_0": "a"}}, "filtered_resps": [-3.0]}]
    files = [(f"run-0/samples_{task}_{DATE}.jsonl", lines(rows)) for task, rows in (("wiki", rolling), ("c", [CHOICE]))]
    found, left = samples_in(files, "x")
    assert [one.task for one in found] == ["c"] and len(left) == 1 and "samples_wiki" in left[0]


def test_one_run_brings_its_samples_by_the_command_line(imported):
    workspace, folder = imported
    own = (
        "submit-runs",
        "Harness",
        "--id",
        "new",
        "--weight",
        "web=.6",
        "--weight",
        "code=.4",
        "--loss",
        "colours acc=.7",
    )
    told = json.loads(engine(workspace, *own, "--samples", str(folder / "run-0")).stdout)
    assert told["samples"] == {"colours": 1} and told["added"] == ["new"]
    one = folder / "run-0" / "model" / f"samples_colours_{DATE}.jsonl"
    assert json.loads(engine(workspace, *own, "--samples", str(one)).stdout)["already_there"] == ["new"]
    many = engine(workspace, *own, "--samples", str(folder), check=False)
    assert many.returncode == 1 and "there are 6 of 'colours'" in many.stderr


def test_samples_join_the_runs_of_an_imported_study(imported):
    workspace, folder = imported
    told = json.loads(engine(workspace, "add-samples", "Harness", str(folder)).stdout)
    assert told["tasks"] == {"colours": 6} and told["notes"] == []
    store = Store(Workspace.open(workspace))
    try:
        study = studies.get(store, "Harness")
        assert task_scores.tasks_of(store, study) == ["colours"]
        ids = task_scores.answered(store, study, "colours")
        assert len(ids) == len(runs.ids(store, study.id)) == 7
        rows = task_scores.side_by_side(store, "colours", ids[0], ids[5])
        assert rows[0].prompt == "Colour 0?" and rows[0].answers == (" red", " green") and rows[0].change == -1
        assert [one.objective.metric for one in task_scores.scored(store, study, "colours")] == ["colours acc"]
        assert COMMANDS["show_task"](store, "colours")["shown"][1]["answers"] == [" green"]
        with as_person(SYSTEM), pytest.raises(Problem, match="no folder around them is called after one of its runs"):
            add_samples(
                store, study, samples_in([(f"x/samples_c_{DATE}.jsonl", lines([choice(0, 0, (0, -1))]))], "x")[0]
            )
        other = lines([choice(7, 0, (0, -1))])
        files = [
            (f"run-0/samples_c_{DATE}.jsonl", other),
            (f"run-1/samples_c_{DATE}.jsonl", lines([choice(0, 0, (0, -1))])),
        ]
        with as_person(SYSTEM), pytest.raises(Problem, match="was asked 1 item"):
            add_samples(store, study, samples_in(files, "x")[0])
        assert b"run-0" in written(samples_in(files, "x")[0])
    finally:
        store.close()
