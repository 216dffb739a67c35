"""Keep studies in order: rename, annotate, tag, pin, archive and delete them. Uses the store."""

import shutil
from dataclasses import dataclass

from engine.core.errors import Problem
from engine.core.people import takes
from engine.core.short_names import counted, listed
from engine.corpus import passages, windows
from engine.jobs.housekeeping import StudyDeleted, StudyLabelled
from engine.jobs.spool import try_lock
from engine.tasks import outcomes
from store import jobs, reviews, runs, studies
from store.database import Store, in_turn

LONGEST = {"name": 80, "tag": 40, "note": 2000}  # characters
MOST_TAGS = 20
FOLDERS = ("surrogates", "experts", "rivals")  # of the workspace, with a folder per study


@dataclass(frozen=True)
class Dependents:
    """What goes with a study. runs, jobs, candidates, reviews: how many; reviews are lines of the candidates' history;
    merges: names of the merge studies that are compared with it."""

    runs: int
    jobs: int
    candidates: int
    reviews: int
    merges: tuple[str, ...]

    @property
    def in_words(self) -> str:
        """In words, as part of a sentence."""
        nouns = ("run", "job", "candidate")
        counts = zip((self.runs, self.jobs, self.candidates), nouns, strict=True)
        parts = [counted(number, noun) for number, noun in counts if number]
        parts += [f"{counted(self.reviews, 'line')} of review"] * bool(self.reviews)
        return listed(parts) if parts else "nothing else"


@takes("operator", "label a study")
@in_turn
def label(
    store: Store,
    study: studies.Study,
    name: str | None = None,
    note: str | None = None,
    tags: list[str] | None = None,
    pinned: bool | None = None,
    archived: bool | None = None,
) -> None:
    """Rename, annotate, tag, pin or archive a study; None: as before. Raises Problem for a name that another study
    has, and for texts that are empty or too long."""
    if name is not None:
        name = fitting("name", name)
        for other in studies.all_studies(store):
            if other.id != study.id and name in (other.id, other.name):
                raise Problem(f"Cannot rename {study.name!r}: another study is called {name!r}. Choose another name.")
    if note is not None and len(note) > LONGEST["note"]:
        raise Problem(
            f"Cannot keep a note of {len(note):,} characters: at most {LONGEST['note']:,} are kept. Shorten it."
        )
    if tags is not None:
        tags = list(dict.fromkeys(fitting("tag", tag) for tag in tags))
        if len(tags) > MOST_TAGS:
            raise Problem(f"Cannot keep {len(tags)} tags: a study has at most {MOST_TAGS}.")
    store.write(StudyLabelled(study.id, name, note, tags, pinned, archived))


def fitting(what: str, text: str) -> str:
    """A name or tag without space around it. Raises Problem if it is empty, too long, or has invisible characters."""
    text = text.strip()
    if not text or len(text) > LONGEST[what] or not text.isprintable():
        raise Problem(f"Cannot use the {what} {text[:80]!r}: it must have 1 to {LONGEST[what]} printable characters.")
    return text


def dependents(store: Store, study: studies.Study) -> Dependents:
    """What would go with a study, and what is compared with it."""
    merges = [one for one in studies.all_studies(store) if mixture_of(store, one) == study.id]
    return Dependents(
        runs=len(runs.table(store, study.id)),
        jobs=len(jobs.of_study(store, study.id)),
        candidates=len(reviews.of_study(store, study.id)),
        reviews=len(reviews.history(store, study.id)),
        merges=tuple(one.name for one in merges),
    )


def mixture_of(store: Store, study: studies.Study) -> str | None:
    """The id of the mixture study that a merge study is compared with; None without one."""
    of = (study.spec.get("merge") or {}).get("of")
    try:
        return studies.get(store, of).id if of else None
    except Problem:  # that study is gone, or its name is no longer one study's
        return None


@takes("operator", "delete a study")
@in_turn
def delete(store: Store, study: studies.Study, called: str) -> None:
    """Take a study with all that hangs on it out of the tables, and remove its jobs' folders; the owner's journal keeps
    who did it, and every decision before. called: the study's name again, since nothing brings it back.

    Raises Problem for another name, while a job of it has not ended, and while merges are compared with it.
    """
    found = dependents(store, study)
    if called != study.name:
        raise Problem(
            f"Cannot delete {study.name!r} by the name {called!r}: give its own name to confirm. With it go "
            f"{found.in_words}. Archive it to hide it only."
        )
    if found.merges:
        raise Problem(
            f"Cannot delete {study.name!r}: {listed([repr(one) for one in found.merges])} compares its merges with it. "
            "Delete that first, or archive this one."
        )
    own = jobs.of_study(store, study.id)
    if waiting := sum(job.state in jobs.UNFINISHED for job in own):
        raise Problem(
            f"Cannot delete {study.name!r}: {counted(waiting, 'job')} of it has not ended. Cancel the study, wait "
            "until nothing of it runs, then delete it."
        )
    for job in own:
        check_ended(store, study, job.id)
    measured = runs.ids(store, study.id)
    store.write(StudyDeleted(study.id))
    store.spool.unpause(study.id)
    store.forget([job.id for job in own])
    root = store.workspace.root
    for kind in FOLDERS:
        shutil.rmtree(root / kind / study.id, ignore_errors=True)
    for run in measured:
        for file in (passages.file_of(root, run), windows.file_of(root, run), outcomes.file_of(root, run)):
            file.unlink(missing_ok=True)


def check_ended(store: Store, study: studies.Study, job: str) -> None:
    """Raise Problem while the process of an ended job still runs."""
    if (folder := store.spool.find(job)) is not None:
        with try_lock(folder) as free:
            if free is None:
                raise Problem(
                    f"Cannot delete {study.name!r}: the process of {job} is still ending. Try again in a few seconds."
                )


def finish_deletions(store: Store) -> None:
    """Remove folders that a stop left behind between a deletion's decision and its end."""
    store.forget(jobs.left_behind(store))
