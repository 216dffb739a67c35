"""A worker for the tests' commands, in a thread of theirs. All of a test process' workers share one nursery, so that
torch is imported once for all their jobs; tests of workers start real ones (tests/support/working.py)."""

import contextlib
import os
import threading
from pathlib import Path

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.backends.local import Local
from engine.jobs.backends.nursery import Nursery
from engine.jobs.supervisor import Supervisor

NURSERY = Nursery()


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
    local = Local(os.cpu_count() or 1)
    local.nursery = NURSERY
    supervisor = Supervisor(workspace.root, local)
    thread = threading.Thread(target=supervisor.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        supervisor.stopping = True
        thread.join()
        os.close(lock)
