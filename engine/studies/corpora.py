"""Build corpora for people and studies, and keep text that was uploaded for them. Uses the store."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.core.errors import Problem
from engine.core.files import check_room, replacing
from engine.core.people import need
from engine.core.short_names import digest, listed
from engine.core.workspace import Workspace, within
from engine.corpus import shelf
from engine.corpus.layouts import Scan, existing, of_folder
from engine.corpus.shelf import Corpus
from engine.corpus.spec import CorpusSpec
from engine.corpus.texts import scan_of, sources_of
from engine.corpus.token_formats import Counted, How, counted
from engine.jobs.decisions import CorpusPlanned
from engine.jobs.housekeeping import CorpusMarked
from engine.spec.kinds.corpus import CorpusTask
from engine.studies.questions import Asked, ask_once
from store import corpora
from store.database import Store
from store.jobs import JobRow

UPLOADS = "uploads"  # of the workspace: text that came through the browser
DEFAULT_CORPUS = {"source": {"type": "default"}}


def build_corpus(store: Store, name: str, spec: dict) -> Asked:
    """Queue the building of a corpus (spec: see engine/corpus/build.py); the same one asked for twice is one.

    The name of a corpus whose build failed or was cancelled is free: it may be built from another spec. Raises Problem
    when a corpus of that name exists, or is being built, with another spec, or of files that have changed since.
    """
    need("operator", "build a corpus")
    folder = store.workspace.corpus(name)
    asked = CorpusSpec.from_dict(spec)
    sources_of(asked)  # raises before the name is taken by an invalid spec
    if asked.tokenizer["type"] == "file":
        existing(asked.tokenizer["path"], "the tokenizer")
    with store.alone():
        old, before = corpora.spec(store, name), corpora.job(store, name)
        is_same = old is not None and CorpusSpec.from_dict(old) == asked
        if old is not None and not is_same and not _is_free(store, name, before):
            raise Problem(
                f"Cannot build the corpus {name!r}: there is one of that name with another source. Choose a new name."
            )
        if not is_same:
            store.write(CorpusPlanned(name, spec))
        elif before is not None and before.state == "done":
            _refuse_changed(asked, name, before, corpora.manifest(store, name))
        if before is None:
            job_id = f"corpus-{folder.name}"
        elif is_same:
            job_id = before.id
        else:
            job_id = f"corpus-{folder.name}~{digest(spec)[:8]}"  # no name of a corpus has this mark
        return ask_once(store, job_id, CorpusTask(name, **spec).spec())


def folder_there(path: str) -> Scan:
    """What a folder of this machine would give, before a corpus is built of it. Raises Problem as the build would."""
    need("operator", "look into a folder of this machine")
    return of_folder(path)


def tokens_there(format: str, patterns: Sequence[str], how: How) -> Counted:
    """The same of pre-tokenised files (engine/corpus/token_formats)."""
    need("operator", "look into files of this machine")
    return counted(format, patterns, how)


def mark_corpus(store: Store, name: str, private: bool) -> None:
    """Make a corpus private from now on, or take that back. Raises Problem if there is none of that name."""
    need("operator", "mark a corpus")
    if name not in corpora.names(store):
        raise Problem(f"Cannot mark the corpus {name!r}: there is none. Choose one of {listed(corpora.names(store))}.")
    if corpora.is_private(store, name) != private:
        store.write(CorpusMarked(name, private))


def opened(store: Store, name: str) -> Corpus:
    """A corpus, as private as it is now. Raises Problem where it cannot be opened."""
    return replace(shelf.load(store.workspace.corpus(name)), private=corpora.is_private(store, name))


def keep_text(workspace: Workspace, files: Sequence[tuple[str, bytes]]) -> str:
    """Save uploaded text, (path, bytes) each, in a folder of the workspace that its hash names; returns that folder.

    A folder that all of it stands in is left out of the paths. Raises Problem for two files of one path, and for a path
    that would leave the folder.
    """
    need("operator", "bring files")
    check_room(workspace.root)
    counts = Counter(name for name, _ in files)
    if twice := next((name for name, count in counts.items() if count > 1), None):
        raise Problem(
            f"Cannot keep two files of the name {twice!r}. Rename one of them, or upload a folder that holds both."
        )
    top = {name.partition("/")[0] for name in counts}
    cut = len(top.pop()) + 1 if len(top) == 1 and all("/" in name for name in counts) else 0
    short = {name[cut:]: data for name, data in files}
    folder = workspace.root / UPLOADS / _digest_of(short)
    for name, data in short.items():
        target = within(folder, name)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as part:
                part.write_bytes(data)
    return str(folder)


def _digest_of(files: Mapping[str, bytes]) -> str:
    """Sixteen characters that stand for files, path -> bytes."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    return whole.hexdigest()[:16]


def _refuse_changed(spec: CorpusSpec, name: str, job: JobRow, manifest: dict | None) -> None:
    """Raise Problem where a corpus that was built would be read otherwise now: of more or other files."""
    built, began = (manifest or {}).get("domains", {}), job.attempt_at or job.started_at or 0.0
    now = scan_of(spec).domains  # of own data; what a tokenizer's tool or the hub has is not looked at again
    changed = [
        domain
        for domain, files in now.items()
        if len(files) != built.get(domain, {}).get("files", {}).get("found", len(files))
        or any(file.path.stat().st_mtime > began for file in files if file.path.exists())
    ]
    other = set(now) ^ set(built) if now and built else set()
    if built and (changed or other):
        raise Problem(
            f"Cannot build the corpus {name!r} again: since then there are other files of "
            f"{listed(sorted({*changed, *other}), 6)}, and studies may rest on what was read before. Choose a new name "
            "to read them as they are now."
        )


def _is_free(store: Store, name: str, job: JobRow | None) -> bool:
    """Whether a name may be given to another spec: nothing was built under it, and nothing is being built."""
    ended = job is None or job.state in ("failed", "cancelled")
    return ended and corpora.manifest(store, name) is None and not store.workspace.corpus(name).exists()
