"""A job's log: bounded in size, read from its end. Standard library only.

Both the job's own process and the supervisor trim it: the first lives as long as the job does, the second also sees
output of native code and children while Python is busy.
"""

import contextlib
import os
import threading
import time
from pathlib import Path

LARGEST_MB = 64  # a log that grows beyond this loses its beginning; $MIXDESK_LOG_MB overrides it
KEPT = 1 << 20  # bytes that stay, at most half of what is allowed
LOOK_SECONDS = 0.25
SHOWN = 16384  # bytes that people and pages read


def largest() -> int:
    """How long a log may become, in bytes."""
    return int(float(os.environ.get("MIXDESK_LOG_MB") or LARGEST_MB) * 2**20)


def tail(path: Path, size: int = SHOWN) -> str:
    """The end of a log."""
    try:
        with open(path, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - size))
            return log.read(size).decode(errors="replace")
    except FileNotFoundError:
        return ""


def trim(path: Path) -> int:
    """Cut the beginning off a log that grew too long; returns its former length, 0 if it was left alone.

    Writers append, so they go on behind the rest.
    """
    try:
        size = path.stat().st_size
        if size <= (limit := largest()):
            return 0
        kept = tail(path, min(KEPT, limit // 2))
        os.truncate(path, 0)
        with open(path, "a") as log:
            log.write(f"[Mixdesk cut this log: it had grown to {size:,} bytes.]\n{kept}")
        return size
    except FileNotFoundError:
        return 0


def keep_short(path: Path) -> None:
    """Trim this process's own log for as long as it lives: its supervisor may be gone."""
    try:
        own = os.path.samestat(os.fstat(1), path.stat())
    except OSError:
        own = False
    if own:  # on a cluster the log may belong to the cluster
        threading.Thread(target=_watch, args=[path], name="log", daemon=True).start()


def _watch(path: Path) -> None:
    while True:
        time.sleep(LOOK_SECONDS)
        with contextlib.suppress(OSError):  # a full disk: try again
            trim(path)
