"""Decisions: events of the owner's journal, one dataclass per kind. People's requests, and what the owner plans.

Lines carry `by`: who acted. Jobs and metrics in them are records too, and so are runs (engine/jobs/runs.py).
"""

from dataclasses import dataclass
from typing import ClassVar

from engine.core.records import Record
from engine.jobs.api import RequestBegun, RequestEnded, SignInEnded, TokenCreated, TokenRevoked, TokenUsed
from engine.jobs.events import Event
from engine.jobs.housekeeping import CorpusMarked, StudyDeleted, StudyLabelled
from engine.jobs.ledger import PredictionsRegistered, SourcePriced
from engine.jobs.manifests import ImportedFrom, KeptText, Pool
from engine.jobs.reported import REPORTED
from engine.jobs.runs import CarriedRun, ImportedRun, PlannedRun, SubmittedRun

# What decisions hold -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PlannedJob(Record):
    """job: its id; spec: its settings and task (engine/jobs/spec.py)."""

    job: str
    spec: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class StudyMetric(Record):
    """A metric of a study: the fields of engine.spec.objectives.Objective."""

    metric: str
    unit: str
    higher_is_better: bool
    domain: str | None = None
    priority: float = 1.0
    task: str | None = None
    chance: float | None = None
    items: int | None = None
    reference: str | None = None


# Studies -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StudyCreated(Event):
    """A study was requested. spec: engine.spec.study.StudySpec as a dict."""

    kind = "study.created"
    study: str
    name: str
    spec: dict[str, object]


@dataclass(frozen=True)
class StudyPlanned(Event):
    """The study's coordinates, metrics, runs, and the jobs that will measure them.

    domains: its coordinates; metrics: null in journals of 0.1 (each domain's loss); corpus: of those domains; carried:
    runs of the study that it continues (engine/studies/domain_changes.py).
    """

    kind = "study.planned"
    taken: ClassVar = {"corpus": KeptText}
    study: str
    domains: list[str]
    corpus: dict[str, object]
    runs: list[PlannedRun]
    jobs: list[PlannedJob]
    metrics: list[StudyMetric] | None = None
    carried: list[CarriedRun] | None = None


@dataclass(frozen=True)
class StudyImported(Event):
    """A study of runs that were trained elsewhere, with their results. imported: their source."""

    kind = "study.imported"
    taken: ClassVar = {"corpus": KeptText | None, "imported": ImportedFrom}
    study: str
    name: str
    spec: dict[str, object]
    domains: list[str]
    metrics: list[StudyMetric]
    corpus: dict[str, object] | None
    imported: dict[str, object]
    runs: list[ImportedRun]


@dataclass(frozen=True)
class StudyTextGiven(Event):
    """Somebody said how much text the real run of a planned study has (engine/studies/text.py).

    pools: rows of engine.spec.pools.Pools; revision: of these, so that searches know which they kept to.
    """

    kind = "study.text_given"
    taken: ClassVar = {"pools": list[Pool]}
    study: str
    available_tokens: dict[str, float]
    target_tokens: float
    pools: list[dict[str, object]]
    revision: str


@dataclass(frozen=True)
class StudyMeanChosen(Event):
    """Whether a study's means are relative to the natural mixture (engine/studies/means.py); null: as its domains
    are."""

    kind = "study.mean_chosen"
    study: str
    relative: bool | None = None


@dataclass(frozen=True)
class StudyCancelled(Event):
    """The study's jobs end; results stay."""

    kind = "study.cancelled"
    study: str


@dataclass(frozen=True)
class StudyPaused(Event):
    """No job of the study starts any more; running ones stop at a checkpoint."""

    kind = "study.paused"
    study: str


@dataclass(frozen=True)
class StudyResumed(Event):
    """The study goes on, and failed jobs are retried."""

    kind = "study.resumed"
    study: str


@dataclass(frozen=True)
class StudyFailed(Event):
    """The study cannot go on. message: why, and what to do."""

    kind = "study.failed"
    study: str
    message: str


@dataclass(frozen=True)
class RunsAdded(Event):
    """More runs of a study, and the jobs that will measure them."""

    kind = "runs.added"
    study: str
    runs: list[PlannedRun]
    jobs: list[PlannedJob]


@dataclass(frozen=True)
class RunsSubmitted(Event):
    """Finished runs posted by a client."""

    kind = "runs.submitted"
    study: str
    runs: list[SubmittedRun]


# Jobs and corpora --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobPlanned(Event):
    """A job is to be put into the spool. spec: its settings and task (engine/jobs/spec.py)."""

    kind = "job.planned"
    job: str
    spec: dict[str, object]
    study: str | None = None


@dataclass(frozen=True)
class JobPrioritised(Event):
    """A job was moved in the queue; lower runs sooner."""

    kind = "job.prioritised"
    job: str
    priority: float


@dataclass(frozen=True)
class JobCancelAsked(Event):
    """A job was cancelled."""

    kind = "job.cancel_asked"
    job: str


@dataclass(frozen=True)
class JobRetryAsked(Event):
    """An ended job was queued again."""

    kind = "job.retry_asked"
    job: str


@dataclass(frozen=True)
class CorpusPlanned(Event):
    """A corpus is to be built. spec: engine.corpus.spec.CorpusSpec as a dict."""

    kind = "corpus.planned"
    corpus: str
    spec: dict[str, object]


# Candidates --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CandidatePut(Event):
    """A point of a study was nominated. frozen: JSON of the point and its predictions."""

    kind = "candidate.put"
    candidate: str
    study: str
    frozen: str


@dataclass(frozen=True)
class ReviewAdded(Event):
    """A line of a candidate's history, or of the study's rules (candidate null). body: the fields of a record of
    engine/jobs/reviews.py, by `what`."""

    kind = "review.added"
    study: str
    what: str
    author: str
    body: dict[str, object]
    candidate: str | None = None


@dataclass(frozen=True)
class InboxRead(Event):
    """Somebody read entries of their inbox. lines: their numbers in the history of reviews."""

    kind = "inbox.read"
    person: str
    lines: list[int]


# Notices and tokens ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoticeRaised(Event):
    """A notice that a study has ended or needs attention, or of a review. outcome: finished, failed, mention or
    decision."""

    kind = "notice.raised"
    notice: str
    study: str
    outcome: str
    text: str


@dataclass(frozen=True)
class NoticeTold(Event):
    """A notice was delivered to the webhook, or given up. trouble: why."""

    kind = "notice.told"
    notice: str
    trouble: str | None = None


DECISIONS: tuple[type[Event], ...] = (
    StudyCreated,
    StudyPlanned,
    StudyImported,
    StudyTextGiven,
    StudyMeanChosen,
    StudyCancelled,
    StudyPaused,
    StudyResumed,
    StudyFailed,
    StudyLabelled,
    StudyDeleted,
    RunsAdded,
    RunsSubmitted,
    *REPORTED,
    PredictionsRegistered,
    SourcePriced,
    JobPlanned,
    JobPrioritised,
    JobCancelAsked,
    JobRetryAsked,
    CorpusPlanned,
    CorpusMarked,
    CandidatePut,
    ReviewAdded,
    InboxRead,
    NoticeRaised,
    NoticeTold,
    TokenCreated,
    TokenRevoked,
    TokenUsed,
    SignInEnded,
    RequestBegun,
    RequestEnded,
)
