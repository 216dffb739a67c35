"""Build corpora for people and studies. Uses the store."""

from engine.core.errors import Problem
from engine.core.people import need
from engine.corpus.spec import CorpusSpec
from engine.corpus.texts import sources_of
from engine.jobs.decisions import CorpusPlanned
from engine.spec.kinds.corpus import CorpusTask
from engine.studies.questions import ask_once
from store import corpora
from store.database import Store

DEFAULT_CORPUS = {"source": {"type": "default"}}


def build_corpus(store: Store, name: str, spec: dict) -> str:
    """Queue the building of a corpus (spec: see engine/corpus/build.py) and return the job's id.

    Raises Problem when a corpus of that name exists with another spec.
    """
    need("operator", "build a corpus")
    folder = store.workspace.corpus(name)
    sources_of(CorpusSpec.from_dict(spec))  # raises before the name is taken by an invalid spec
    job_id = f"corpus-{folder.name}"
    with store.alone():
        if (old := corpora.spec(store, name)) is not None and old != spec:
            raise Problem(
                f"Cannot build the corpus {name!r}: there is one of that name with another source. Choose a new name."
            )
        if old is None:
            store.write(CorpusPlanned(name, spec))
        ask_once(store, job_id, CorpusTask(name, **spec).spec())
    return job_id
