"""One job on a node that shares no folder with the page: `python -m engine.jobs.remote URL JOB ATTEMPT WORKSPACE`.

WORKSPACE is where the node has the corpora. The job runs in a scratch folder; a thread posts its journal. While the
page is unreachable, the journal waits and the training goes on; the process ends only when every line is acknowledged.
Checkpoints stay in the scratch folder ($MIXDESK_SCRATCH, else the temporary one) and help if the node runs it again.
"""

import json
import os
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from engine.core.errors import Problem
from engine.jobs import logs
from engine.jobs.journal import FILE
from engine.jobs.run import DUPLICATE, perform, print_into
from engine.jobs.spool import Job

POST_SECONDS = 1.0
CHUNK = 1 << 20
PATIENCE_SECONDS = 6 * 3600.0  # how long a node waits for an unreachable page


class Endpoint:
    """The page's HTTP API as one attempt at a job sees it."""

    def __init__(self, url: str, job_id: str, attempt: str, token: str):
        self.url, self.headers = (
            f"{url.rstrip('/')}/api/v1/journal/{urllib.parse.quote(job_id, safe='')}",
            {
                "Authorization": f"Bearer {token}",
                "X-Attempt": attempt,
                "Content-Type": "application/octet-stream",
            },
        )

    def ask(self, offset: int = 0, data: bytes | None = None, what: str = "offset") -> dict[str, Any] | None:
        """GET, or POST with data. None if the attempt is over. Raises OSError if the page is unreachable."""
        request = urllib.request.Request(f"{self.url}?{what}={offset}", data, self.headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            if error.code in (401, 404, 410):
                return None
            raise OSError(f"the page answered {error.code}") from error


class Poster:
    """Posts a journal as it grows, on a thread of its own."""

    def __init__(self, endpoint: Endpoint, job: Job, have: int):
        self.endpoint, self.job, self.have, self.over = endpoint, job, have, False
        self.printed = b""  # the last tail posted
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="poster", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._done.wait(POST_SECONDS) and not self.over:
            try:
                while self.post_some():
                    pass
                self.post_log()
            except OSError as error:
                print(f"The page is unreachable ({error}); the journal waits.", flush=True)

    def post_some(self) -> bool:
        """Post what the page lacks, at most one chunk; returns whether there was any. An empty post is a heartbeat."""
        with open(self.job.folder / FILE, "rb") as journal:
            journal.seek(self.have)
            data = journal.read(CHUNK)
        answer = self.endpoint.ask(self.have, data)
        if answer is None:
            self.over = self.job.stopping = True
            return False
        self.have = answer["have"]
        return bool(data)

    def post_log(self) -> None:
        """Post the end of the output, if it has changed."""
        printed = logs.tail(self.job.folder / "log.txt").encode()
        if printed != self.printed:
            self.endpoint.ask(1, printed, "log")
            self.printed = printed

    def finish(self) -> bool:
        """Post the rest, however long the page is unreachable; returns whether all of it was acknowledged."""
        self._done.set()
        self._thread.join()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.over and time.monotonic() < deadline:
            try:
                if not self.post_some():
                    self.post_log()
                    return not self.over
            except OSError:
                time.sleep(POST_SECONDS)
        return False


def main(url: str, job_id: str, attempt: str, workspace: Path) -> int:
    """Fetch the spec, run the job, post its journal. Returns the exit code."""
    endpoint = Endpoint(url, job_id, attempt, os.environ.get("MIXDESK_JOB_TOKEN", ""))
    given = endpoint.ask()
    if given is None:
        return DUPLICATE
    folder = Path(os.environ.get("MIXDESK_SCRATCH") or tempfile.gettempdir()) / f"mixdesk-{job_id}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_text(given["spec"])
    so_far = given["journal"].encode("latin-1")
    (folder / FILE).write_bytes(so_far)
    print_into(folder / "log.txt")
    job = Job(folder, workspace, {})
    poster = Poster(endpoint, job, len(so_far))
    code = perform(job)
    return code if poster.finish() else DUPLICATE


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
    except (OSError, Problem) as error:
        sys.exit(f"remote: {error}")
