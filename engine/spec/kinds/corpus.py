"""The job that builds a corpus: text becomes shards of tokens."""

from dataclasses import dataclass
from typing import Any

from engine.core.errors import Problem
from engine.core.records import shown
from engine.jobs.events import Event, Row
from engine.jobs.kinds import JobKind
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
    """The corpus is there. manifest: see engine/corpus/build.py."""

    kind = "corpus.built"
    lands = Row("corpora", {"manifest": "manifest"}, where={"name": "corpus"})
    corpus: str
    manifest: dict[str, object]

    def __post_init__(self) -> None:
        """Raises Problem for a manifest without domains or tokenizer."""
        for name in ("domains", "tokenizer"):
            if not isinstance(self.manifest.get(name), dict):
                raise Problem(f"Cannot read the event {self.kind}: its {name} is {shown(self.manifest.get(name))}.")


KIND = JobKind(CorpusTask, "engine.corpus.build:run", (CorpusBuilt,))
