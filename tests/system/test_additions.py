"""What CONTRIBUTING promises: a metric, a kind of job, a merge method, a page: each is one file and a row of a table.

Each is added to a copy of the checkout and used as a user would; the tables that it names are all that changes.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.support import checkpoints
from tests.support.running import ROOT, STUDY, Page, copied, watched_tab

METRIC = '''"""How many of a domain's tokens are predicted with less than one bit."""

import math

from engine.metrics.base import Metric, ratio

METRIC = Metric(
    name="sure",
    label="{domain} sure",
    unit="of tokens",
    higher_is_better=True,
    score=lambda prediction: prediction.nll < math.log(2),
    value=lambda hits, text: ratio(hits, text.tokens),
)
'''

KIND = '''"""The job that counts letters."""

from dataclasses import dataclass

from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class CountTask(Task):
    """text: whose letters are counted."""

    kind = "count"
    study: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Counted(Result):
    """found: {"letters"}."""

    kind = "letters.counted"


def run(job):
    task = job.task(CountTask)
    job.progress(1, 1, "counted")
    job.emit(Counted(study=task.study, settings={"text": task.text}, found={"letters": len(task.text)}))


KIND = JobKind(CountTask, "engine.spec.kinds.count:run", (Counted,))
'''

METHOD = '''"""The median: the middle of the models, element by element."""

from engine.merging.methods.base import Method, Tensors


def median(x: Tensors):
    """The median of the experts; the lower one where they are even in number."""
    return lambda part: x.experts32(part).median(dim=0).values


METHOD = Method(median, "Median", "", base="none")
'''

PAGE = '''"""How many runs every study has."""

import streamlit as st

from dashboard.server import state
from store import studies


def render(study: str | None) -> None:
    st.title("Counts")
    for one in studies.all_studies(state.store()):
        st.text(f"{one.name} has {one.runs} runs")
'''

ADDED = {
    "engine/metrics/sure.py": METRIC,
    "engine/spec/kinds/count.py": KIND,
    "engine/merging/methods/median.py": METHOD,
    "dashboard/views/measure/counts.py": PAGE,
}
ROWS = {  # table -> (what stands there, what stands there with the row)
    "engine/metrics/__init__.py": [
        ("import accuracy, loss", "import accuracy, loss, sure"),
        ("(loss.METRIC, accuracy.METRIC)", "(loss.METRIC, accuracy.METRIC, sure.METRIC)"),
    ],
    "engine/jobs/kinds.py": [
        ('    "search": "engine', '    "count": "engine.spec.kinds.count",\n    "search": "engine'),
    ],
    "engine/merging/methods/__init__.py": [
        ("    magmax,\n", "    magmax,\n    median,\n"),
        ('    "magmax": ', '    "median": median.METHOD,\n    "magmax": '),
    ],
    "dashboard/views/__init__.py": [
        (
            '    Page("Measure", "Jobs"',
            '    Page("Measure", "Counts", "tag", "counts", ANY, "measure.counts:render"),\n    Page("Measure", "Jobs"',
        ),
    ],
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> pathlib.Path:
    """A copy of the checkout with the four additions."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("engine", "store", "dashboard", ".streamlit", "pyproject.toml"):
        place = ROOT / name
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(place, root / name, ignore=ignore) if place.is_dir() else shutil.copy(place, root / name)
    for name, text in ADDED.items():
        assert not (root / name).exists()
        (root / name).write_text(text)
    for name, rows in ROWS.items():
        text = (root / name).read_text()
        for before, after in rows:
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, after)
        (root / name).write_text(text)
    subprocess.run([sys.executable, "-m", "engine.merging.methods"], cwd=root, check=True, capture_output=True)
    return root


def mixdesk(checkout: pathlib.Path, workspace: pathlib.Path, *arguments: str):
    """What a command of that checkout answers."""
    command = [sys.executable, "-m", "engine", "--workspace", str(workspace), *arguments]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture(scope="module")
def workspace(finished, tmp_path_factory) -> pathlib.Path:
    return copied(finished, tmp_path_factory.mktemp("additions") / "workspace")


def test_contributing_names_what_was_touched():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for path in (*ROWS, *ADDED):
        assert str(pathlib.Path(path).parent).removesuffix("/measure") in text, path


def test_a_metric_is_measured_by_proxies_and_reaches_the_runs(checkout, workspace, tmp_path):
    study = STUDY.replace('"Small"', '"Sure"').replace("runs = 16", 'runs = 8\nmetrics = ["sure"]')
    (tmp_path / "study.toml").write_text(study.replace("repeats = 3", "repeats = 0"))
    mixdesk(checkout, workspace, "start", str(tmp_path / "study.toml"), "--wait")
    rows = mixdesk(checkout, workspace, "runs", "Sure")
    assert rows and all(set(row["losses"]) >= {"prose", "prose sure", "digits sure"} for row in rows)
    assert all(0 <= row["losses"]["prose sure"] <= 1 for row in rows)
    shown = mixdesk(checkout, workspace, "show", "Sure")
    assert len(shown["league"]["league"]["standings"][0]["spearman"]) == 6


def test_a_kind_of_job_runs_and_its_result_is_kept(checkout, workspace, tmp_path):
    study = next(one for one in mixdesk(checkout, workspace, "list") if one["name"] == "Small")["study"]
    (tmp_path / "spec.json").write_text(json.dumps({"kind": "count", "study": study, "text": "abc"}))
    mixdesk(checkout, workspace, "submit", str(tmp_path / "spec.json"), "--id", "count-1", "--wait")
    assert {job["id"]: job["state"] for job in mixdesk(checkout, workspace, "jobs", "Small")}["count-1"] == "done"
    code = (
        "import json, sys, pathlib; from engine.core.workspace import Workspace; from store.database import Store;"
        "store = Store(Workspace.open(pathlib.Path(sys.argv[1])));"
        "print(json.dumps(store.rows(\"SELECT job, settings, found FROM results WHERE kind = 'letters.counted'\")))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(workspace)], cwd=checkout, capture_output=True, text=True, check=True
    )
    ((job, settings, answer),) = json.loads(found.stdout)
    assert (job, json.loads(settings), json.loads(answer)) == ("count-1", {"text": "abc"}, {"letters": 3})


def test_a_merge_method_merges_checkpoints(checkout, tmp_path):
    checkpoints.family(tmp_path)
    names = [name for name in sorted(os.listdir(tmp_path)) if (tmp_path / name).is_dir()][:3]
    models = ", ".join(f"{{model: {name}}}" for name in names)
    (tmp_path / "merge.yml").write_text(f"{{merge_method: median, models: [{models}], dtype: float32}}")
    mixdesk(checkout, tmp_path / "unused", "merge", str(tmp_path / "merge.yml"), str(tmp_path / "out"))
    assert (tmp_path / "out" / checkpoints.FILE).exists()
    assert "median" in (checkout / "engine" / "spec" / "merge_catalogue.json").read_text()


@pytest.fixture
def tab(browser):
    yield from watched_tab(browser, 900)


@pytest.mark.browser
def test_a_page_stands_in_the_navigation_and_draws(checkout, workspace, tab):
    running = Page(workspace, checkout=checkout)
    try:
        tab.goto(running.url)
        tab.get_by_role("link", name="Counts").click()
        expect(tab.get_by_text("Small has")).to_be_visible()
    finally:
        running.stop()
