"""What CONTRIBUTING promises: a metric, a kind of job, a merge method, a page: each is one file and a row of a table.

Each is added to a copy of the checkout and used as a user would; the tables that it names are all that changes.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.support import checkpoints
from tests.support.running import ROOT, STUDY, Page, copied, watched_tab

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
SHOWN = re.compile(r"<!-- run by tests/system/test_additions\.py as (\S+) -->\n```python\n(.*?)^```$", re.M | re.S)
ADDED = dict(SHOWN.findall(TEXT))  # path -> the file that CONTRIBUTING shows
# Another kind of job, whose event is no Result: it says itself in which row it lands.
NOTED = '''"""The job that notes how many letters there are."""

from dataclasses import dataclass

from engine.jobs.events import Event, Row
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class NoteTask(Task):
    kind = "note"
    study: str
    text: str


@dataclass(frozen=True, kw_only=True)
class LettersNoted(Event):
    kind = "letters.noted"
    lands = Row("studies", {"message": "said"}, where={"id": "study"})
    study: str
    said: str


def run(job):
    task = job.task(NoteTask)
    job.emit(LettersNoted(study=task.study, said=f"{len(task.text)} letters"))


KIND = JobKind(NoteTask, "engine.spec.kinds.note:run", (LettersNoted,))
'''

ROWS = {  # table -> (what stands there, what stands there with the row)
    "engine/metrics/__init__.py": [
        ("import accuracy, loss", "import accuracy, loss, sure"),
        ("(loss.METRIC, accuracy.METRIC)", "(loss.METRIC, accuracy.METRIC, sure.METRIC)"),
    ],
    "engine/jobs/kinds.py": [
        (
            '    "search": "engine',
            '    "count": "engine.spec.kinds.count",\n    "note": "engine.spec.kinds.note",\n    "search": "engine',
        ),
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
    for name, text in {**ADDED, "engine/spec/kinds/note.py": NOTED}.items():
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


def test_contributing_names_the_tables_and_shows_the_rows():
    assert len(ADDED) == len(ROWS) == 4
    assert all(str(pathlib.Path(path).parent) in TEXT for path in ROWS)
    for row in (
        '"count": "engine.spec.kinds.count"',
        '"median": median.METHOD',
        "sure.METRIC",
        'Page("Measure", "Counts", "tag", "counts", ANY, "measure.counts:render")',
    ):
        assert row in TEXT and any(row in after for rows in ROWS.values() for _, after in rows), row


def test_the_tables_are_read_without_torch(checkout):
    code = (
        "import sys, engine.metrics, dashboard.views; from engine.jobs.kinds import event_kinds; "
        "assert {'letters.counted', 'letters.noted'} < set(event_kinds()) and 'sure' in engine.metrics.METRICS; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True)


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


def test_an_event_of_another_kind_lands_where_it_says(checkout, tmp_path):
    code = f"""
import pathlib
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyCreated
from engine.jobs.kinds import kind_of
from engine.jobs.spool import Job
from store.database import Store
store = Store(Workspace.open(pathlib.Path({str(tmp_path)!r})))
with as_person(SYSTEM):
    spec = {{"kind": "note", "study": "s", "text": "abc"}}
    store.write(StudyCreated("s", "S", {{}}))
    store.submit("n", spec, "s")
kind_of("note").function()(Job(store.spool.find("n"), store.workspace.root, spec))
store.ingest()
assert store.rows("SELECT message FROM studies") == [("3 letters",)], store.rows("SELECT * FROM corrupt_lines")
"""
    subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True)


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
        expect(tab.get_by_role("table").get_by_text("Small", exact=True)).to_be_visible()
    finally:
        running.stop()
