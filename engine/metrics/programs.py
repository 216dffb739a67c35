"""Programs of a workspace: found in a folder that only who has the workspace can fill, run, limited, and ended with all
that they have started."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from engine.core.errors import Problem
from engine.core.workspace import within

CURE = "Make it a program (chmod +x), or a .py file."
LOOK_SECONDS = 0.2  # between two looks at whoever waits for it


@dataclass(frozen=True)
class Program:
    """A program of the workspace. kind: what it is to people, such as "verifier"; name: as they call it."""

    kind: str
    name: str
    path: Path

    def command(self, *options: str) -> list[str]:
        """How it is started: a .py file by this Python, with its options; anything else as it is."""
        return [sys.executable, *options, str(self.path)] if self.path.suffix == ".py" else [str(self.path)]

    def check(self) -> None:
        """Raise Problem where it could not be started."""
        if self.path.suffix != ".py" and not os.access(self.path, os.X_OK):
            raise Problem(f"Cannot run the {self.kind} {self.name!r}: it cannot be run. {CURE}")


@dataclass(frozen=True)
class Limits:
    """What a program may take: seconds of waiting; and of the resources of the module `resource`, by their numbers."""

    seconds: float | None = None
    of: Mapping[int, int] | None = None

    def set(self) -> None:
        """Hold the process that calls this to them."""
        for kind, limit in (self.of or {}).items():
            with suppress(ValueError):  # a lower limit holds already, or the system has none of that kind
                resource.setrlimit(kind, (limit, limit))


@dataclass(frozen=True)
class Streams:
    """What a program reads, and where what it writes goes: by default nothing, and the log of who starts it."""

    read: BinaryIO | int = subprocess.DEVNULL
    written: BinaryIO | int | None = None
    errors: int | None = None


class TookTooLong(Exception):
    """A program had not ended after the seconds that it may take."""


def find(workspace: Path | None, folder: str, name: str) -> Path | None:
    """The path of a program; None where there is no plain file of that name."""
    path = None if workspace is None else within(workspace / folder, name)
    return path if path is not None and path.is_file() and not path.is_symlink() else None


def names_in(workspace: Path, folder: str) -> list[str]:
    """The names of the programs in a folder, sorted."""
    there = workspace / folder
    names = (path.name for path in there.iterdir()) if there.is_dir() else ()
    return sorted(name for name in names if find(workspace, folder, name))


def run(
    program: Program,
    command: list[str],
    folder: Path | str,
    limits: Limits = Limits(),
    streams: Streams = Streams(),
    environment: Mapping[str, str] | None = None,
    beat: Callable[[], None] = lambda: None,
) -> int:
    """The exit status of a program. Its children end with it, but for one that leaves its session (setsid), and
    both end where `beat`, called while it runs, raises.

    Raises Problem where it cannot be started, and TookTooLong.
    """
    try:
        child = subprocess.Popen(
            command,
            stdin=streams.read,
            stdout=streams.written,
            stderr=streams.errors,
            cwd=folder,
            env=None if environment is None else dict(environment),
            start_new_session=True,
            preexec_fn=limits.set if limits.of else None,
        )
    except OSError as error:
        raise Problem(f"Cannot run the {program.kind} {program.name!r}: {error.strerror}. {CURE}") from error
    try:
        return _waited(child, limits.seconds, beat)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _waited(child: "subprocess.Popen[bytes]", seconds: float | None, beat: Callable[[], None]) -> int:
    """The exit status of a process that has so many seconds."""
    began = monotonic()
    while True:
        left = LOOK_SECONDS if seconds is None else min(LOOK_SECONDS, began + seconds - monotonic())
        with suppress(subprocess.TimeoutExpired):
            return child.wait(max(0.0, left))
        if seconds is not None and monotonic() >= began + seconds:
            raise TookTooLong
        beat()


def ended(code: int) -> str:
    """How a program ended that failed, in words."""
    return f"it ended with {code}" if code > 0 else f"it was ended by {signal.Signals(-code).name}"


def least_environment() -> dict[str, str]:
    """Where programs are found, and nothing else of the server's."""
    return {"PATH": os.environ.get("PATH", "")}
