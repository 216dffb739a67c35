"""lm-evaluation-harness on a tiny language model and a proxy: its numbers are ours by hand, and of its own table."""

import importlib.util
import json
import math
import shutil

import numpy as np
import pytest
import torch

from engine.core.errors import Problem, Stopped
from engine.core.workspace import Workspace
from engine.merging.harness import job as harness_job
from engine.merging.harness.models import language_model, model_of
from engine.metrics import ITEM_METRICS, Answers, measured
from engine.metrics.models import question
from engine.proxies.generate import continued
from engine.spec.kinds.harness import HarnessTask
from engine.studies.harness import of_proxy
from engine.tasks.task import EvalTask, Item, Sampling
from store.database import Store
from tests.support.harness import CHOICES, COLOURS, job_of, questions, write_tasks
from tests.support.running import answer, copied
from tests.support.working import read_events

there = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed: requirements-harness.txt"
)


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


def by_hand(desk, model: str, metric: str, **item) -> tuple[float, np.ndarray]:
    """Our own metric on the same items, and its scores of them. item: fields of each, by place."""
    models, _ = model_of(task_of(desk, model, ["colours"]), desk)
    items = [Item(one, **{key: make(place) for key, make in item.items()}) for place, one in enumerate(questions())]
    task = EvalTask("colours", [metric], items, "by hand", sampling=Sampling(most_tokens=4, stop=["\n"]))
    value, _, scores = measured(ITEM_METRICS[metric], Answers(task, models))
    return float(value[0]), scores[0]


def request(kind: str, *arguments):
    """A request as the harness makes one."""
    from lm_eval.api.instance import Instance

    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


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
    right = lambda place: [float(place // 2 % 2 == c) for c in range(2)]  # noqa: E731
    value, scores = by_hand(desk, model, "accuracy", choices=lambda place: choices, scores=right)
    assert 0 < value < 1, "a model that is always right, or never, would show little"
    assert score["value"] == value
    assert score["error"] == pytest.approx(scores.std(ddof=1) / math.sqrt(len(scores)))
    assert (score["metric"], score["higher_is_better"]) == ("colours acc", True)
    assert (score["items"], score["chance"]) == (len(questions()), 0.5)
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
    from engine.merging.harness.adapter import HarnessModel

    models, prefix = model_of(task_of(desk, proxy_of(desk), ["colours"]), desk)
    cut: list[str] = []
    asked = HarnessModel(models, prefix, lambda *report: None, cut.append)
    text = " ".join(questions())
    ids = models.encode(text)
    windows = asked._windows(ids)
    assert len(windows) > 2 and [one for _, own in windows for one in own] == ids
    assert max(len(before) + len(own) for before, own in windows) == models.context + 1

    with pytest.raises(Problem, match=f"more than the context of {models.context}"):
        asked.loglikelihood([request("loglikelihood", "It is", text)])
    with pytest.raises(Problem, match="Cannot ask for the answer ''"):
        asked.loglikelihood([request("loglikelihood", "It is", "")])
    (whole,) = asked.loglikelihood([request("loglikelihood", text, " green")])
    assert cut == [text] and whole[0] < 0
    asked.generate_until([request("generate_until", text, {"until": ["."], "max_gen_toks": 2})])
    assert cut == [text, text]
    assert asked.loglikelihood([request("loglikelihood", "", " green")])[0][0] < 0, "nothing stands before it"
    with pytest.raises(Problem, match="Cannot generate answers by 'top_p'"):
        asked.generate_until([request("generate_until", "It is", {"until": ["."], "top_p": 0.5})])
    begun, _ = model_of(task_of(desk, "checkpoints/base", ["colours"]), desk)
    with pytest.raises(Problem, match="neither a token for the beginning of a text"):
        HarnessModel(begun, [], lambda *report: None, cut.append).loglikelihood_rolling(
            [request("loglikelihood_rolling", text)]
        )


@there
@pytest.mark.soak
def test_a_language_model_answers_as_the_harness_own_class_for_it_does(desk, tmp_path):
    """With a token for the end of a text, which that class needs."""
    pytest.importorskip("accelerate", reason="the harness' own class for language models needs accelerate")
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    from engine.merging.harness.adapter import HarnessModel

    folder = shutil.copytree(desk / "checkpoints/base", tmp_path / "ending")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ending = tokenizer.convert_ids_to_tokens(0)
    tokenizer.add_special_tokens({"eos_token": ending, "pad_token": ending})
    tokenizer.save_pretrained(folder)
    own = HarnessModel(*language_model(folder, "cpu"), lambda *report: None, lambda prompt: None)
    theirs = HFLM(pretrained=str(folder), device="cpu", batch_size=4)
    pairs = [(one, f" {choice}") for one in questions() for choice in CHOICES]
    asked = [request("loglikelihood", *pair) for pair in [*pairs, ("", "green grass")]]
    for (nats, first), (wanted, likely) in zip(own.loglikelihood(asked), theirs.loglikelihood(asked), strict=True):
        assert nats == pytest.approx(wanted, abs=1e-4) and first == likely
    texts = [request("loglikelihood_rolling", text) for text in (*questions(), " ".join(questions()))]
    assert own.loglikelihood_rolling(texts) == pytest.approx(theirs.loglikelihood_rolling(texts), abs=1e-3)
    until = {"until": ["\n"], "max_gen_toks": 6, "do_sample": False}
    written = [request("generate_until", one, dict(until)) for one in questions()]
    assert own.generate_until(written) == theirs.generate_until(written)


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
    assert max(asked) == 2 * len(questions()) - 40, "what was answered is not asked again"
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
