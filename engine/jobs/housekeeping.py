"""Decisions that keep a workspace in order: how a study is called and filed, that it was deleted, what is private."""

from dataclasses import dataclass

from engine.jobs.events import Event


@dataclass(frozen=True)
class StudyLabelled(Event):
    """A study was renamed, annotated, pinned or archived; null: as before. tags: all that it has now."""

    kind = "study.labelled"
    study: str
    name: str | None = None
    note: str | None = None
    tags: list[str] | None = None
    pinned: bool | None = None
    archived: bool | None = None


@dataclass(frozen=True)
class StudyDeleted(Event):
    """A study left the tables, with its runs, jobs and candidates. Its earlier lines stay in the owner's journal."""

    kind = "study.deleted"
    study: str


@dataclass(frozen=True)
class CorpusMarked(Event):
    """From now on a corpus is private, or not any more, however it was built."""

    kind = "corpus.marked"
    corpus: str
    private: bool
