"""Build corpora for people and studies. Uses the store."""

import hashlib
import json

from engine.core.errors import Problem
from engine.core.people import need
from engine.corpus.layouts import existing
from engine.corpus.spec import CorpusSpec
from engine.corpus.texts import sources_of
from engine.jobs.decisions import CorpusPlanned
from engine.spec.kinds.corpus import CorpusTask
from engine.studies.questions import Asked, ask_once
from store import corpora
from store.database import Store
from store.jobs import JobRow

DEFAULT_CORPUS = {"source": {"type": "default"}}


def build_corpus(store: Store, name: str, spec: dict) -> Asked:
    """Queue the building of a corpus (spec: see engine/corpus/build.py); the same one asked for twice is one.

    The name of a corpus whose build failed or was cancelled is free: it may be built from another spec. Raises Problem
    when a corpus of that name exists, or is being built, with another spec.
    """
    need("operator", "build a corpus")
    folder = store.workspace.corpus(name)
    asked = CorpusSpec.from_dict(spec)
    sources_of(asked)  # raises before the name is taken by an invalid spec
    if asked.tokenizer["type"] == "file":
        existing(asked.tokenizer["path"], "the tokenizer")
    with store.alone():
        old, before = corpora.spec(store, name), corpora.job(store, name)
        if old is not None and old != spec and not _is_free(store, name, before):
            raise Problem(
                f"Cannot build the corpus {name!r}: there is one of that name with another source. Choose a new name."
            )
        if old != spec:
            store.write(CorpusPlanned(name, spec))
        if before is None:
            job_id = f"corpus-{folder.name}"
        elif old == spec:
            job_id = before.id
        else:
            job_id = f"corpus-{folder.name}~{_short_digest(spec)}"  # no name of a corpus has this mark
        return ask_once(store, job_id, CorpusTask(name, **spec).spec())


def _is_free(store: Store, name: str, job: JobRow | None) -> bool:
    """Whether a name may be given to another spec: nothing was built under it, and nothing is being built."""
    ended = job is None or job.state in ("failed", "cancelled")
    return ended and corpora.manifest(store, name) is None and not store.workspace.corpus(name).exists()


def _short_digest(spec: dict) -> str:
    """Eight characters that stand for a spec."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:8]
