"""The job that builds a corpus: text becomes shards of tokens."""

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.jobs.events import Event, Row
from engine.jobs.kinds import JobKind
from engine.jobs.manifests import Manifest
from engine.jobs.spec import Task


@dataclass(frozen=True)
class CorpusTask(Task):
    """corpus: its name; the rest: the settings of an engine.corpus.spec.CorpusSpec, its defaults where null."""

    kind = "corpus"
    corpus: str
    source: dict[str, Any]
    cap_mb: float | None = None
    tokenizer: dict[str, Any] | str | None = None
    private: bool | None = None


@dataclass(frozen=True)
class CorpusBuilt(Event):
    """The corpus is there. manifest: see engine/corpus/manifest.py."""

    kind = "corpus.built"
    lands = Row("corpora", {"manifest": "manifest"}, where={"name": "corpus"})
    corpus: str
    manifest: dict[str, object]
    taken: ClassVar = {"manifest": Manifest}


KIND = JobKind(CorpusTask, "engine.corpus.build:run", (CorpusBuilt,))
