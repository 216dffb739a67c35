"""Put a workspace up again from a backup; atomically. Uses the store to rebuild the database from the journals.

Archives come from anywhere: whatever is wrong with one is a sentence, and nothing of it is kept.
"""

import errno
import hashlib
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from engine.core.errors import Problem
from engine.core.files import refuse_below
from engine.core.people import SYSTEM, as_person, need
from engine.core.workspace import VERSION, Workspace
from engine.jobs.decisions import StudyPaused
from engine.jobs.events import OUTCOMES, JobRequeued, JobStarted
from engine.jobs.journal import last_event
from engine.jobs.parts import WHOLE, part_of, placed
from engine.service.backup import FORMAT, KEPT, MANIFEST, belongs
from engine.studies.advance import is_settled
from store import jobs as jobs_there
from store import studies
from store.database import UNUSABLE, Store
from store.from_journals import rebuild

LONGEST_HEADER = 1 << 20
PIECE = 1 << 20
MOST_FILES = 5_000_000
LARGEST_MANIFEST = 1 << 30
SPARE = 256 << 20  # bytes of the disk that a restore leaves free
JOBS = ("ask", "run", "cancel")  # what becomes of jobs that wait in the archive
# What reading an archive that somebody damaged, or made, can raise.
DAMAGED = (tarfile.TarError, pa.ArrowException, EOFError, ValueError, TypeError, LookupError, ArithmeticError)


def restore(source: Path, target: Path, jobs: str = "ask") -> dict:
    """Put a workspace up again from an archive; atomically. Returns its folder and counts.

    jobs: what becomes of jobs that wait in it, and of studies that queue some by themselves, one of JOBS; "ask" refuses
    an archive with some, since a job reads and writes what its settings say as soon as a worker sees it; "cancel"
    cancels the jobs and pauses the studies. Raises Problem where the target exists and is not empty, and for
    an archive that is damaged, cut off, of a newer Mixdesk, larger than the disk, or with anything in it but regular
    files inside the workspace.
    """
    need("operator", "restore a workspace")
    if source.is_dir():
        raise Problem(f"Cannot read {source}: it is a folder. Name the archive.")
    if not source.exists():
        raise Problem(f"Cannot read {source}: there is no such file. Check the path.")
    if target.is_symlink() and not target.exists():
        raise Problem(f"Cannot restore into {target}: it is a link to what is not there. Name the folder itself.")
    target = target.expanduser().resolve()
    if target.exists() and not target.is_dir():
        raise Problem(f"Cannot restore into {target}: it is not a folder. Choose one that does not exist yet.")
    if target.exists() and any(target.iterdir()):
        raise Problem(f"Cannot restore into {target}: it is not empty. Choose a folder that does not exist yet.")
    refuse_below(target)
    with part_of(target) as part:
        whole = part / WHOLE
        whole.mkdir(mode=0o700)
        found, events, aside = _restored(source, whole, jobs)
        placed(whole, target)
    return {"workspace": str(target), "files": len(found["files"]), "events": events, "lines_set_aside": aside}


def _restored(source: Path, root: Path, jobs: str) -> tuple[dict, int, int]:
    """Make the workspace in an empty folder; returns the archive's list, how many events its journals hold, and how
    many lines of them were set aside."""
    try:
        found = _unpack(source, root)
        _check_places(source, found["files"])
        workspace = Workspace.open(root)
        with as_person(SYSTEM):
            events, aside = rebuild(workspace, root / "mixdesk.duckdb")
            _settle(workspace, jobs)
        return found, events, aside
    except (*DAMAGED, RecursionError, OSError) as error:
        names = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ENOTEMPTY)
        if isinstance(error, OSError) and error.errno not in (None, *names):
            raise  # the disk, not the archive
        damaged = f"Cannot restore {source}: it is damaged, or no backup of Mixdesk ({error}). Nothing was kept."
        raise Problem(damaged) from error


def _check_places(source: Path, names: Iterable[str]) -> None:
    """Raise Problem for a job that is in two places: each has a journal, and one job has one."""
    places = {tuple(name.split("/")[1:3]) for name in names if name.startswith(tuple(f"jobs/{p}/" for p in KEPT))}
    if twice := [job for job, times in Counter(job for _, job in places).items() if times > 1]:
        raise Problem(f"Cannot restore {source}: the job {twice[0]!r} is in two places. Nothing was kept.")


def _settle(workspace: Workspace, jobs: str) -> None:
    """Decide what becomes of waiting jobs, and of studies that go on by themselves. Raises Problem if nobody said so,
    or if `jobs` is not one of JOBS."""
    if jobs not in JOBS:
        raise Problem(f"Cannot do {jobs!r} with waiting jobs: choose one of {', '.join(JOBS)}.")
    store = Store(workspace)
    try:
        for folder in store.spool.folders("queued"):
            if isinstance(last_event(folder, JobStarted, *OUTCOMES, JobRequeued), OUTCOMES):
                store.spool.move(folder, "ended")  # it had just ended, and its worker had not seen it yet
        folders = store.spool.folders("queued")
        planned = [(name, spec) for name, spec, _ in jobs_there.never_started(store) if not store.spool.find(name)]
        kinds = [_kind_of(folder) for folder in folders] + [str(spec["kind"])[:40] for _, spec in planned]
        going_on = [study for study in studies.all_studies(store) if _goes_on(store, study)]
        if jobs == "run" or not (kinds or going_on):
            return
        if jobs == "ask":
            _refuse(Counter(kinds), len(going_on))
        for study in going_on:
            store.write(StudyPaused(study.id))
        for name, spec in planned:
            store.spool.submit(spec, name)
        for name in [*(folder.name for folder in folders), *(name for name, _ in planned)]:
            store.spool.cancel(name)
        store.ingest()
    finally:
        store.close()


def _goes_on(store: Store, study: studies.Study) -> bool:
    """Whether a study would queue jobs by itself."""
    try:
        return not is_settled(store, study)
    except UNUSABLE:  # nothing can use its settings: whatever it is, it does not go on unasked
        return True


def _refuse(waiting: Counter[str], going_on: int) -> None:
    kinds = ", ".join(f"{number} {kind}" for kind, number in waiting.items())
    reasons = [f"{waiting.total()} waiting jobs ({kinds})"] if waiting else []
    reasons += [f"{going_on} unfinished studies"] if going_on else []
    raise Problem(
        f"Cannot restore: say first what should happen to {' and '.join(reasons)}: a job reads and writes what its "
        "settings say as soon as a worker sees it, and an unfinished study queues jobs by itself. Restore with --jobs "
        "run if the archive is your own, or with --jobs cancel, which pauses such studies. Nothing was kept."
    )


def _kind_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / "spec.json").read_text())["kind"])[:40]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return "unreadable"


def _unpack(source: Path, folder: Path) -> dict:
    """Write the archive's files into a folder and check each against the manifest, which is returned."""
    written, about = {}, None
    with (
        open(source, "rb") as file,  # may be a pipe
        pa.CompressedInputStream(file, "zstd") as data,
        tarfile.open(fileobj=data, mode="r|", tarinfo=_Member) as archive,
    ):
        for member in archive:
            if about is not None or len(written) >= MOST_FILES:
                raise Problem(f"Cannot restore {source}: it holds more than its list says. Nothing was kept.")
            _check(source, member, folder)
            if member.name == MANIFEST:
                about = _manifest(source, archive.extractfile(member).read())
            else:
                written[member.name] = _write(archive.extractfile(member), folder / member.name)
    if about is None:
        raise Problem(f"Cannot restore {source}: it ends too early, so it was cut off. Nothing was kept.")
    if wrong := sorted({*written.items(), *_entries(about)} ^ ({*written.items()} & _entries(about))):
        raise Problem(f"Cannot restore {source}: {wrong[0][0]!r} is not what was backed up. Nothing was kept.")
    return about


class _Member(tarfile.TarInfo):
    """A member whose headers are not a bomb: they are read into memory whole."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        found = super().frombuf(buf, encoding, errors)
        if found.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, *tarfile.GNU_TYPES) and found.size > LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {found.size:,} bytes")
        return found


def _entries(about: dict) -> set:
    return {(name, (entry["bytes"], entry["sha256"])) for name, entry in about["files"].items()}


def _check(source: Path, member: tarfile.TarInfo, folder: Path) -> None:
    """Raises Problem for what does not belong into a workspace, and for what the disk cannot take."""
    if not member.isreg() or not (member.name == MANIFEST or belongs(member.name.split("/"))):
        raise Problem(f"Cannot restore {source}: {member.name!r} does not belong into a workspace. Nothing was kept.")
    usage = os.statvfs(folder)
    most = min(usage.f_bavail * usage.f_frsize - SPARE, LARGEST_MANIFEST if member.name == MANIFEST else 1 << 62)
    if member.size > most:
        raise Problem(
            f"Cannot restore {source}: {member.name!r} takes {member.size:,} bytes, and there is room for "
            f"{max(0, most):,}. Nothing was kept."
        )


def _manifest(source: Path, text: bytes) -> dict:
    try:
        about = json.loads(text)
        newer = about["format"] > FORMAT or about["workspace_version"] > VERSION
        fine = all(
            isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str) for entry in about["files"].values()
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Problem(f"Cannot restore {source}: its list cannot be read ({error}). Nothing was kept.") from error
    if newer or not fine:
        why = "a newer Mixdesk wrote it. Update Mixdesk" if newer else "its list is damaged"
        raise Problem(f"Cannot restore {source}: {why}. Nothing was kept.")
    return about


def _write(file, path: Path) -> tuple[int, str]:
    """Copy a member to its place; returns its size and hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as out:
        while data := file.read(PIECE):
            out.write(data)
            digest.update(data)
            size += len(data)
    return size, digest.hexdigest()
