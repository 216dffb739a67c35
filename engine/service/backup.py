"""Back up a whole workspace into one archive, also while the page runs; restore.py puts it up again.

The archive is a tar of regular files, compressed by zstd; its last member, `manifest.json`, names every other one with
its size and SHA-256, so an archive that was cut off has none. It holds journals, jobs, corpora, surrogates and imported
files, and no database: that is rebuilt from the journals. Nothing secret goes into it: not `access.toml`, not the
workspace's secret, without which the hashes of API tokens open nothing.

What is copied first may only name what is copied later. A job's journal tells of files that were written before, and
the owner's journal plans a job before its folder appears; so jobs come first, then the owner's journal, then all other
files. Journals only grow: each is copied up to its last whole line.
"""

import fcntl
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pyarrow as pa

from engine.core.errors import Problem
from engine.core.files import refuse_taken
from engine.core.people import need
from engine.core.workspace import VERSION, Workspace
from engine.jobs.journal import FILE
from engine.jobs.parts import WHOLE, part_of, placed
from engine.jobs.spec import names_a_folder
from engine.jobs.spool import PLACES, is_reserved

FORMAT = 1  # of the archive
MANIFEST = "manifest.json"
OF_A_PROCESS = ("lock", "lease.json", "beat")  # in a job's folder: of the process that runs it
CHECKPOINTS = ("checkpoint-", "models")  # there, too: what a killed job goes on from, and trained weights
KEPT = ("queued", "ended", "sealed")  # places of jobs in an archive: what runs waits there
FILES = ("version", "secret")  # of a workspace, besides those whose names have an ending: no folder is called so
SHOWN = 5
MODELS = {"checkpoints", "exports"}  # external models, and merged ones: of any size


def backup(workspace: Workspace, target: Path, checkpoints: bool = False) -> dict:
    """Write the archive, atomically. Returns {"file", "files", "bytes", "archive_bytes", "left_out": the first paths
    that belong to no workspace, are links, or cannot be read, with their number}.

    checkpoints: with those of jobs, external models, and merged ones, which may be large. Raises Problem
    where the file exists.
    """
    need("operator", "back up the workspace")
    refuse_taken(target)
    if workspace.root in (target.resolve().parent, *target.resolve().parents):
        raise Problem(f"Cannot write {target}: it lies inside the workspace. Choose a place outside.")
    kept, left_out = {}, dict[str, None]()
    with _alone_beside(target), part_of(target) as part:
        whole = part / WHOLE
        with (
            pa.CompressedOutputStream(str(whole), "zstd") as out,
            tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, file in members(workspace.root, checkpoints):
                if file is not None and belongs(name.split("/")):
                    kept[name] = _add(archive, name, file)
                else:
                    left_out[name.removesuffix("/.")] = None
            about = {"format": FORMAT, "workspace_version": VERSION, "checkpoints": checkpoints, "files": kept}
            _add_bytes(archive, MANIFEST, json.dumps(about).encode())
        with open(whole, "rb") as file:
            os.fsync(file.fileno())
        placed(whole, target)
    size = sum(entry["bytes"] for entry in kept.values())
    result = {"file": str(target), "files": len(kept), "bytes": size, "archive_bytes": target.stat().st_size}
    return result | {"left_out": {"files": len(left_out), "first": list(left_out)[:SHOWN]}}


def belongs(parts: list[str]) -> bool:
    """Whether a file that lies there is one of a workspace: of what lies in its folders, all but hidden files."""
    if len(parts) < 2 or len("/".join(parts)) > 1000 or "." in parts[0] or parts[0] in FILES:
        return False
    if any(not part or part.startswith(".") or {"\\", "\0"} & set(part) for part in parts) or FILE in parts[:-1]:
        return False
    if parts[0] != "jobs":
        return True
    if parts[1] == "paused":
        return len(parts) == 3
    named = len(parts) > 3 and names_a_folder(parts[2]) and not is_reserved(parts[2])
    return named and parts[1] in KEPT and parts[3] not in OF_A_PROCESS


@contextmanager
def _alone_beside(target: Path) -> Iterator[None]:
    """Wait until no other backup is written into the folder: the same one asked for twice at once is one. Raises
    Problem where it is there then."""
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        refuse_taken(target)
        yield
    finally:
        os.close(descriptor)


def members(root: Path, checkpoints: bool) -> Iterator[tuple[str, BinaryIO | None]]:
    """(name in the archive, open file) of everything that is kept, in the order in which it may be copied; None for
    what cannot be: links, say, also to the folder on another disk that a corpus was moved to."""
    yield from _jobs(root / "jobs", checkpoints)
    left_out = {"jobs", "journal"} | (set() if checkpoints else MODELS)
    others = sorted({path.name for path in root.iterdir() if path.is_dir() and path.name[0] != "."} - left_out)
    for folder in ("journal", *others):
        for inside, file in _opened(root / folder):
            yield f"{folder}/{inside}", file


def _jobs(root: Path, checkpoints: bool) -> Iterator[tuple[str, BinaryIO | None]]:
    """The files of every job, once, wherever it moves to meanwhile. What runs waits in the archive: a process here is
    none there."""
    seen = set()
    for place in (*PLACES, *PLACES):  # one that moved past us is found where it has gone
        for folder in sorted(path for path in (root / place).iterdir() if path.name not in seen):
            for inside, file in _opened(folder):
                seen.add(folder.name)
                if inside.name not in OF_A_PROCESS and (
                    checkpoints or not str(inside).lstrip(".").startswith(CHECKPOINTS)
                ):
                    yield f"jobs/{'queued' if place == 'active' else place}/{folder.name}/{inside}", file
    for inside, file in _opened(root / "paused"):
        yield f"jobs/paused/{inside}", file


def _opened(folder: Path) -> Iterator[tuple[PurePosixPath, BinaryIO | None]]:
    """The regular files under a folder, without half-written ones (whose names begin with a dot); None for a link, and
    for a file that is unreadable.

    They are reached through the folder's descriptor, so all of them are found although it is renamed meanwhile.
    """
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        if folder.is_symlink() or folder.is_dir():
            yield PurePosixPath("."), None
        return
    try:
        for at, folders, names, here in os.fwalk(".", dir_fd=root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in folders:
                with suppress(FileNotFoundError):
                    if stat.S_ISLNK(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                        yield PurePosixPath(at) / name, None  # it is not walked into
            for name in sorted(name for name in names if not name.startswith(".")):
                try:
                    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
                except FileNotFoundError:  # gone meanwhile
                    continue
                except OSError:
                    yield PurePosixPath(at) / name, None
                    continue
                with open(descriptor, "rb") as file:
                    is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                    yield PurePosixPath(at) / name, file if is_file else None
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
