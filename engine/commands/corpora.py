"""Commands on corpora."""

from dataclasses import asdict

from engine.commands.jobs import answer_of
from engine.core.people import takes
from engine.corpus.report import report
from engine.studies import corpora
from store import corpora as table
from store.database import Store


def list_corpora(store: Store) -> list[dict]:
    """All corpora with their sizes and what was read and left out, or their progress."""
    found = []
    for name in table.names(store):
        manifest, job = table.manifest(store, name), table.job(store, name)
        sizes = {d: m["train_tokens"] for d, m in manifest["domains"].items()} if manifest else None
        summary = report(manifest) if manifest else None
        private = table.is_private(store, name)
        found.append(
            {"corpus": name, "private": private, "train_tokens": sizes, "report": summary, "job": job and asdict(job)}
        )
    return found


@takes("operator", "build a corpus")
def build_corpus(store: Store, name: str, spec: dict) -> dict:
    """Queue the building of a corpus."""
    return {"corpus": name, **answer_of(store, corpora.build_corpus(store, name, spec))}


@takes("operator", "mark a corpus")
def mark_corpus(store: Store, name: str, private: bool = True) -> dict:
    """Make a corpus private from now on, or take that back: none of its text is shown."""
    corpora.mark_corpus(store, name, private)
    return {"corpus": name, "private": table.is_private(store, name)}


COMMANDS = (
    list_corpora,
    build_corpus,
    mark_corpus,
)
