"""Journals received by HTTP: a cluster's node without the shared folder posts its job's journal.

A node posts bytes of its journal with the offset where they begin. The page's process appends what is new, so the
same bytes are written once, and a node that is ahead learns where to resume. The answer is the length on disk: all
below it is acknowledged, and stays.
"""

import os
import time
from pathlib import Path
from typing import Any

from engine.core.files import write_text
from engine.jobs import logs
from engine.jobs.journal import FILE
from engine.jobs.run import attempt_of
from engine.jobs.spool import HEARTBEAT, Spool, try_lock

LARGEST = 8 << 20  # bytes in one post
LONGEST = 256 << 20  # bytes of a posted journal: `hand_out` holds it whole, and a real one has a hundredth
TRIES = 40


class Gone(Exception):
    """The attempt is over: its worker gave it up, or the job has ended. The node should stop."""


def active_folder(spool: Spool, job_id: str, attempt: str) -> Path:
    """The folder of the attempt that runs now. Raises Gone for any other."""
    folder = spool.find(job_id)
    if folder is None or folder.parent.name != "active" or attempt_of(folder) != attempt:
        raise Gone(f"This attempt at {job_id} is over.")
    return folder


def hand_out(spool: Spool, job_id: str, attempt: str) -> dict[str, Any]:
    """What a node needs to start: the spec, and the journal so far, one character per byte. Raises Gone."""
    folder = active_folder(spool, job_id, attempt)
    journal = folder / FILE
    return {
        "spec": (folder / "spec.json").read_text(),
        "journal": journal.read_bytes().decode("latin-1") if journal.exists() else "",
    }


def receive(spool: Spool, job_id: str, attempt: str, offset: int, data: bytes) -> int:
    """Append the new part of posted bytes; returns the length of the journal, synced to disk.

    Raises Gone, also for a journal longer than LONGEST, and OSError if it cannot be written (a full disk): then the
    node posts it again.
    """
    folder = active_folder(spool, job_id, attempt)
    if offset + len(data) > LONGEST:
        raise Gone(f"The journal of {job_id} is longer than {LONGEST:,} bytes, which no job writes: stop it.")
    for _ in range(TRIES):  # the worker may hold it briefly to check whether the job lives
        with try_lock(folder) as lock:
            if lock is not None:
                (folder / HEARTBEAT).touch()
                return append(active_folder(spool, job_id, attempt) / FILE, offset, data)
        time.sleep(0.02)
    raise BlockingIOError(f"the journal of {job_id} is busy")


def take_log(spool: Spool, job_id: str, attempt: str, data: bytes) -> None:
    """Save the end of a job's output on its node, so that the page can show it. Raises Gone."""
    write_text(active_folder(spool, job_id, attempt) / "log.txt", data[-logs.SHOWN :].decode(errors="replace"))


def append(journal: Path, offset: int, data: bytes) -> int:
    """Append the part of `data` (which begins at `offset`) that the journal lacks; returns its length."""
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        have = os.fstat(descriptor).st_size
        new = memoryview(data)[max(0, have - offset) :] if offset <= have else memoryview(b"")
        while new:
            new = new[os.write(descriptor, new) :]
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
