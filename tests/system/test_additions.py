"""What CONTRIBUTING promises: a metric, a surrogate, a kind of job, a page ...: each is one file and a row of a table.

Each is added to a copy of the checkout and used as a user would; the tables that it names are all that changes. The
copy holds what the Dockerfile copies into the image, and nothing else: so all of this shows that the image has enough.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from playwright.sync_api import expect

from tests.support import checkpoints
from tests.support.running import ROOT, STUDY, Page, copied, watched_tab

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
SHOWN = re.compile(r"<!-- run by tests/system/test_additions\.py as (\S+) -->\n```python\n(.*?)^```$", re.M | re.S)
ADDED = dict(SHOWN.findall(TEXT))  # path -> the file that CONTRIBUTING shows
EVEN = re.search(r"^def even\(.*?(?=^```$)", TEXT, re.M | re.S)[0]  # a design: a function in the file of its table
RIVAL = re.search(r'"letters": Rival\(.*?mixture"\)', TEXT)[0]
IMAGE = [
    name
    for line in (ROOT / "Dockerfile").read_text().splitlines()
    if line.startswith("COPY ")
    for name in line.split()[1:-1]
]
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
        ("exact_match, labels, loss\n", "exact_match, labels, loss, reciprocal, sure\n"),
        ("(loss.METRIC, accuracy.METRIC)", "(loss.METRIC, accuracy.METRIC, sure.METRIC)"),
        ("        choices.METRIC,\n", "        choices.METRIC,\n        reciprocal.METRIC,\n"),
    ],
    "engine/spec/rivals.py": [("RIVALS = {\n", f"RIVALS = {{\n    {RIVAL},\n")],
    "engine/jobs/kinds.py": [
        (
            '    "search": "engine',
            '    "count": "engine.spec.kinds.count",\n    "note": "engine.spec.kinds.note",\n    "search": "engine',
        ),
    ],
    "engine/surrogates/__init__.py": [
        ("from engine.surrogates.on_box", "from engine.surrogates.roots import Roots\nfrom engine.surrogates.on_box"),
        ('    "linear": Linear,\n', '    "roots": Roots,\n    "linear": Linear,\n'),
    ],
    "engine/space/design.py": [
        ("class Design(NamedTuple):", f"{EVEN}\n\nclass Design(NamedTuple):"),
        (
            "DESIGNS = {\n",
            'DESIGNS = {\n    "even": Design("Uniform", "Every mixture is as likely as any other.", False, even),\n',
        ),
    ],
    "engine/recipes/__init__.py": [
        ("    streaming,\n", "    streaming,\n    tabs,\n"),
        ('    "csv": plain.CSV,\n', '    "tabs": tabs.FORMAT,\n    "csv": plain.CSV,\n'),
    ],
    "engine/commands/__init__.py": [
        ('    *("corpora", ', '    *("corpora", "counting", '),
    ],
    "engine/jobs/backends/__init__.py": [
        ('    "ray": "engine', '    "gentle": "engine.jobs.backends.gentle:Gentle",\n    "ray": "engine'),
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


METHOD_ROW = "| median | none | 1 or more | | |\n"
WHOLE = ["*.md", "requirements*.txt", "mkdocs.yml", "Dockerfile", "benchmarks", "docs", "tests"]  # beside the image's
PROMISES = [
    "tests/surrogates/test_surrogates.py",
    "tests/merging/methods/test_methods.py",
    "tests/recipes/test_recipes.py",
    "tests/space/test_design.py",
    "tests/metrics/test_metrics.py",
    "tests/metrics/test_items.py",
    "tests/proxies/test_answering.py",
    "tests/proxies/rivals/test_rivals.py",
    "tests/store/events/test_events.py",
    "tests/jobs/backends/test_backends.py",
    "tests/core/test_people.py",
    "tests/system/test_docs.py",
    "tests/system/test_api.py",
]
WRITTEN = [  # tests of pages that CONTRIBUTING tells to write
    "test_pages_that_are_written_by_a_program",
    "test_the_docs_name_every_method",
    "test_every_kind_is_documented",
    "test_the_table_in_the_docs",
]
# What tests have by name.
NEW = ["roots", "median", "tabs", "even", "sure", "reciprocal_rank", "count", "count_studies", "gentle", "letters"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> pathlib.Path:
    """A copy of what the image holds of the checkout, with the additions."""
    root = tmp_path_factory.mktemp("checkout")
    copy(IMAGE, root)
    add(root)
    return root


def copy(names: list[str], root: pathlib.Path) -> None:
    """With times of files, so that what is compiled already need not be again."""
    for place in (place for name in names for place in ROOT.glob(name)):
        there = root / place.name
        shutil.copytree(place, there) if place.is_dir() else shutil.copy2(place, there)


def add(root: pathlib.Path) -> None:
    """Write all that CONTRIBUTING shows into a copy of the checkout, and the rows of its tables."""
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
    sections = TEXT.partition("## Add something")[2].count("\n### ")
    assert len(ADDED) == len(ROWS) == sections - 1  # a design has no file of its own, two kinds of metrics one table
    assert all(str(pathlib.Path(path).parent) in TEXT for path in ROWS)
    for row in (
        '"roots": Roots',
        '"even": Design("Uniform", "Every mixture is as likely as any other.", False, even)',
        '"tabs": tabs.FORMAT',
        '"counting"',
        '"gentle": "engine.jobs.backends.gentle:Gentle"',
        '"count": "engine.spec.kinds.count"',
        '"median": median.METHOD',
        "sure.METRIC",
        'Page("Measure", "Counts", "tag", "counts", ANY, "measure.counts:render")',
    ):
        assert row in TEXT and any(row in after for rows in ROWS.values() for _, after in rows), row


@pytest.mark.soak
def test_what_is_added_keeps_the_promises_of_its_table(tmp_path):
    """In a copy of the whole checkout: the tests that are parametrized over tables, and those of the written pages."""
    copy([*IMAGE, *WHOLE], tmp_path)
    add(tmp_path)
    methods = tmp_path / "docs/reference/merge-methods.md"
    methods.write_text(methods.read_text().replace("| knots |", f"{METHOD_ROW}| knots |", 1))
    subprocess.run([sys.executable, "docs/generate.py"], cwd=tmp_path, check=True, capture_output=True)
    rows = tmp_path / "docs/API.md"
    written = "import sys; from tests.system.test_api import table; sys.stdout.write(table())"
    done = subprocess.run([sys.executable, "-c", written], cwd=tmp_path, check=True, capture_output=True, text=True)
    rows.write_text(rows.read_text().partition("| command |")[0] + done.stdout)
    chosen = " or ".join(f"[{one}] or [{one}- or -{one}- or -{one}]" for one in NEW)
    words = [sys.executable, "-m", "pytest", "-n", "0", "-m", "not browser and not slow"]
    words += ["-k", " or ".join([chosen, *WRITTEN]), *PROMISES]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 60, done.stdout


def test_the_image_gets_what_it_copies_and_installs():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == set(IMAGE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    dynamic = project["tool"]["setuptools"]["dynamic"]
    files = [dynamic["dependencies"], *dynamic["optional-dependencies"].values()]
    named = {one["file"] for one in files} | {project["project"]["readme"], *project["project"]["license-files"]}
    assert named | {"Procfile"} <= {place.name for name in IMAGE for place in ROOT.glob(name)}
    packages = {one.rstrip("*") for one in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages <= set(IMAGE)


@pytest.mark.slow
def test_the_tables_are_read_without_torch(checkout):
    code = (
        "import sys, engine.metrics, dashboard.views; from engine.jobs.kinds import event_kinds; "
        "assert {'letters.counted', 'letters.noted'} < set(event_kinds()) and 'sure' in engine.metrics.METRICS; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True)


@pytest.mark.soak
def test_a_study_of_a_design_a_metric_and_a_surrogate_of_ones_own(checkout, workspace, tmp_path):
    """And its export, in a format of one's own."""
    settings = 'runs = 8\ndesign = "even"\nmetrics = ["sure"]\ntasks = ["closing"]'
    items = ("--generate", "brackets", "--items", "8", "--metric", "reciprocal_rank")
    mixdesk(checkout, workspace, "add-task", "closing", *items)
    study = STUDY.replace('"Small"', '"Sure"').replace("runs = 16", settings).replace("repeats = 3", "repeats = 0")
    (tmp_path / "study.toml").write_text(re.sub("surrogates = .*", 'surrogates = ["roots"]', study))
    mixdesk(checkout, workspace, "start", str(tmp_path / "study.toml"), "--wait")
    rows = mixdesk(checkout, workspace, "runs", "Sure")
    assert rows and all(set(row["losses"]) >= {"prose", "prose sure", "digits sure"} for row in rows)
    assert all(0 <= row["losses"]["prose sure"] <= 1 for row in rows)
    assert all(1 / 3 <= row["losses"]["closing reciprocal rank"] <= 1 for row in rows)
    standings = mixdesk(checkout, workspace, "show", "Sure")["league"]["league"]["standings"]
    assert {one["name"]: one["problem"] for one in standings} == {"own_share": None, "roots": None}
    assert len(standings[0]["spearman"]) == 7
    asked = ("--candidate", "uniform", "--format", "tabs", "--out", str(tmp_path / "out"))
    mixdesk(checkout, workspace, "export", "Sure", *asked)
    assert "0.333333333\tprose\n" in (tmp_path / "out" / "draft_mixture.tsv").read_text()


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
    store.write(StudyCreated("s", "S", {{"corpus": "c"}}))
    spec = {{"kind": "note", "study": "s", "text": "abc"}}
    store.submit("n", spec, "s")
kind_of("note").function()(Job(store.spool.find("n"), store.workspace.root, spec))
store.ingest()
assert store.rows("SELECT message FROM studies") == [("3 letters",)], store.rows("SELECT * FROM corrupt_lines")
"""
    subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True)


@pytest.mark.slow
def test_a_command_answers_and_a_backend_runs_what_it_is_given(checkout, tmp_path):
    code = f"""
import pathlib, sys, time
from engine.commands.contract import call, openapi
from engine.core.people import local_user, as_person
from engine.core.workspace import Workspace
from engine.jobs import backends
from engine.jobs.devices import Lease
from engine.jobs.serving import cluster_of, parser
from store.database import Store
workspace = Workspace.open(pathlib.Path({str(tmp_path)!r}))
with as_person(local_user()):
    assert call(Store(workspace), "count_studies", {{}}) == {{"studies": 0}}
assert "/api/v1/count_studies" in openapi()["paths"]
one, log = cluster_of(parser().parse_args(["--backend", "gentle"]), workspace), workspace.root / "log"
handle = one.submit("it", [sys.executable, "-c", "import os; print(os.nice(0))"], {{}}, Lease("gentle"), log)
while one.status(handle).state != "ended":
    time.sleep(0.01)
assert log.read_text() == "19\\n", log.read_text()
"""
    subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True)


@pytest.mark.slow
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
        running.show(tab)
        tab.get_by_role("link", name="Counts").click()
        expect(tab.get_by_role("table").get_by_text("Small", exact=True)).to_be_visible()
    finally:
        running.stop()
