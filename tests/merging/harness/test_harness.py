"""lm-evaluation-harness on a tiny language model and a proxy: its numbers are ours by hand, and those of its own table;
and what is said where it is missing, or asked for what cannot be."""

import importlib.util
import json
import math
import re
import sys

import numpy as np
import pytest
import torch

from engine.commands import COMMANDS
from engine.core.errors import Problem, Stopped
from engine.core.workspace import Workspace
from engine.jobs.decisions import JobPlanned
from engine.jobs.spool import Job
from engine.merging.harness import job as harness_job
from engine.merging.harness.models import model_of
from engine.metrics import ITEM_METRICS, Answers, measured
from engine.metrics.models import question
from engine.proxies.generate import continued
from engine.spec.kinds.harness import HarnessFinished, HarnessTask
from engine.studies.harness import of_proxy
from engine.tasks.task import EvalTask, Item, Sampling
from store import results
from store.database import Store
from store.from_journals import rebuild
from tests.support.nasty import tell
from tests.support.running import answer, copied
from tests.support.working import read_events

there = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed: requirements-harness.txt"
)
CHOICES = ["green", "the", "import"]
COLOURS = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: ["green", "the", "import"]
doc_to_target: answer
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
READ = """
task: reading
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list: [{metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}]
"""
WRITE = """
task: writing
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{written}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 4, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
SURE = """
task: surely
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: loglikelihood
doc_to_text: "{{question}}"
doc_to_target: "{{written}}"
target_delimiter: ""
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


def questions() -> list[str]:
    """Beginnings of sentences and of lines of code: what follows differs between them."""
    words = ["if not self", "from engine", "of the", "in all", "def", "return", "Permission is", "copies of"]
    return [f"{one} {two}" for one in words for two in ("and", "is", "as", "x")]


def write_tasks(workspace, written: list[str] | None = None) -> None:
    """The files of tasks. written: what each question is followed by, of the tasks that ask for that."""
    folder = workspace / "harness"
    folder.mkdir(exist_ok=True)
    rows = [
        {"question": one, "answer": place % 3, "written": (written or [""] * 99)[place]}
        for place, one in enumerate(questions())
    ]
    (folder / "colours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in (("colours", COLOURS), ("reading", READ), ("writing", WRITE), ("surely", SURE)):
        (folder / f"{name}.yaml").write_text(text)


@pytest.fixture(scope="module")
def desk(learning_desk, tmp_path_factory):
    """A workspace with tiny Llamas, saved proxies, and files of tasks."""
    made = copied(learning_desk, tmp_path_factory.mktemp("harness") / "workspace")
    write_tasks(made)
    return made


def proxy_of(desk) -> str:
    """The path of a saved proxy."""
    return sorted(desk.glob("experts/*/*.safetensors"))[1].relative_to(desk).as_posix()


def task_of(desk, model: str, tasks: list[str], **more) -> HarnessTask:
    store = Store(Workspace.open(desk))
    own = of_proxy(store, model, None) if model.endswith(".safetensors") else {}
    store.close()
    return HarnessTask(model=model, tasks=tasks, **own, **more)


def job_of(desk, folder, task: HarnessTask) -> Job:
    folder.mkdir(exist_ok=True)
    return Job(folder, desk, task.spec())


def by_hand(desk, model: str, metric: str, **item) -> tuple[float, np.ndarray]:
    """Our own metric on the same items, and its scores of them. item: fields of each, by place."""
    models, _ = model_of(task_of(desk, model, ["colours"]), desk)
    items = [Item(one, **{key: make(place) for key, make in item.items()}) for place, one in enumerate(questions())]
    task = EvalTask("colours", [metric], items, "by hand", sampling=Sampling(most_tokens=4, stop=["\n"]))
    value, _, scores = measured(ITEM_METRICS[metric], Answers(task, models))
    return float(value[0]), scores[0]


def table_of(found: dict) -> dict[str, tuple[float, float]]:
    """The harness' own table of results, as it prints it: metric -> value, standard error."""
    from lm_eval.utils import make_table

    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in make_table(found).splitlines()[2:]]
    return {row[4]: (float(row[6]), float(row[8])) for row in rows}


@there
@pytest.mark.soak
@pytest.mark.parametrize("kind", ["language model", "proxy"])
def test_its_accuracy_is_ours_by_hand_and_that_of_its_own_table(desk, kind):
    model = "checkpoints/base" if kind == "language model" else proxy_of(desk)
    found = answer(desk, "run-harness", model, "--task", "colours", "--wait")
    (score,) = found["scores"]
    choices = [f" {one}" for one in CHOICES]
    right = lambda place: [float(place % 3 == c) for c in range(3)]  # noqa: E731
    value, scores = by_hand(desk, model, "accuracy", choices=lambda place: choices, scores=right)
    assert 0 < value < 1, "a model that is always right, or never, would show little"
    assert score["value"] == value
    assert score["error"] == pytest.approx(scores.std(ddof=1) / math.sqrt(len(scores)))
    assert (score["metric"], score["higher_is_better"]) == ("colours acc", True)
    assert (score["items"], score["chance"]) == (len(questions()), pytest.approx(1 / 3))
    written = json.loads((desk / found["file"]).read_text())
    assert "pretty_env_info" not in written
    assert table_of(written)["acc"] == (pytest.approx(value, abs=5e-5), pytest.approx(score["error"], abs=5e-5))


@there
@pytest.mark.soak
def test_answers_texts_and_continuations_are_as_by_hand(desk, tmp_path):
    """On a proxy: whether an answer is the most likely one, bits per byte of whole texts, and what it writes."""
    model = proxy_of(desk)
    models, prefix = model_of(task_of(desk, model, ["colours"]), desk)
    asked = [models.encode(one) for one in questions()]
    (greedy,) = models.generate([[*models.begin, *ids] for ids in asked], 4, 0.0, 0, lambda text: "\n" in text)
    greedy = [one.split("\n")[0] for one in greedy]
    write_tasks(desk, [text if place % 2 and text.strip() else "otherwise" for place, text in enumerate(greedy)])
    job = job_of(desk, tmp_path / "job", task_of(desk, model, ["reading", "writing", "surely"]))
    harness_job.run(job)
    found = next(one for one in read_events(job.folder) if one["kind"] == "harness.finished")["found"]
    values = {one["metric"]: one["value"] for one in found["scores"]}
    nats = sum(float(one.sum()) for one in models.nats([[*prefix, *ids] for ids in asked]))
    assert values["reading bits_per_byte"] == pytest.approx(
        nats / math.log(2) / sum(len(one.encode()) for one in questions())
    )
    written = sum(bool(place % 2 and text.strip()) for place, text in enumerate(greedy)) / len(greedy)
    assert 0 < written < 1 and values["writing exact_match"] == pytest.approx(written)
    sure = []
    for place, one in enumerate(questions()):
        text = greedy[place] if place % 2 and greedy[place].strip() else "otherwise"
        ids = question(models, one, text)
        (((new),),) = continued(
            models.next_logits, [[ids.ids[: ids.start]]], len(ids.ids) - ids.start, 0.0, torch.Generator()
        )
        sure.append(new == ids.ids[ids.start :])
    assert 0 < np.mean(sure) < 1 and values["surely acc"] == pytest.approx(np.mean(sure))
    assert found["context"] == models.context and found["cut"] == 0
    assert not [path for path in job.folder.iterdir() if path.name.startswith(("cache", "answered", "written"))]
    write_tasks(desk)


@there
@pytest.mark.soak
def test_a_text_longer_than_the_context_has_every_token_once_and_a_longer_answer_is_refused(desk):
    from lm_eval.api.instance import Instance

    from engine.merging.harness.adapter import HarnessModel

    models, prefix = model_of(task_of(desk, proxy_of(desk), ["colours"]), desk)
    asked = HarnessModel(models, prefix, lambda *report: None)
    text = " ".join(questions())
    ids = models.encode(text)
    windows = asked._windows(ids)
    assert len(windows) > 2 and [one for _, own in windows for one in own] == ids
    assert max(len(before) + len(own) for before, own in windows) == models.context + 1

    def request(kind: str, *arguments) -> Instance:
        return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)

    with pytest.raises(Problem, match=f"more than the context of {models.context}"):
        asked.loglikelihood([request("loglikelihood", "It is", text)])
    (whole,) = asked.loglikelihood([request("loglikelihood", text, " green")])
    assert asked.cut == 1 and whole[0] < 0
    assert asked.loglikelihood([request("loglikelihood", "", " green")])[0][0] < 0, "nothing stands before it"
    with pytest.raises(Problem, match="Cannot generate answers by 'top_p'"):
        asked.generate_until([request("generate_until", "It is", {"until": ["."], "top_p": 0.5})])
    begun, _ = model_of(task_of(desk, "checkpoints/base", ["colours"]), desk)
    with pytest.raises(Problem, match="neither a token for the beginning of a text"):
        HarnessModel(begun, [], lambda *report: None).loglikelihood_rolling([request("loglikelihood_rolling", text)])


@there
@pytest.mark.soak
def test_a_job_that_was_stopped_goes_on_after_what_was_answered(desk, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.merging.harness.adapter.TOGETHER", 8)
    task = task_of(desk, proxy_of(desk), ["colours"])
    first = job_of(desk, tmp_path / "job", task)
    reported = first.progress

    def progress(done: float, total: float, note: str = "") -> None:
        first.stopping = done >= 40 and total > 40
        reported(done, total, note)

    monkeypatch.setattr(first, "progress", progress)
    with pytest.raises(Stopped):
        harness_job.run(first)
    asked: list[float] = []
    second = job_of(desk, tmp_path / "job", task)
    again = second.progress
    monkeypatch.setattr(
        second, "progress", lambda done, total, note="": [asked.append(total), again(done, total, note)]
    )
    harness_job.run(second)
    assert max(asked) == 3 * len(questions()) - 40, "what was answered is not asked again"
    whole = job_of(desk, tmp_path / "whole", task)
    harness_job.run(whole)
    kept, plain = (
        next(one for one in read_events(job.folder) if one["kind"] == "harness.finished")["found"]["scores"]
        for job in (second, whole)
    )
    assert kept == plain


ODD_TASKS = {  # what a file says, and what is said of it
    "a field that there is not": (
        COLOURS.replace("colours", "odd") + "colour: green\n",
        "Cannot prepare the tasks odd",
    ),
    "data that is not there": (COLOURS.replace("task: colours", "task: odd").replace(".jsonl", ".json"), "local files"),
    "data of the hub": (COLOURS.replace("task: colours", "task: odd").replace("path: json", "path: a/b"), "HF_HOME"),
    "a column that there is not": (
        COLOURS.replace("task: colours", "task: odd").replace("target: answer", "target: gold"),
        "the right answer of 32 items is none of the choices",
    ),
    "no such output": (COLOURS.replace("colours", "odd").replace("multiple_choice", "poems"), "Cannot prepare"),
}


@there
@pytest.mark.soak
@pytest.mark.parametrize("case", ODD_TASKS)
def test_a_file_that_the_harness_refuses_says_why(desk, tmp_path, case):
    text, why = ODD_TASKS[case]
    (desk / "harness" / "odd.yaml").write_text(text)
    try:
        with pytest.raises(Problem, match=why):
            harness_job.run(job_of(desk, tmp_path / "job", task_of(desk, proxy_of(desk), ["odd.yaml"])))
    finally:
        (desk / "harness" / "odd.yaml").unlink()


@there
@pytest.mark.soak
def test_a_task_that_nobody_knows_is_named_with_those_near_it(desk, tmp_path):
    with pytest.raises(Problem, match=r"the task 'colour': neither lm-evaluation-harness 0\.4\..* Near it: colours"):
        harness_job.run(job_of(desk, tmp_path / "job", task_of(desk, proxy_of(desk), ["colour"])))


# Where it is not installed ---------------------------------------------------------------------------------------


@pytest.fixture
def bare(store):
    """A workspace with what could be a language model, a proxy of no study, and files of tasks."""
    root = store.workspace.root
    (root / "checkpoints/tiny").mkdir(parents=True)
    (root / "checkpoints/tiny/config.json").write_text("{}")
    (root / "exports").mkdir()
    (root / "exports/merged.safetensors").write_bytes(b"")
    write_tasks(root)
    (root / "harness/odd.yaml").write_text("task: [unclosed")
    (root / "harness/list.yaml").write_text("- task")
    (root / "harness/other.yaml").write_text("steps: !function odd.py")
    (root / "secret.yaml").write_text("task: secret")
    (root / "harness/away.yaml").symlink_to(root / "secret.yaml")
    return store


ODD = {  # of a request: what is asked otherwise, and what is said
    "a model that is not there": ({"model": "checkpoints/none"}, "There are: checkpoints/tiny, exports/merged"),
    "a path that leaves the workspace": ({"model": "checkpoints/../../x"}, "must not leave it"),
    "a path to what is no model": ({"model": "harness"}, "Cannot find the model 'harness'"),
    "a file of a folder": ({"model": "checkpoints/tiny/config.json"}, "give the folder of a language model"),
    "a proxy of no study": ({"model": "exports/merged.safetensors"}, "name the study"),
    "a study that is not there": ({"model": "exports/merged.safetensors", "study": "none"}, "'none'"),
    "no tasks": ({"tasks": []}, "Cannot run the tasks"),
    "a task twice": ({"tasks": ["colours", "colours"]}, "Cannot run 'colours' twice"),
    "a file that is not there": ({"tasks": ["poems.yaml"]}, "There are: away.yaml, colours.yaml, list.yaml"),
    "a file of another folder": ({"tasks": ["../secret.yaml"]}, "must not leave it"),
    "a link out of the folder": ({"tasks": ["away.yaml"]}, "Cannot find 'away.yaml'"),
    "a file that is no YAML": ({"tasks": ["odd.yaml"]}, "Cannot read the task 'odd.yaml'"),
    "a file that is no table": ({"tasks": ["list.yaml"]}, "it is no table of names and values"),
    "a file of no task": ({"tasks": ["other.yaml"]}, "it has no class or group or task"),
    "no items": ({"limit": 0}, "Cannot ask 0 items of each task"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_cannot_be_asked_is_refused_before_anything_is_queued(bare, case):
    asked, why = ODD[case]
    with pytest.raises(Problem, match=re.escape(why)):
        COMMANDS["run_harness"](bare, **{"model": "checkpoints/tiny", "tasks": ["colours"], **asked})
    assert bare.rows("SELECT count(*) FROM jobs") == [(0,)]


def test_the_same_request_is_one_job_until_a_file_changes(bare):
    ask = lambda **more: COMMANDS["run_harness"](bare, "checkpoints/tiny", ["colours.yaml"], **more)  # noqa: E731
    one, same, other = ask(), ask(), ask(limit=3)
    assert one["job"] == same["job"] != other["job"] and same["already_there"] and not other["already_there"]
    (bare.workspace.root / "harness/colours.jsonl").write_text("{}")
    assert ask()["job"] != one["job"]


def test_where_the_package_is_missing_the_cure_is_said(bare, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    root = bare.workspace.root
    with pytest.raises(Problem, match=r"the package lm-eval is missing .* -r requirements-harness\.txt"):
        harness_job.run(job_of(root, tmp_path / "a", HarnessTask(model="checkpoints/tiny", tasks=["colours"])))
    with pytest.raises(Problem, match="must not leave it"):  # of a spec that somebody wrote by hand
        harness_job.run(job_of(root, tmp_path / "b", HarnessTask(model="../x", tasks=["colours"])))


def test_what_was_measured_is_listed_and_rebuilt(store, tmp_path):
    score = {"metric": "colours acc", "value": 0.5, "error": 0.1, "higher_is_better": True, "chance": None, "items": 8}
    found = {"scores": [score], "file": "f", "version": "0.4.13", "context": 64, "cut": 0, "left": []}
    own = {"model": "checkpoints/tiny", "tasks": ["colours"], "limit": None, "study": None}
    store.write(JobPlanned("asked", HarnessTask(model="checkpoints/tiny", tasks=["colours"]).spec(), None))
    store.spool.submit({"kind": "harness"}, "asked")
    line = {"kind": "harness.finished", **own, "found": found}
    tell(store, "asked", {"kind": "job.started"}, line)
    (one,) = before = results.harness(store)
    assert one == {"job": "asked", **own, "t": one["t"], **found}
    with pytest.raises(Problem, match="is below 0"):
        HarnessFinished.read({**own, "found": {**found, "scores": [{**score, "error": -1.0}]}}, "the event")
    assert rebuild(store.workspace, tmp_path / "again.duckdb") > 0
    again = Store(store.workspace, tmp_path / "again.duckdb")
    assert results.harness(again) == before == COMMANDS["harness_results"](again)
    again.close()
