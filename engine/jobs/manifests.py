"""What readers take of a corpus' manifest (engine/corpus/manifest.py), of what a study keeps, and of an import."""

from dataclasses import dataclass, field
from typing import Any

from engine.core.checks import is_texts, is_whole
from engine.core.errors import Problem
from engine.core.records import Excerpt, Record
from engine.core.shown import shown
from engine.jobs.axes import Point

FILES = ("found", "read", "beyond_cap")  # of a domain, in numbers


@dataclass(frozen=True, kw_only=True)
class UnknownLetters(Excerpt):
    """part: of a domain's characters, in symbols that the field of the corpus' rule does not write; letters: the usual
    ones; told: the part of each kind of symbol that is worth telling; headers, broken: lines that name a sequence, and
    sequences of several lines (none of the three before 0.4)."""

    part: float
    letters: list[str]
    told: dict[str, float] = field(default_factory=dict)
    headers: int = 0
    broken: int = 0


@dataclass(frozen=True, kw_only=True)
class DomainFacts(Excerpt):
    """A domain's text: all but its training tokens is missing where these are counts that came with imported runs."""

    train_tokens: float
    documents: int | None = None
    train_documents: int | None = None
    valid_documents: int | None = None
    valid_tokens: float | None = None
    train_bytes: float | None = None
    valid_bytes: float | None = None
    available_bytes: float | None = None
    available_tokens: float | None = None
    whole: bool | None = None
    duplicates: dict[str, int] | None = None
    leak: dict[str, float | None] | None = None
    examples: list[str] = field(default_factory=list)
    filtered: int | None = None
    cut: int | None = None
    skipped_count: int | None = None
    files: dict[str, Any] | None = None
    sha256: dict[str, str] | None = None
    unknown_letters: UnknownLetters | None = None
    conversations: int | None = None
    answers: dict[str, float] | None = None
    alphabets: dict[str, float] | None = None

    def __post_init__(self) -> None:
        """Raises Problem for files that are not counted, or not named, and answers of no conversations."""
        files = self.files or {}
        there = FILES if files.get("found") else [name for name in FILES if name in files]
        if not all(is_whole(files.get(name), 0) for name in there) or not is_texts(files.get("paths", [])):
            raise Problem(f"Cannot read a domain's files: they are {shown(self.files)}.")
        if (self.answers is None) != (self.conversations is None):
            raise Problem(
                "Cannot read a domain's answers: their conversations are not counted, or the other way round."
            )


@dataclass(frozen=True, kw_only=True)
class BuiltDomain(DomainFacts):
    """The same of a built corpus, where nothing of it is missing."""

    documents: int
    train_documents: int
    train_bytes: float
    valid_bytes: float
    duplicates: dict[str, int]
    leak: dict[str, float | None]
    examples: list[str]
    filtered: int
    sha256: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Tokenizer(Excerpt):
    """vocabulary: how many tokens it has."""

    type: str
    vocabulary: int


@dataclass(frozen=True, kw_only=True)
class Source(Excerpt):
    """type: of engine.corpus.spec."""

    type: str


@dataclass(frozen=True, kw_only=True)
class Settings(Excerpt):
    """engine.corpus.spec.CorpusSpec as a dict."""

    source: Source
    cap_mb: float | None = None
    private: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Place(Excerpt):
    """A file that was left out, or of which something is to be known."""

    path: str
    reason: str
    domain: str | None = None
    lines: int | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest(Excerpt):
    """A built corpus."""

    fingerprint: str
    spec: Settings
    tokenizer: Tokenizer
    domains: dict[str, BuiltDomain]
    seconds: float
    missing: list[str] = field(default_factory=list)
    packages: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[Place] = field(default_factory=list)
    noticed: list[Place] = field(default_factory=list)
    left_out: list[Place] = field(default_factory=list)
    left_out_count: int = 0


@dataclass(frozen=True, kw_only=True)
class Pool(Record):
    """A row of engine.spec.pools.Pools."""

    domain: str
    tokens: float | None
    source: str
    sample: float | None


@dataclass(frozen=True, kw_only=True)
class KeptText(Excerpt):
    """What a study keeps of its corpus. experts: of a merge study, in the order of its coordinates; revision: of counts
    that were given later."""

    domains: dict[str, DomainFacts] = field(default_factory=dict)
    pools: list[Pool] | None = None
    experts: list[str] | None = None
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class ImportedFrom(Excerpt):
    """Where imported runs come from. columns: domain -> column; prior: where searches start, and what it is called;
    unseen: domains that no run used."""

    files: list[str]
    columns: dict[str, str]
    notes: list[str]
    prior: Point
    prior_name: str
    unseen: list[str] = field(default_factory=list)
    key: str | None = None
    scale: str | None = None
    answers: dict[str, Any] | None = None
