"""Kinds of events: what is emitted is handled and documented, and what is not known is set aside with its reason."""

import ast
import gzip
import json
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass, fields

import pytest

from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import DECISIONS, JobCancelAsked, StudyMetric
from engine.jobs.events import Event
from engine.jobs.kinds import KINDS, JobKind, event_kinds, kind_of
from engine.spec.objectives import Objective
from store import jobs, runs
from store.database import Store
from store.events.apply import BULK, EVENTS
from store.from_journals import rebuild
from tests.store.test_store import finished, journal_of, line, planned
from tests.support.running import ROOT, answer

FIXTURES = ROOT / "tests/support/fixtures"
OLD_TABLES = {
    "searches": "search.finished",
    "proposals": "proposal.finished",
    "merge_searches": "merge_search.finished",
    "merge_learned": "merge.learned",
}


def emitted() -> set[str]:
    """The events that the code makes anywhere outside of their definitions, by class name."""
    found = set()
    for room in ("engine", "store", "dashboard"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    found.add(node.func.id)
    return found


@pytest.mark.slow
def test_every_kind_is_emitted_and_every_emitted_kind_is_known():
    names = {kind.__name__ for kind in event_kinds().values()}
    assert names - emitted() == set()
    declared = {
        node.name
        for path in (ROOT / "engine").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and {"Event", "Result"} & {ast.unparse(base) for base in node.bases}
    }
    assert declared - {"Result"} == names


def test_every_kind_is_handled_and_nothing_else_is():
    kinds = set(event_kinds().values())
    landing = {kind for kind in kinds if kind.lands}
    assert set(EVENTS) | set(BULK) | landing == kinds
    assert not set(EVENTS) & set(BULK) and not landing & (set(EVENTS) | set(BULK))


def test_a_declared_row_is_one_of_a_table(store):
    """Its columns are there, and what stands in them is an attribute of the event."""
    columns = store.rows("SELECT table_name, column_name FROM duckdb_columns()")
    for kind in event_kinds().values():
        if kind.lands:
            named = {*kind.lands.columns, *kind.lands.where}
            assert {(kind.lands.table, name) for name in named} <= set(columns), kind
            there = {"t", "job", "kind", *(one.name for one in fields(kind))}
            assert {*kind.lands.columns.values(), *kind.lands.where.values()} <= there, kind


def test_a_kind_of_job_says_how_its_events_land():
    @dataclass(frozen=True)
    class Said(Event):
        """Something was said."""

        kind = "it.said"

    with pytest.raises(TypeError, match="Said does not say how it lands"):
        JobKind(kind_of("fit").task, "engine.league:run", (Said,))


def test_every_kind_is_documented_with_its_fields():
    """As `docs/generate.py` writes the page; tests/system/test_docs.py holds it to that."""
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.*?) \|", (ROOT / "docs" / "EVENTS.md").read_text(), re.M)
    wanted = {kind.kind: [one.name for one in fields(kind)] for kind in event_kinds().values()}
    assert {kind: re.findall(r"`(\w+)`", told) for kind, told in rows} == wanted and len(rows) == len(wanted)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_job_names_a_task_of_its_own_and_a_function_that_is_there(name):
    kind = kind_of(name)
    assert kind.task.kind == name and kind.task.__doc__
    module, function = kind.work.split(":")
    path = ROOT / (module.replace(".", "/") + ".py")
    path = path if path.exists() else ROOT / module.replace(".", "/") / "__init__.py"
    assert re.search(rf"\b{function}\b", path.read_text())


def test_kinds_are_spelt_as_they_always_were():
    """Wire formats: a journal of 0.1 has these."""
    assert {kind.kind for kind in DECISIONS} >= {"study.created", "study.planned", "candidate.put", "token.created"}
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in event_kinds())


SPEED = {"tokens": 1, "loss": [1.0], "tokens_per_second": 1.0}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (line("run.finnished", run="demo-1"), "kind 'run.finnished': this version does not know it"),
        (line("job.failed", mesage="x"), "no field 'mesage'"),
        (line("job.failed"), "its 'message' is missing"),
        (line("runs.started", runs="demo-1", device="cpu", parameters=1), "must be a list of strings"),
        (line("job.progress", done=10**400, total=1), "its 'done' is 1"),
        (line("job.note", text="x", t="now"), "its time is 'now'"),
        (line("job.note", text="x", t=9e11), "its time is 9"),
        (line("job.note", text="x", t=-1.0), "its time is -1"),
        (line("job.progress", done=-5, total=10), "'done' is -5"),
        (line("job.progress", done=5, total=1e300), "'total' is 1e+300"),
        (line("runs.progress", runs=["demo-1"], step=1, steps=2, **SPEED | {"tokens_per_second": -1.0}), "is -1"),
        (finished("demo-2", 1.0).replace(b'"seconds": 2.0', b'"seconds": 1e300'), "'seconds' is 1e+300"),
        (line("runs.evaluated", runs=["demo-1"], tokens=5, losses=[[1.0], [2.0]]), "tells 2 results of 1 runs"),
        (
            line("runs.progress", runs=["demo-1"], step=2**40, steps=2**41, **SPEED),
            f"step {2**40} of",
        ),
        (b'{"t": 1.0}\n', "kind None"),
        (b"[1, 2]\n", "not a JSON object"),
        (b"[" * 100_000 + b"\n", "not a JSON object"),
    ],
)
def test_a_line_that_says_nothing_known_is_set_aside_with_its_reason(store, text, reason):
    planned(store)
    with journal_of(store, "demo-train") as journal:
        journal.write(line("job.started") + text + finished("demo-1", 1.0))
    store.ingest()
    assert jobs.find(store, "demo-train").state == "running"
    assert runs.measured(store, "demo").ids == ["demo-1"]
    ((_, _, _, said),) = runs.corrupt_lines(store)
    assert reason in said


RUN = {"id": "demo-9", "number": 9, "role": "design", "label": None, "weights": [0.5, 0.5], "seed": 1}
FOUND = {"losses": [1.0, 2.0], "losses_se": [0.1, None], "seconds": 1.0, "cpu_seconds": 1.0, "device": "cpu"}
MEASURED = {**RUN, **FOUND, "parameters": 1}
LISTS = {  # a kind of event -> a list in it, an item that fits, the event's other fields
    "runs.added": ("runs", RUN, {"study": "demo", "jobs": []}),
    "study.planned": ("metrics", {"metric": "a", "unit": "b", "higher_is_better": True}, None),
    "runs.measured": ("runs", MEASURED, {"study": "demo"}),
    "runs.submitted": ("runs", {"id": "x", "label": "x", "weights": [1.0], "losses": [1.0]}, {"study": "demo"}),
    "study.imported": ("runs", {"id": "x", "number": 1, "weights": [1.0], "losses": [None]}, None),
}
MORE = {
    "study.planned": {"study": "demo", "domains": ["a", "b"], "corpus": {}, "runs": [], "jobs": []},
    "study.imported": {"study": "i", "name": "I", "spec": {}, "domains": ["a"], "metrics": [], "corpus": None}
    | {"imported": {"files": [], "columns": {}, "notes": [], "prior": [1.0], "prior_name": "prior"}},
}


@pytest.mark.parametrize("kind", LISTS)
def test_what_an_event_lists_is_read_as_strictly_as_the_event(kind):
    name, item, more = LISTS[kind]
    event, fields_ = event_kinds()[kind], more or MORE[kind]
    assert event.read({**fields_, name: [item]}, "it").to_dict()[name][0].items() >= item.items()
    first = next(iter(item))
    for wrong, said in (
        ({**item, "lable": ""}, "no field 'lable'"),
        ({**item, first: 3}, f"its {first!r} is 3"),
        ({key: value for key, value in item.items() if key != first}, f"its {first!r} is missing"),
    ):
        with pytest.raises(Problem, match=f"Cannot read item 2 of '{name}' of it: .*{said}"):
            event.read({**fields_, name: [item, wrong]}, "it")


def test_a_misspelt_run_is_set_aside_and_its_neighbours_are_applied(store):
    planned(store)
    for run in ({**RUN, "lable": "x"}, {**RUN, "fidelty": {}}, RUN):
        with open(store.journal.folder / "events.jsonl", "ab") as journal:
            journal.write(line("runs.added", study="demo", runs=[run], jobs=[], by="me"))
    store.ingest()
    assert [reason.split("its")[0] for *_, reason in runs.corrupt_lines(store)] and len(runs.corrupt_lines(store)) == 2
    assert store.rows("SELECT state FROM runs WHERE id = 'demo-9'") == [("planned",)]


def test_a_search_says_which_merges_were_refused_and_which_diverged(store):
    planned(store, kind="merge_search")
    rows = [
        {**MEASURED, "id": "demo-00007", "number": 7},
        {**MEASURED, "id": "demo-00008", "number": 8, "losses": [None, None], "refused": "directions cancel"},
        {**MEASURED, "id": "demo-00009", "losses": [1.0, None]},
    ]
    with journal_of(store, "demo-merge_search") as journal:
        journal.write(line("runs.measured", study="demo", runs=rows))
    store.ingest()
    found = store.rows("SELECT state, message FROM runs WHERE number > 6 ORDER BY number")
    assert found[:2] == [("done", None), ("refused", "directions cancel")]
    assert found[2][0] == "diverged" and "coefficients" in found[2][1]


def test_a_studys_metric_has_the_fields_of_an_objective():
    assert [one.name for one in fields(StudyMetric)] == [one.name for one in fields(Objective)]


def test_who_asked_for_a_jobs_end_is_kept(store):
    planned(store)
    with as_person(SYSTEM):
        store.write(JobCancelAsked("demo-train"))
    found = jobs.find(store, "demo-train")
    assert (found.asked, found.asked_by) == ("cancel", SYSTEM.name) and found.asked_at
    assert found.state == "queued"


def test_a_merge_that_its_method_refuses_is_refused_with_its_reason(store):
    """As journals before 0.2 told it, and as they tell it now."""
    planned(store)
    with journal_of(store, "demo-train") as journal:
        journal.write(line("run.diverged", run="demo-1", step=0, message="its weights cancel out"))
        journal.write(line("run.refused", run="demo-2", message="its weights cancel out"))
        journal.write(line("run.diverged", run="demo-3", step=None) + line("job.finished"))
    store.ingest()
    found = store.rows("SELECT state, message FROM runs ORDER BY id")
    assert found[:2] == [("refused", "its weights cancel out")] * 2
    assert found[2][0] == "diverged"


@pytest.mark.parametrize(("kind", "remedy"), [("train", "learning rate"), ("merge", "coefficients")])
@pytest.mark.parametrize("step", [0, None])
def test_a_diverged_run_names_the_remedy_of_its_kind(store, kind, remedy, step):
    """Journals before 0.2 give merges the step 0."""
    planned(store, kind=kind)
    with journal_of(store, f"demo-{kind}") as journal:
        journal.write(line("run.diverged", run="demo-1", step=step, message=None))
    store.ingest()
    ((state, message),) = store.rows("SELECT state, message FROM runs WHERE id = 'demo-1'")
    assert state == "diverged" and remedy in message and message.count("help") == 1


# The demo of 0.1, as its journals were written -----------------------------------------------------------


@pytest.fixture(scope="module")
def old_journals(tmp_path_factory):
    """The journals of a finished demo of version 0.1, and the tables that it made of them."""
    root = tmp_path_factory.mktemp("old")
    with lzma.open(FIXTURES / "journals.tar.xz") as packed, tarfile.open(fileobj=packed) as archive:
        archive.extractall(root, filter="data")
    tables = json.loads(gzip.decompress((FIXTURES / "tables.json.gz").read_bytes()))
    return root / "workspace", tables


def test_the_demo_of_the_version_before_rebuilds_to_the_same_tables(old_journals, tmp_path):
    root, tables = old_journals
    workspace = Workspace.open(root)
    assert rebuild(workspace, tmp_path / "fresh.duckdb")[0] > 1000
    store = Store(workspace, tmp_path / "fresh.duckdb")
    assert runs.corrupt_lines(store) == []
    for name, table in tables.items():
        columns = ", ".join(table["columns"])
        where = f"results WHERE kind = '{OLD_TABLES[name]}'" if name in OLD_TABLES else name
        found = [list(row) for row in store.rows(f"SELECT {columns} FROM {where}")]
        rows = (
            [[f"job/{key}" * (key != "owner") or key, end] for key, end in table["rows"]]
            if name == "journals"
            else table["rows"]
        )
        assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, rows)), name
    assert sum(len(table["rows"]) for table in tables.values()) > 2000
    store.close()


@pytest.mark.slow
def test_the_demo_of_the_version_before_opens_from_the_command_line(old_journals, tmp_path):
    """Without its corpora and surrogates, which no journal holds; what was measured and decided is all there."""
    root = shutil.copytree(old_journals[0], tmp_path / "workspace")
    command = [sys.executable, "-m", "store.rebuild", "--workspace", str(root)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    studies = {one["name"]: one for one in answer(root, "list")}
    assert set(studies) == {"Demo", "Demo: merge"}
    assert len(answer(root, "runs", "Demo")) == 70
    assert answer(root, "show", "Demo")["league"]["league"]["default"]
    (candidate,) = answer(root, "candidates", "Demo")["candidates"]
    assert candidate["standing"]["state"] == "rejected"


def test_a_database_of_the_version_before_opens_with_its_results(tmp_path):
    """Its four tables of results become one."""
    workspace = Workspace.open(tmp_path / "w")
    Store(workspace).close()
    store = Store(workspace)
    with store.transaction() as cursor:
        for name in OLD_TABLES:
            cursor.execute(
                f"CREATE TABLE {name} (job VARCHAR PRIMARY KEY, study VARCHAR NOT NULL, settings JSON NOT NULL, "
                "found JSON NOT NULL, t DOUBLE NOT NULL)"
            )
            cursor.execute(f"INSERT INTO {name} VALUES ('j', 's', '{{}}', '{{}}', 1.0)")
    store.close()
    store = Store(workspace)
    assert {kind for (kind,) in store.rows("SELECT kind FROM results WHERE job = 'j'")} == set(OLD_TABLES.values())
    assert not {name for (name,) in store.rows("SELECT table_name FROM duckdb_tables()")} & set(OLD_TABLES)
    store.close()


def test_an_event_has_a_docstring_that_says_what_it_means():
    assert all((kind.__doc__ or "").strip() and issubclass(kind, Event) for kind in event_kinds().values())
