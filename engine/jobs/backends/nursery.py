"""Jobs without a new interpreter: one process imports what a kind of job needs, and forks every job of that kind.

Starting Python and importing torch is most of what a small job takes. Where a fork is safe, the local backend asks the
nursery for a job's process; a job that is forked runs what `python -m engine.jobs.run` would. The nursery imports a
kind when its first job comes, so nothing is imported that nobody needs, and ends when its worker does or has not asked
for a while. Its jobs outlive it, as they outlive their worker.
"""

import contextlib
import importlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from engine.jobs import run
from engine.jobs.kinds import kind_of

COMMAND = (sys.executable, "-m", "engine.jobs.run")  # what it can fork
# macOS' frameworks may not be used after a fork, nor may other systems' threads; here none is started by an import.
SAFE = sys.platform == "linux"
IDLE_SECONDS = 600.0  # after which it gives its memory back: about 400 MB once torch is imported
LOOK_SECONDS = 1.0  # between two looks at whether it has ended, while it is to answer
# For an answer: before it forks it may have to import torch, from a slow disk. One that is silent for longer has
# stopped, and its worker watches no other job meanwhile.
ANSWER_SECONDS = 120.0
END_SECONDS = 5.0  # that it is given to end
MOST = 1 << 18  # bytes of a message: a job's environment is one
# What kinds import only once they work, and of which each takes a tenth of a second or more.
LATE = ("scipy.linalg", "scipy.optimize", "scipy.special")


class Nursery:
    """The worker's side: starts the process when it is first asked, and again when it has ended.

    idle: seconds without a question after which it ends; patience: seconds without an answer after which it is ended.
    """

    def __init__(self, idle: float = IDLE_SECONDS, patience: float = ANSWER_SECONDS) -> None:
        self.idle, self.patience = idle, patience
        self.turn = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: socket.socket | None = None
        self.known = set[int]()  # jobs that the process of now forked: it cannot tell of those of an earlier one

    def start(self, argv: Sequence[str], env: dict[str, str], log: int, lock: int) -> int:
        """Fork a job with an environment, its output in `log`, holding `lock`; returns its process id.

        argv: of COMMAND, its arguments. Raises OSError if the process cannot be started or has ended meanwhile.
        """
        with self.turn:
            question = {"argv": list(argv), "env": env}
            for again in (True, False):
                channel = self.open(env)
                try:
                    socket.send_fds(channel, [json.dumps(question).encode()], [log, lock])
                    break
                except (BrokenPipeError, ConnectionResetError):  # it had just ended, as nobody asked for a while
                    self.close()
                    if not again:
                        raise
            self.known.add(pid := int(self.answer(channel)))
            return pid

    def code(self, pid: int) -> int | None:
        """The exit code of a job that it forked, None while it runs. Raises OSError if what forked it has ended
        meanwhile, also where another process forks jobs now."""
        with self.turn:
            if self.channel is None or pid not in self.known:
                raise ChildProcessError(f"The process that forked {pid} has ended.")
            socket.send_fds(self.channel, [json.dumps({"pid": pid}).encode()], [])
            found: int | None = self.answer(self.channel)
            return found

    def answer(self, channel: socket.socket) -> Any:
        """What it said. Raises ChildProcessError if it ended instead, also where a job that it had just forked still
        holds its end of the channel, and if it says nothing for too long: it is ended then."""
        over, there, until = False, False, time.monotonic() + self.patience
        while not (there or over):
            over = self.process is None or self.process.poll() is not None or time.monotonic() > until
            there = bool(select.select([channel], [], [], 0 if over else min(LOOK_SECONDS, self.patience))[0])
        if there and (told := channel.recv(MOST)):
            return json.loads(told)
        self.close(0.0)
        raise ChildProcessError("The process that forks jobs has ended, or did not answer.")

    def open(self, env: dict[str, str]) -> socket.socket:
        """The channel to a process that runs."""
        if self.channel is not None and self.process is not None and self.process.poll() is None:
            return self.channel
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", __name__, str(theirs.fileno()), str(self.idle)]
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is the worker's
                env={**os.environ, **env},
            )
        self.channel = ours
        return ours

    def close(self, patience: float = END_SECONDS) -> None:
        """Let the process end, if there is one, and end it where it has not after so many seconds. Its jobs go on."""
        if self.channel is not None:
            self.channel.close()
        if self.process is not None:
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.channel = self.process = None
        self.known.clear()


def serve(channel: socket.socket, idle: float) -> None:
    """Fork jobs, and tell their ends, until nobody asks any more or nobody has for `idle` seconds."""
    running, ended = set[int](), dict[int, int]()
    for asked, descriptors in questions(channel, idle, running):
        if "pid" in asked:
            channel.send(json.dumps(end_of(asked["pid"], running, ended)).encode())
            continue
        prepare(asked["argv"][0])
        if pid := os.fork():
            running.add(pid)
            channel.send(json.dumps(pid).encode())
            for one in descriptors:
                os.close(one)
        else:
            channel.close()
            become_job(asked, descriptors[0])


def questions(channel: socket.socket, idle: float, running: set[int]) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """What is asked, with the descriptors that came along; ends with the worker, or when it has not asked for a while.

    Then no further question is taken (the worker's next one fails at once, and it starts another), but for those that
    lie here already.
    """
    while True:
        if not running and not select.select([channel], [], [], idle)[0]:
            channel.shutdown(socket.SHUT_RD)
        text, descriptors, *_ = socket.recv_fds(channel, MOST, 2)
        if not text:
            return
        yield json.loads(text), descriptors


def end_of(pid: int, running: set[int], ended: dict[int, int]) -> int | None:
    """The exit code of a job, None while it runs. Both sets are brought up to date."""
    if pid in running:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            running.discard(pid)
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended.get(pid)


def prepare(folder: str) -> None:
    """Import what a job needs, for it and all later ones of its kind. What fails, the job itself will tell."""
    with contextlib.suppress(Exception):
        importlib.import_module(kind_of(run.spec_of(Path(folder))["kind"]).work.split(":")[0])
        for name in LATE:
            importlib.import_module(name)


def become_job(asked: dict[str, Any], log: int) -> NoReturn:
    """Be `python -m engine.jobs.run`, and end. The lock is among the descriptors of this process."""
    code = run.FAILED
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, place in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(descriptor, place)
        os.environ |= asked["env"]
        sys.modules["__main__"] = run  # processes that it spawns would import this one
        folder, workspace, attempt, *more = asked["argv"]
        code = run.main(Path(folder), Path(workspace), attempt, "--locked" in more)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), float(sys.argv[2]))
