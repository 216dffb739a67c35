"""A journal says only what is its writer's to say: decisions the owner's, a job's of its own runs and study."""

import pytest

from engine.core.errors import Problem
from engine.jobs.decisions import DECISIONS, JobPlanned, RunsAdded, StudyCreated
from engine.jobs.events import JobNote
from engine.jobs.housekeeping import StudyDeleted
from engine.jobs.journal import write_event
from engine.jobs.runs import PlannedRun
from store import studies
from store.database import Store
from store.journal import SAID, shortened
from tests.support.two_studies import OWN, add, finished, league, one_line, tables


def said(store: Store) -> str:
    return " ".join(reason for (reason,) in store.rows("SELECT reason FROM corrupt_lines"))


def test_no_decision_is_taken_from_a_job(two):
    before = tables(two)
    for kind in DECISIONS:
        line = {"kind": kind.kind, "t": 1.0, "by": "owner", "study": "other", "job": "evil", "spec": {}}
        add(two, OWN, one_line(line))
    two.ingest()
    assert {**tables(two), "corrupt_lines": []} == {**before, "corrupt_lines": []}
    assert said(two).count("not its writer's to say") == len(DECISIONS)


def test_a_job_tells_of_its_own_runs_alone(two):
    add(two, OWN, one_line(finished("other-1")), one_line(finished("mine-1")))
    started = {"kind": "runs.started", "t": 1.0, "runs": ["mine-2", "other-2"], "device": "cpu", "parameters": 1}
    evaluated = {"kind": "runs.evaluated", "t": 1.0, "runs": ["other-3"], "tokens": 1, "losses": [[1.0, 2.0]]}
    add(two, OWN, one_line(started), one_line(evaluated))
    two.ingest()
    assert studies.get(two, "other").done == 0 and studies.get(two, "mine").done == 1
    assert said(two).count("is not one of its runs") == 3


def test_a_job_tells_of_its_own_study_alone(two):
    two.write(JobPlanned("mine-fit-x", {"kind": "fit", "fingerprint": "x", "runs": ["mine-1", "mine-2"]}, "mine"))
    two.spool.submit({"kind": "fit"}, "mine-fit-x")
    told = {"kind": "league.finished", "t": 1.0, "fingerprint": "x", "runs": 2, "league": league(2, 2)}
    add(two, "mine-fit-x", one_line({**told, "study": "other"}), one_line({**told, "study": "mine"}))
    for odd in ({"fingerprint": "y"}, {"runs": 3}):  # no fit of its runs
        add(two, "mine-fit-x", one_line({**told, "study": "mine", **odd}))
    search = {"kind": "search.finished", "t": 1.0, "study": "mine", "settings": {}, "found": {}}
    add(two, "mine-fit-x", one_line(search))
    two.ingest()
    assert two.rows("SELECT study FROM leagues") == [("mine",)] and not two.rows("SELECT * FROM results")
    assert "about the study 'other'" in said(two) and "search.finished" in said(two)
    assert said(two).count("its job fitted other runs") == 2


RUN = {"id": "mine-00004", "number": 4, "role": "search", "label": None, "weights": [0.5, 0.5], "seed": 1}
RUN |= {"losses": [1.0, 2.0], "losses_se": [None, None], "seconds": 1.0, "cpu_seconds": 1.0, "device": "cpu"}
CHOSEN = {"kind": "runs.measured", "t": 1.0, "study": "mine", "runs": [RUN | {"parameters": 1}]}


def test_runs_that_a_job_chose_are_told_by_those_that_choose_alone(two):
    """A node that trains cannot make up runs; and no search takes an id that another study will need."""
    two.write(JobPlanned("mine-s", {"kind": "merge_search"}, "mine"))
    two.spool.submit({"kind": "merge_search"}, "mine-s")
    taken = CHOSEN["runs"][0] | {"id": "other-00004"}
    planned = CHOSEN["runs"][0] | {"id": "mine-1", "number": 1}
    add(two, "mine-s", *(one_line(CHOSEN | {"runs": [run]}) for run in (taken, planned)), one_line(CHOSEN))
    add(two, OWN, one_line(CHOSEN | {"runs": [CHOSEN["runs"][0] | {"id": "mine-00005", "number": 5}]}))
    two.ingest()
    assert [row for row in two.rows("SELECT id FROM runs ORDER BY id") if "0000" in row[0]] == [("mine-00004",)]
    assert said(two).count("is not an id of its study") == 2 and "not its writer's to say" in said(two)


@pytest.mark.parametrize("opened_again", [False, True])
def test_what_a_job_may_say_does_not_depend_on_when_it_is_read(two, opened_again):
    """A search tells of a run once, by what it measured, also where its owner was started again in between."""
    two.write(JobPlanned("mine-s", {"kind": "merge_search"}, "mine"))
    two.spool.submit({"kind": "merge_search"}, "mine-s")
    add(two, "mine-s", one_line(CHOSEN))
    two.ingest()
    if opened_again:
        two.close()
    later = Store(two.workspace) if opened_again else two
    losses = {"losses": {"code": 9.0}, "losses_se": {}}
    add(later, "mine-s", one_line({**finished("mine-00004"), **losses}))
    later.ingest()
    assert later.rows("SELECT losses FROM runs WHERE id = 'mine-00004'") == [([1.0, 2.0],)]
    assert "is not one of its runs" in said(later)
    if opened_again:
        later.close()


def test_runs_that_a_job_gets_later_are_its_own_and_those_of_a_deleted_study_are_nobodys(two):
    add(two, OWN, one_line(finished("mine-1")))
    two.ingest()
    run = {"id": "mine-00009", "number": 9, "role": "design", "weights": [0.5, 0.5], "seed": 1, "job": OWN}
    two.write(RunsAdded("mine", [PlannedRun(**run)], []))
    add(two, OWN, one_line(finished("mine-00009")))
    two.ingest()
    assert studies.get(two, "mine").done == 2 and not said(two)
    two.write(JobPlanned("mine-o", {"kind": "overlap"}, "mine"))
    two.spool.submit({"kind": "overlap"}, "mine-o")
    add(two, "mine-o", one_line({"kind": "job.note", "t": 1.0, "text": "begun"}))
    two.ingest()
    counted = {
        "kind": "overlap.counted",
        "t": 1.0,
        "study": "mine",
        "settings": {"corpus": "x"},
        "found": {"tasks": {}},
    }
    add(two, "mine-o", one_line(counted))
    two.ingest()
    assert two.rows("SELECT job FROM results") == [("mine-o",)]
    two.write(StudyDeleted("mine"))
    add(two, "mine-o", one_line(counted))
    two.ingest()
    assert not two.rows("SELECT job FROM results") and "not its writer's to say" in said(two)


def test_a_report_names_each_run_once(two):
    """Else one line could become any number of rows."""
    report = {"kind": "runs.progress", "t": 1.0, "step": 1, "steps": 2, "tokens": 3, "tokens_per_second": 1.0}
    add(two, OWN, *(one_line(report | {"runs": ["mine-1", run], "loss": [1.0, 2.0]}) for run in ("mine-1", "mine-2")))
    two.ingest()
    assert two.rows("SELECT count(*) FROM curve") == [(2,)] and "names a run twice" in said(two)


@pytest.mark.parametrize("event", [{"kind": "job.note", "text": ""}, {"kind": "job.failed", "message": ""}])
def test_a_job_says_no_more_than_a_page_can_show(two, event):
    """A line may have megabytes, and every page about the job would send them to everybody."""
    text = next(name for name in event if name != "kind")
    add(two, OWN, one_line({**event, text: "x" * (8 << 20), "t": 1.0}))
    two.ingest()
    ((kept,),) = two.rows("SELECT message FROM jobs WHERE id = ?", [OWN])
    assert len(kept) < SAID + 100 and kept.endswith("[cut off: it has 8,388,608 characters]") and not said(two)


@pytest.mark.parametrize("name", ["refused", "missing", "label"])
def test_nor_does_it_in_what_it_tells_of_each_run(two, name):
    two.write(JobPlanned("mine-s", {"kind": "merge_search"}, "mine"))
    two.spool.submit({"kind": "merge_search"}, "mine-s")
    add(two, "mine-s", one_line(CHOSEN | {"runs": [CHOSEN["runs"][0] | {name: "x" * 1_000_000}]}))
    two.ingest()
    (row,) = two.rows("SELECT label, message FROM runs WHERE id = 'mine-00004'")
    assert max(len(text or "") for text in row) == SAID + len(" [cut off: it has 1,000,000 characters]")
    given = {"template": "x" * 20_000, "at": [1, {"b": "x"}]}  # as somebody gave it, and a corpus repeats it
    assert shortened(given) == given


def test_the_owner_does_not_measure(two):
    with open(two.journal.folder / "events.jsonl", "ab") as journal:
        journal.write(one_line(finished("mine-1")) + b"\n")
    two.ingest()
    assert studies.get(two, "mine").done == 0 and "not its writer's to say" in said(two)


# Ids --------------------------------------------------------------------------------------------------------


def test_no_job_is_called_as_the_owner_is(two):
    with pytest.raises(Problem, match="owner"):
        two.spool.submit({"kind": "corpus", "corpus": "x", "source": {}}, "owner")


def test_a_job_called_owner_that_was_copied_in_takes_nothing_of_the_owners(two):
    folder = two.spool.root / "active" / "owner"
    folder.mkdir()
    write_event(folder, JobNote("x" * 100_000))
    two.ingest()
    two.write(StudyCreated("later", "Later", {"corpus": "default"}))
    two.close()
    again = Store(two.workspace)
    again.ingest()
    assert {one.id for one in studies.all_studies(again)} == {"mine", "other", "later"}
    again.write(StudyCreated("last", "Last", {"corpus": "default"}))
    assert studies.get(again, "last").name == "Last"
    again.close()
