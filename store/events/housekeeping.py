"""Apply decisions that keep a workspace in order: labels of studies, their deletion, and what is private."""

from engine.jobs.events import Event
from engine.jobs.housekeeping import CorpusMarked, StudyDeleted, StudyLabelled
from store.events.bulk import Cursor, Handler, Origin

LABELS = ("name", "note", "tags", "pinned", "archived")  # fields of the event, and columns of the study
HOLDING = (  # tables, by their column `study`
    *("candidates", "reviews", "predictions", "source_prices", "notices", "results", "leagues", "runs", "jobs"),
    "harness_results",
)


def study_labelled(cursor: Cursor, origin: Origin, e: StudyLabelled) -> None:
    changes = {column: getattr(e, column) for column in LABELS if getattr(e, column) is not None}
    if changes:
        sets = ", ".join(f"{column} = ?" for column in changes)
        cursor.execute(f"UPDATE studies SET {sets} WHERE id = ?", [*changes.values(), e.study])


def study_deleted(cursor: Cursor, origin: Origin, e: StudyDeleted) -> None:
    """The study's rows go. Its jobs are remembered: their folders go next (engine/studies/housekeeping.py)."""
    cursor.execute(
        "INSERT INTO deleted_studies SELECT id, name, (SELECT coalesce(list(jobs.id ORDER BY jobs.id), []) FROM jobs "
        "WHERE jobs.study = studies.id), ?, ? FROM studies WHERE id = ?",
        [origin.t, origin.by, e.study],
    )
    for table in ("curve", "evaluations"):
        cursor.execute(f"DELETE FROM {table} WHERE run IN (SELECT id FROM runs WHERE study = ?)", [e.study])
    journals = "SELECT 'job/' || id FROM jobs WHERE study = ?"
    cursor.execute(f"DELETE FROM journals WHERE name IN ({journals})", [e.study])
    for table in HOLDING:
        cursor.execute(f"DELETE FROM {table} WHERE study = ?", [e.study])
    cursor.execute("DELETE FROM studies WHERE id = ?", [e.study])


def corpus_marked(cursor: Cursor, origin: Origin, e: CorpusMarked) -> None:
    cursor.execute("UPDATE corpora SET private = ? WHERE name = ?", [e.private, e.corpus])


EVENTS: dict[type[Event], Handler] = {
    StudyLabelled: study_labelled,
    StudyDeleted: study_deleted,
    CorpusMarked: corpus_marked,
}
