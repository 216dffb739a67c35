"""Waiting for jobs with a progress bar, and with a worker of our own if none serves the workspace."""

import subprocess
import sys
import time

from tqdm import tqdm

from engine.commands.client import Local
from engine.core.errors import Problem
from engine.core.files import CHECKOUT
from engine.core.workspace import Workspace
from engine.jobs.spec import UNFINISHED

POLL_SECONDS = 0.5
GRACE_SECONDS = 5.0  # that a page's own worker has to come up


def wait_for_study(client, workspace, study: str):
    """Show progress until the study is done; returns its summary. Raises Problem if a job failed."""
    with client.open_endpoint(), working(client, workspace) as worker, tqdm(unit="run", file=sys.stderr) as bar:
        while True:
            worker.check()
            shown = client.call("show", name=study)
            bar.total = sum(shown["counts"].values())
            bar.n = bar.total - sum(shown["counts"].get(state, 0) for state in ("planned", "running"))
            open_jobs = [job for job in shown["jobs"] if job["state"] in UNFINISHED]
            note = next((job["note"] for job in open_jobs if job["state"] == "running"), "")
            bar.set_postfix_str(note or "", refresh=True)
            failed = [job for job in shown["jobs"] if job["state"] == "failed"]
            if failed:
                raise Problem(f"Job {failed[0]['id']} of {study!r} failed: {failed[0]['message']}")
            if shown["state"] == "failed":
                raise Problem(shown["message"])
            corpus_failed(client, shown)
            if shown["settled"]:
                return {key: shown[key] for key in ("study", "state", "counts", "domains")}
            time.sleep(POLL_SECONDS)


def corpus_failed(client, shown) -> None:
    """Raise Problem when the corpus that a study waits for could not be built."""
    for corpus in client.call("list_corpora"):
        job = corpus["job"]
        ended = job and job["state"] in ("failed", "cancelled")
        if corpus["corpus"] == shown["corpus"] and not shown["domains"] and ended:
            why = job["message"] or "its job was cancelled. Build it again."
            raise Problem(f"The corpus {corpus['corpus']!r} could not be built: {why}")


def waited(client, workspace, job_ids: list[str]):
    """Show progress until the jobs have ended. Raises Problem when one failed."""
    with (
        client.open_endpoint(),
        working(client, workspace) as worker,
        tqdm(total=1.0, file=sys.stderr, bar_format="{l_bar}{bar}| {postfix}") as bar,
    ):
        while True:
            worker.check()
            found = [client.call("job", job_id=job_id) for job_id in job_ids]
            progress = [job["done"] / job["total"] if job["total"] else 0.0 for job in found]
            bar.n = sum(progress) / len(progress)
            bar.set_postfix_str(next((job["note"] for job in found if job["note"]), ""))
            bad = [job for job in found if job["state"] in ("failed", "cancelled")]
            if bad:
                raise Problem(bad[0]["message"] or f"Job {bad[0]['id']} was cancelled.")
            if all(job["state"] == "done" for job in found):
                return {"jobs": [{key: job[key] for key in ("id", "state")} for job in found]}
            time.sleep(POLL_SECONDS)


class working:
    """A worker while we wait, if none serves the workspace. A page that just started has its own soon."""

    def __init__(self, client, workspace: Workspace):
        self.workspace, self.process = workspace, None
        if not isinstance(client, Local) and not workspace.is_held("worker"):
            time.sleep(GRACE_SECONDS)
        self.needed = not workspace.is_held("worker")
        self.command = [sys.executable, "-m", "engine.worker", "--workspace", str(workspace.root)]

    def __enter__(self):
        if self.needed:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, cwd=CHECKOUT)
        return self

    def check(self) -> None:
        """Raise Problem when the worker that was started is gone, and no other one serves the workspace."""
        gone = self.process and self.process.poll() is not None
        if gone and not self.workspace.is_held("worker"):
            raise Problem(
                f"Cannot wait any longer: the worker ended with code {self.process.returncode}, and said why above. "
                "The jobs stay queued; the same command goes on with them."
            )

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait()
