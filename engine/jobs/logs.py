"""What a job prints: its log never grows without end, and people read the end of it. Standard library only.

Both the job's own process and the supervisor look: the first lives as long as the job does, the second also sees
what the job's native code and children print while Python is busy.
"""

import contextlib
import os
import threading
import time
from pathlib import Path

LARGEST_MB = 64  # a log that grows beyond this loses its beginning; $MIXDESK_LOG_MB says otherwise
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
    """Cut the beginning off a log that grew too long; returns how long it had grown, 0 where it was left alone.

    Whoever prints appends, and so goes on behind what is left.
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
    if own:  # on a cluster the log may be the cluster's own business
        threading.Thread(target=_watch, args=[path], name="log", daemon=True).start()


def _watch(path: Path) -> None:
    while True:
        time.sleep(LOOK_SECONDS)
        with contextlib.suppress(OSError):  # a full disk: look again
            trim(path)
