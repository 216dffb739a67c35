"""The owner of a workspace's database: the page's process, or a command where no page runs.

It opens the store, reads the journals as they grow and lets `engine.studies.advance.advance` decide what is next.
"""

import logging
import os
import shutil
import threading
import time
from pathlib import Path

from engine.core.people import SYSTEM, as_person
from engine.core.workspace import TASKS, Workspace
from engine.service import notices
from engine.service.results_folder import ResultsFolder
from engine.studies import advance, refits
from engine.studies.corpora import UPLOADS
from store import from_journals
from store.database import Store

POLL_SECONDS = 0.25

log = logging.getLogger("mixdesk.owner")


def clear_left(root: Path) -> None:
    """Remove what killed writers left half-written: a rebuilt database, what is in the workspace itself, of uploaded
    files, and of jobs that were being submitted. Only for the owner, who alone writes there."""
    from_journals.clear(root)
    for half in (root / "jobs" / "incoming").glob("*/"):
        shutil.rmtree(half, ignore_errors=True)
    brought = [root / UPLOADS, root / "imports", root / TASKS]
    for folder in (root, *brought, *(inner for one in brought for inner in one.rglob("*/"))):
        for part in folder.glob(".*.part"):
            part.unlink(missing_ok=True)


class Owner:
    """Holds the workspace's owner lock and its store; a thread of its own keeps the store up to date."""

    def __init__(self, workspace: Workspace):
        """Raises Problem when another process owns the workspace, and Unavailable where its disk is full."""
        self.workspace = workspace
        self._lock = workspace.lock("owner")
        try:
            clear_left(workspace.root)
            self.store = Store(workspace)
            with as_person(SYSTEM):
                advance.recover(self.store)
                notices.raise_due(self.store)
            self.webhook = notices.webhook_of(self.store)
            self.results = ResultsFolder(workspace.root)
        except BaseException:
            os.close(self._lock)
            raise
        self.answered = -1  # the store's version to which `advance` has answered
        self.trouble: str | None = None  # what the last round failed with; pages show it
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="owner", daemon=True)
        self._thread.start()

    def _keep_up(self) -> None:
        behind = False  # whether the last round failed, so that `advance` has not answered all that was read
        looked = time.time()
        while not self._stop.wait(POLL_SECONDS):
            try:
                with as_person(SYSTEM):
                    before, looked = looked, time.time()
                    due = any(before < end <= looked for end in refits.ends(self.store))
                    came = self.results.take(self.store)
                    if self.store.ingest() or behind or due or came:
                        advance.advance(self.store)
                        notices.raise_due(self.store)
                behind, self.trouble, self.answered = False, None, self.store.version
            except Exception as error:  # a full disk, say: nothing is lost, the journals wait; keep trying
                if str(error) != self.trouble:
                    log.exception("reading the journals failed; trying again")
                behind, self.trouble = True, str(error)

    def close(self) -> None:
        """Stop reading, close the database, give the lock back."""
        self._stop.set()
        self.store.stop_reading()
        self._thread.join()
        if self.webhook is not None:
            self.webhook.close()
        self.store.close()
        os.close(self._lock)
