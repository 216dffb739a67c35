"""Studies that are labelled and deleted: what the tables say, what a rebuild says, and what is refused."""

import pytest

from engine.commands import COMMANDS
from engine.core.errors import Missing, Problem
from engine.core.people import Person, Refused, as_person
from engine.jobs.decisions import StudyCreated
from engine.jobs.events import JobFinished, JobStarted
from engine.jobs.journal import write_event
from engine.studies import advance, housekeeping
from store import studies
from store.database import Store
from store.from_journals import rebuild
from tests.store.test_store import finished, journal_of, planned


def tables(store: Store) -> dict[str, list]:
    """Every row of every table."""
    names = [name for (name,) in store.rows("SELECT table_name FROM duckdb_tables() ORDER BY 1")]
    return {name: sorted(map(repr, store.rows(f"SELECT * FROM {name}"))) for name in names}


def ended(store: Store, study: str) -> None:
    """Its one job trains its first run, and ends."""
    with journal_of(store, f"{study}-train") as journal:
        journal.write(finished(f"{study}-1", 2.0))
    folder = store.spool.find(f"{study}-train")
    for event in (JobStarted(pid=1, host="here"), JobFinished()):
        write_event(folder, event)
    store.spool.move(folder, "ended")
    store.ingest()


def rebuilt(store: Store, workspace, tmp_path) -> dict[str, list]:
    rebuild(workspace, tmp_path / "again.duckdb")
    again = Store(workspace, tmp_path / "again.duckdb")
    try:
        return tables(again)
    finally:
        again.close()


def test_labels_stand_in_lists_and_after_a_rebuild(store, workspace, tmp_path):
    planned(store, "one")
    planned(store, "two")
    label = COMMANDS["label_study"]
    label(store, "one", new_name=" Tuesday ", tags=["keep", "keep", "gpu"], note="ran *twice*", pinned=True)
    label(store, "one", note="once")
    found = studies.get(store, "Tuesday")
    assert (found.id, found.tags, found.note, found.pinned) == ("one", ("keep", "gpu"), "once", True)
    assert [one["study"] for one in COMMANDS["list_studies"](store)] == ["one", "two"], "pinned first"
    label(store, "one", pinned=False, archived=True)
    assert [one["study"] for one in COMMANDS["list_studies"](store)] == ["two"]
    assert [one["study"] for one in COMMANDS["list_studies"](store, archived=True)] == ["two", "one"]
    assert rebuilt(store, workspace, tmp_path) == tables(store)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"new_name": "two"}, "another study is called"),
        ({"new_name": "  "}, "1 to 80 printable"),
        ({"tags": ["x" * 41]}, "1 to 40 printable"),
        ({"note": "x" * 2001}, "2,001 characters"),
    ],
)
def test_a_label_that_would_mislead_is_refused(store, change, words):
    planned(store, "one")
    planned(store, "two")
    with pytest.raises(Problem, match=words):
        COMMANDS["label_study"](store, "one", **change)
    assert studies.get(store, "one").name == "A study"


def test_a_renamed_study_is_found_by_the_name_it_began_with(store):
    planned(store, "one")
    spec = {**studies.get(store, "one").spec, "name": "First"}
    with store.transaction() as cursor:
        cursor.execute("UPDATE studies SET spec = ? WHERE id = 'one'", [str(spec).replace("'", '"')])
    COMMANDS["label_study"](store, "one", new_name="Second")
    assert studies.get(store, "First").id == studies.get(store, "Second").id == "one"


def test_a_deleted_study_leaves_the_tables_and_its_name_is_free(store, workspace, tmp_path):
    planned(store, "other")
    before = tables(store)
    planned(store, "demo")
    ended(store, "demo")
    COMMANDS["delete_study"](store, "demo", called="A study")
    left = tables(store)
    ((gone, name, jobs, _, by),) = store.rows("SELECT * FROM deleted_studies")
    assert (gone, name, jobs) == ("demo", "A study", ["demo-train"]) and by
    changed = {table for table, rows in left.items() if rows != before[table]}
    assert changed == {"deleted_studies", "journals"}, "the owner's journal was read on"
    assert store.spool.find("demo-train") is None
    assert rebuilt(store, workspace, tmp_path) == left
    with pytest.raises(Missing):
        COMMANDS["show"](store, "demo")
    planned(store, "demo")  # the same ids again
    ended(store, "demo")
    assert studies.get(store, "demo").counts == {"done": 1, "failed": 2}
    (tmp_path / "again.duckdb").unlink()
    assert rebuilt(store, workspace, tmp_path) == tables(store)
    assert not store.rows("SELECT * FROM corrupt_lines")


def test_what_hangs_on_a_study_is_said_and_what_runs_is_refused(store):
    planned(store, "demo")
    with pytest.raises(Problem, match=r"give its own name to confirm\. With it go 3 runs, 1 job"):
        COMMANDS["delete_study"](store, "demo", called="demo")
    with pytest.raises(Problem, match=r"1 job of it has not ended\. Cancel the study"):
        COMMANDS["delete_study"](store, "demo", called="A study")
    COMMANDS["cancel"](store, "demo")
    COMMANDS["delete_study"](store, "demo", called="A study")
    assert studies.all_studies(store) == []


def test_a_study_with_merges_on_it_stays(store):
    planned(store, "demo")
    COMMANDS["cancel"](store, "demo")
    spec = {"corpus": "default", "merge": {"of": "demo"}}
    store.write(StudyCreated(study="merges", name="Merges", spec=spec))
    with pytest.raises(Problem, match="'Merges' compares its merges with it"):
        COMMANDS["delete_study"](store, "demo", called="A study")
    COMMANDS["delete_study"](store, "merges", called="Merges")
    COMMANDS["delete_study"](store, "demo", called="A study")


def test_a_stop_in_the_middle_of_a_deletion_is_finished_at_the_next_start(store):
    planned(store, "demo")
    ended(store, "demo")
    store.write(housekeeping.StudyDeleted("demo"))
    assert store.spool.find("demo-train")
    advance.recover(store)
    assert store.spool.find("demo-train") is None and not store.rows("SELECT * FROM corrupt_lines")


@pytest.mark.parametrize("command", ["label_study", "delete_study"])
def test_they_take_an_operator(store, command):
    planned(store, "demo")
    with as_person(Person("r@example.org", "reviewer")), pytest.raises(Refused):
        COMMANDS[command](store, "demo", **({"called": "A study"} if command == "delete_study" else {"pinned": True}))
