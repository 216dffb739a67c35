"""The background job "harness": lm-evaluation-harness on one model, its results as a file and as scores.

Nothing is downloaded: data sets are local files, or lie in the cache that HF_HOME names. What was answered is kept in
the job's folder, so a job that was stopped goes on where it was.
"""

import difflib
import json
import logging
import math
import os
import shutil
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from engine.core.errors import Problem, Stopped, Transient
from engine.core.short_names import counted, digest, listed
from engine.importing.harness import Results, read_results
from engine.jobs.events import JobNote
from engine.jobs.spool import Job
from engine.merging.harness.models import model_of
from engine.spec.harness import ENDING, FOLDER, PROXY, RESULTS, check_asked, model_in, stamps, task_file
from engine.spec.kinds.harness import HarnessFinished, HarnessFound, HarnessScore, HarnessTask

RESAMPLES = 1000  # for the errors that the harness has no formula for
CACHE, ANSWERED, CUT, WRITTEN = "cache", "answered", "answered-cut", "written"  # in the job's folder
NO_ANSWER = "Label index was not in"  # how the harness begins to say that an item has no right answer
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "TRANSFORMERS_OFFLINE", "DISABLE_MULTIPROC")


def run(job: Job) -> None:
    """Run a HarnessTask: ask the model, write the results, and read them back. Emits `harness.finished`. Raises
    Stopped, and Problem where package, model, tasks or data are missing or odd."""
    task = job.task(HarnessTask)
    check_asked(job.workspace, task.tasks, task.limit)
    model_in(job.workspace, task.model)
    if task.device != "cuda":
        torch.set_num_threads(1)
    folder = job.workspace / FOLDER
    folder.mkdir(exist_ok=True)
    with offline(job.folder / CACHE), chdir(folder):  # files of tasks name their data from there
        used = check_installed()
        models, prefix = model_of(task, job.workspace)
        lost = Prompts(job.folder / CUT)
        asked = asking(job, models, prefix, lost)
        warned = evaluate(job, task, asked)
    path = placed(job)
    found = read_results(json.loads((job.workspace / path).read_text("utf-8")), path)
    job.emit(
        HarnessFinished(
            model=task.model,
            tasks=task.tasks,
            limit=task.limit,
            study=task.study,
            found=found_of(found, path, used, models.context, len(lost.known)).to_dict(),
        )
    )
    if words := notes_on(warned, len(lost.known), models.context):
        job.emit(JobNote(words))
    for one in (CACHE, WRITTEN):
        shutil.rmtree(job.folder / one, ignore_errors=True)
    for file in job.folder.glob(f"{ANSWERED}*"):
        file.unlink()
    job.progress(1, 1, "done")


def notes_on(warned: Counter[str], cut: int, context: int) -> str:
    """What the harness warned of, and how many prompts were cut, in words; empty where nothing was."""
    told = [text + (f" ({count} times)" if count > 1 else "") for text, count in warned.items()]
    notes = [f"The harness warns: {listed(told, 5, between='; ')}."] if told else []
    notes += [f"{counted(cut, 'prompt')} lost the beginning to fit {context} tokens."] if cut else []
    return " ".join(notes)


def check_installed() -> str:
    """The version of the harness. Raises Problem where it is not installed."""
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        raise Problem(
            "Cannot run a harness: the package lm-eval is missing. Install it: "
            "python -m pip install -r requirements-harness.txt"
        ) from None
    return version("lm_eval")


def asking(job: Job, models, prefix, lost: "Prompts"):
    """The model as the harness asks it, reporting as the job does."""
    from engine.merging.harness.adapter import HarnessModel

    return HarnessModel(models, prefix, job.progress, lost.add)


class Prompts:
    """Prompts by their hashes, in a file, so that those of an attempt before are known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known = set(path.read_text().split()) if path.exists() else set[str]()

    def add(self, prompt: str) -> None:
        """One more; the same one counts once."""
        if (name := digest(prompt)[:16]) not in self.known:
            self.known.add(name)
            with self.path.open("a") as file:
                file.write(f"{name}\n")


def evaluate(job: Job, task: HarnessTask, asked) -> Counter[str]:
    """Run the harness, and write its results as it writes them, into the job's folder; what it warned of, and how
    often. Raises Problem for tasks that it does not know or cannot prepare, and for one without right answers."""
    from lm_eval.loggers import EvaluationTracker

    job.progress(0, 1, "reading the tasks")
    tracker = EvaluationTracker(output_path=str(job.folder / WRITTEN))
    try:
        with Warnings() as heard:
            found = results_of(job, task, asked, tracker)
    except (Problem, Stopped, Transient):
        raise
    except Exception as error:  # whatever a task's file, its data or its functions raise
        if asked.asked:
            raise
        traceback.print_exc()
        raise Problem(
            f"Cannot prepare the tasks {listed(task.tasks, 4)}: {type(error).__name__}: {first_line(error)}. A job "
            "downloads nothing: give data sets as local files (dataset_path: json, data_files), or set HF_HOME to a "
            "cache that holds them. The log has the whole message."
        ) from error
    lacking = sum(count for text, count in heard.counts.items() if text.startswith(NO_ANSWER))
    if lacking >= min((one["effective"] for one in found["n-samples"].values()), default=math.inf):
        raise Problem(
            f"Cannot measure the tasks {listed(task.tasks, 4)}: the right answer of {counted(lacking, 'item')} is none "
            "of the choices, which the harness counts as wrong. Correct doc_to_target or the data."
        )
    tracker.save_results_aggregated(results=found)
    return heard.counts


def results_of(job: Job, task: HarnessTask, asked, tracker) -> dict[str, Any]:
    """What the harness finds, without what is installed on this machine, which is nobody's result."""
    from lm_eval import simple_evaluate

    found: dict[str, Any] = simple_evaluate(
        model=asked,
        model_args={"pretrained": task.model.removesuffix(PROXY)},
        tasks=[str(task_file(job.workspace, one)) if one.endswith(ENDING) else one for one in task.tasks],
        limit=task.limit,
        task_manager=manager_of(job.workspace, task.tasks),
        bootstrap_iters=RESAMPLES,
        log_samples=False,
        evaluation_tracker=tracker,
        use_cache=str(job.folder / f"{ANSWERED}-{digest(stamps(model_in(job.workspace, task.model)))[:12]}"),
    )
    found.pop("pretty_env_info", None)
    return found


class Warnings(logging.Handler):
    """What the harness warns of inside a block: the first line of each, and how often."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.counts[record.getMessage().strip().split("\n")[0].rstrip(".")[:200]] += 1

    def __enter__(self) -> "Warnings":
        logging.getLogger("lm_eval").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("lm_eval").removeHandler(self)


def first_line(error: Exception) -> str:
    """The first line of what an error says, without a full stop."""
    return (str(error).strip() or "no message").split("\n")[0].rstrip(".")[:300]


def manager_of(workspace: Path, tasks: list[str]):
    """The harness' index of tasks: of the workspace's folder, and of its own where a name asks for one. Raises Problem
    for a name that neither has."""
    from lm_eval.tasks import TaskManager

    folder = str(workspace / FOLDER)
    names = [one for one in tasks if not one.endswith(ENDING)]
    manager = TaskManager(include_path=folder, include_defaults=False)
    if set(names) <= set(manager.all_tasks):
        return manager
    manager = TaskManager(include_path=folder)  # some seconds: it reads ten thousand files
    for one in names:
        if one not in manager.all_tasks:
            near = difflib.get_close_matches(one, manager.all_tasks, 3)
            also = f" Near it: {', '.join(near)}." if near else ""
            raise Problem(
                f"Cannot run the task {one!r}: neither lm-evaluation-harness {version('lm_eval')} nor the workspace's "
                f"folder {FOLDER}/ has one of that name.{also}"
            )
    return manager


def placed(job: Job) -> str:
    """Put the written results into the workspace; their path there. Raises Problem where they were not written."""
    files = sorted((job.folder / WRITTEN).rglob("results_*.json"))
    if not files:
        raise Problem("Cannot keep the results: the harness wrote none. Free disk space, then retry the job.")
    target = job.workspace / RESULTS / job.id
    for file in files:
        place = target / file.relative_to(job.folder / WRITTEN)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(place)
    return place.relative_to(job.workspace).as_posix()


def found_of(results: Results, file: str, used: str, context: int, cut: int) -> HarnessFound:
    """Results as the event holds them."""
    scores = [
        HarnessScore(
            metric=title,
            value=one.value,
            error=one.error,
            higher_is_better=one.known.higher,
            chance=one.known.chance,
            items=one.known.items,
        )
        for title, one in results.scores.items()
    ]
    left = [list(pair) for pair in results.left]
    return HarnessFound(scores=scores, file=file, version=used, context=context, cut=cut, left=left)


@contextmanager
def offline(cache: Path) -> Iterator[None]:
    """Let the packages that fetch models and data find nothing but what is here: in the cache that HF_HOME names, else
    in one of the job's own."""
    wanted = dict.fromkeys(OFFLINE, "1") | {"HF_HOME": os.environ.get("HF_HOME", str(cache))}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ |= wanted
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
