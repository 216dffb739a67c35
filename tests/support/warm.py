"""A worker for the tests' commands, whose jobs are forked from one process that has imported torch.

The supervisor, the queue and the jobs are the product's. Only the interpreter is not restarted for each job: that is
most of what a small job takes. Tests of workers start real ones (tests/support/working.py).
"""

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.backends import Status, cause_of
from engine.jobs.backends.local import Local
from engine.jobs.supervisor import CHILD_ENVIRONMENT, Supervisor

ROOT = Path(__file__).parents[2]
MOST = 1 << 16  # bytes of a message


class Nursery:
    """The process that forks: asked over a socket, it ends when the socket is closed."""

    def __init__(self):
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.turn = threading.Lock()
        command = [sys.executable, "-m", "tests.support.warm", str(theirs.fileno())]
        self.process = subprocess.Popen(
            command, cwd=ROOT, pass_fds=[theirs.fileno()], env={**os.environ, **CHILD_ENVIRONMENT}
        )
        theirs.close()
        atexit.register(self.close)

    def close(self) -> None:
        self.channel.close()
        self.process.wait(300)  # it may still be importing torch, beside other tests

    def ask(self, question: dict, descriptors: list[int]) -> int | None:
        """Start a job (its process id), or look after one (its exit code, None while it runs)."""
        with self.turn:
            socket.send_fds(self.channel, [json.dumps(question).encode()], descriptors)
            if not (answer := self.channel.recv(MOST)):
                raise OSError("the process that forks jobs has ended")
            return json.loads(answer)


class Warm(Local):
    """Processes of this machine that a nursery forks."""

    nursery: Nursery | None = None

    def __init__(self, slots: int):
        super().__init__(slots)
        self.forked: dict[str, Nursery] = {}

    def submit(self, name, argv, env, resources, log, lock=None):
        if Warm.nursery is None or Warm.nursery.process.poll() is not None:
            Warm.nursery = Nursery()
        visible = {"CUDA_VISIBLE_DEVICES": resources.gpu or "", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        with open(log, "ab") as output:
            descriptors = [output.fileno(), *([] if lock is None else [lock])]
            handle = str(self.nursery.ask({"argv": list(argv)[3:], "env": {**env, **visible}}, descriptors))
        self.forked[handle] = self.nursery
        return handle

    def status(self, handle):
        if handle not in self.forked:  # of a worker that was killed
            return super().status(handle)
        if (code := self.forked[handle].ask({"pid": int(handle)}, [])) is None:
            return Status("running")
        return Status("ended", code, cause_of(code))


@contextlib.contextmanager
def warm_worker(root: Path):
    """Serve a workspace, where nobody does."""
    workspace = Workspace.open(root)
    try:
        if workspace.is_held("owner"):  # a page, which has a worker of its own or will have
            raise Problem("It is served.")
        lock = workspace.lock("worker")
    except Problem:
        yield
        return
    supervisor = Supervisor(workspace.root, Warm(os.cpu_count() or 1))
    thread = threading.Thread(target=supervisor.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        supervisor.stopping = True
        thread.join()
        os.close(lock)


def main(channel: socket.socket) -> None:
    """Answer until nobody asks any more."""
    import scipy.linalg
    import scipy.optimize
    import scipy.special

    from engine.corpus import build
    from engine.jobs import run
    from engine.league import job as league
    from engine.merging.learning import job as learning
    from engine.merging.measuring import job as measuring
    from engine.proxies import train
    from engine.search import job as search

    assert all((scipy.linalg, scipy.optimize, scipy.special, build, league, learning, measuring, train, search))
    ended = {}  # process -> its exit code
    while True:
        text, descriptors, *_ = socket.recv_fds(channel, MOST, 2)
        if not text:
            return
        asked = json.loads(text)
        if "pid" in asked:
            if asked["pid"] not in ended and (found := os.waitpid(asked["pid"], os.WNOHANG))[0]:
                ended[found[0]] = os.waitstatus_to_exitcode(found[1])
            channel.send(json.dumps(ended.get(asked["pid"])).encode())
        elif pid := os.fork():
            channel.send(json.dumps(pid).encode())
            for one in descriptors:
                os.close(one)
        else:
            channel.close()
            sys.modules["__main__"] = run
            os._exit(perform(run, asked, descriptors[0]))


def perform(run, asked: dict, log: int) -> int:
    """What `python -m engine.jobs.run` does; its lock is among the descriptors."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, place)
    os.environ |= asked["env"]
    folder, workspace, attempt, *more = asked["argv"]
    try:
        return run.main(Path(folder), Path(workspace), attempt, "--locked" in more)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
