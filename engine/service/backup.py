"""Back up a whole workspace into one archive, also while the page runs, and restore it. Uses the store to rebuild.

The archive is a tar of regular files, compressed by zstd; its last member, `manifest.json`, names every other one with
its size and SHA-256, so an archive that was cut off has none. It holds journals, jobs, corpora, surrogates and imported
files, and no database: that is rebuilt from the journals. Nothing secret goes into it: not `access.toml`, not the
workspace's secret, without which the hashes of API tokens open nothing.

What is copied first may only name what is copied later. A job's journal tells of files that were written before, and
the owner's journal plans a job before its folder appears; so jobs come first, then the owner's journal, then all other
files. Journals only grow: each is copied up to its last whole line.
"""

import hashlib
import io
import json
import os
import secrets
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pyarrow as pa

from engine.core.errors import Problem
from engine.core.files import refuse_taken, replacing
from engine.core.people import SYSTEM, as_person, need
from engine.core.workspace import VERSION, Workspace
from engine.jobs.spool import PLACES
from store.rebuild import rebuild

FORMAT = 1  # of the archive
MANIFEST = "manifest.json"
OF_A_PROCESS = ("lock", "lease.json", "beat")  # in a job's folder: of the process that runs it
CHECKPOINTS = ("checkpoint-", "models")  # there, too: what a killed job goes on from, and trained weights
BROUGHT = {"checkpoints", "exports"}  # external models, and merged ones: of any size
LONGEST_HEADER = 1 << 20
PIECE = 1 << 20
MOST_FILES = 5_000_000
LARGEST_MANIFEST = 1 << 30
SPARE = 256 << 20  # bytes of the disk that a restore leaves free


def backup(workspace: Workspace, target: Path, checkpoints: bool = False) -> dict:
    """Write the archive, atomically. Returns {"file", "files", "bytes", "archive_bytes"}.

    checkpoints: with those of jobs, external models, and merged ones, which may be large. Raises Problem
    where the file exists.
    """
    need("operator", "back up the workspace")
    refuse_taken(target)
    if workspace.root in (target.resolve().parent, *target.resolve().parents):
        raise Problem(f"Cannot write {target}: it lies inside the workspace. Choose a place outside.")
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = {}
    with (
        replacing(target, sync=True) as part,
        pa.CompressedOutputStream(str(part), "zstd") as out,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, file in members(workspace.root, checkpoints):
            kept[name] = _add(archive, name, file)
        about = {"format": FORMAT, "workspace_version": VERSION, "checkpoints": checkpoints, "files": kept}
        _add_bytes(archive, MANIFEST, json.dumps(about).encode())
    size = sum(entry["bytes"] for entry in kept.values())
    return {"file": str(target), "files": len(kept), "bytes": size, "archive_bytes": target.stat().st_size}


def members(root: Path, checkpoints: bool) -> Iterator[tuple[str, BinaryIO]]:
    """(name in the archive, open file) of everything that is kept, in the order in which it may be copied."""
    yield from _jobs(root / "jobs", checkpoints)
    left_out = {"jobs", "journal"} | (set() if checkpoints else BROUGHT)
    others = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name not in left_out)
    for folder in ("journal", *others):
        for inside, file in _opened(root / folder):
            yield f"{folder}/{inside}", file


def _jobs(root: Path, checkpoints: bool) -> Iterator[tuple[str, BinaryIO]]:
    """The files of every job, once, wherever it moves to meanwhile. What runs waits in the archive: a process here is
    none there."""
    seen = set()
    for place in (*PLACES, *PLACES):  # one that moved past us is found where it has gone
        for folder in sorted(path for path in (root / place).iterdir() if path.name not in seen):
            for inside, file in _opened(folder):
                seen.add(folder.name)
                if inside.name not in OF_A_PROCESS and (
                    checkpoints or not inside.parts[0].lstrip(".").startswith(CHECKPOINTS)
                ):
                    yield f"jobs/{'queued' if place == 'active' else place}/{folder.name}/{inside}", file
    for inside, file in _opened(root / "paused"):
        yield f"jobs/paused/{inside}", file


def _opened(folder: Path) -> Iterator[tuple[PurePosixPath, BinaryIO]]:
    """The regular files under a folder, links and half-written ones (whose names begin with a dot) left out.

    They are reached through the folder's descriptor, so all of them are found although it is renamed meanwhile.
    """
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        for at, folders, names, here in os.fwalk(".", dir_fd=root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(name for name in names if not name.startswith(".")):
                try:
                    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
                except OSError:  # gone meanwhile, or a link
                    continue
                with open(descriptor, "rb") as file:
                    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                        yield PurePosixPath(at) / name, file
    finally:
        os.close(root)


def _add(archive: tarfile.TarFile, name: str, file: BinaryIO) -> dict:
    """Copy a file as it is at this moment. A journal ends with a whole line."""
    size = os.fstat(file.fileno()).st_size
    if name.endswith("/events.jsonl"):
        size = _whole_lines(file, size)
    digest, entry = _Hashed(file, size), tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    archive.addfile(entry, digest)
    return {"bytes": size, "sha256": digest.sha256.hexdigest()}


def _whole_lines(file: BinaryIO, size: int) -> int:
    """Where the last whole line ends."""
    end = size
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        end = start + newline + 1
        if newline >= 0:
            break
    file.seek(0)
    return end


class _Hashed:
    """Exactly so many bytes of a file, hashed on the way."""

    def __init__(self, file, size: int):
        self.file, self.left, self.sha256 = file, size, hashlib.sha256()

    def read(self, count: int) -> bytes:
        data = self.file.read(min(count, self.left))
        self.left -= len(data)
        self.sha256.update(data)
        return data


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o600
    archive.addfile(entry, io.BytesIO(data))


def restore(source: Path, target: Path) -> dict:
    """Put a workspace up again from an archive; atomically. Returns its folder and counts.

    Raises Problem where the target exists and is not empty, and for an archive that is damaged, cut off, of a newer
    Mixdesk, larger than the disk, or with anything in it but regular files inside the workspace.
    """
    need("operator", "restore a workspace")
    if source.is_dir() or not source.exists():
        raise Problem(f"Cannot read {source}: there is no such file. Check the path.")
    target = target.expanduser().resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Problem(f"Cannot restore into {target}: it is not empty. Choose a folder that does not exist yet.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.restoring-{secrets.token_hex(4)}")
    part.mkdir(mode=0o700)
    try:
        found = _unpack(source, part)
        workspace = Workspace.open(part)
        with as_person(SYSTEM):
            events = rebuild(workspace, part / "mixdesk.duckdb")
        if target.exists():
            target.rmdir()
        part.rename(target)
    except (tarfile.TarError, pa.ArrowException, EOFError, OSError) as error:
        if getattr(error, "errno", None):  # the disk, not the archive
            raise
        damaged = f"Cannot restore {source}: it is damaged, or no backup of Mixdesk ({error}). Nothing was kept."
        raise Problem(damaged) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return {"workspace": str(target), "files": len(found["files"]), "events": events}


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
    """A member whose headers are no bomb: they are read into memory whole."""

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
    path = PurePosixPath(member.name)
    inside = path.parts and not path.is_absolute() and not {"..", "", "."} & set(member.name.split("/"))
    fine = len(path.parts) > 1 or member.name == MANIFEST  # all that belongs into a workspace lies in a folder of it
    hidden = any(part.startswith(".") or {"\\", "\0"} & set(part) for part in path.parts)
    if not member.isreg() or not inside or not fine or hidden or len(member.name) > 1000:
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
        fine = all(isinstance(entry["bytes"], int) and entry["sha256"] for entry in about["files"].values())
    except (ValueError, TypeError, LookupError, AttributeError) as error:
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
