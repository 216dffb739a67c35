"""Waiting for jobs with a progress bar, and with a worker of our own if none serves the workspace.

Most commands do not wait: what only waiting needs is imported where it is needed."""

import subprocess
import sys
import time
from collections import Counter

from engine.commands.client import Remote
from engine.core.errors import Problem
from engine.core.files import CHECKOUT
from engine.core.short_names import counted
from engine.core.workspace import Workspace
from engine.jobs.spec import UNFINISHED

POLL_SECONDS = 0.5
GRACE_SECONDS = 5.0  # that a page's own worker has to come up


def beside(asked: dict, answer):
    """The answer of a command that waited, with whether what it asked for was there already: in the answer, or, where
    that is a list, on standard error."""
    if "already_there" not in asked:
        return answer
    if isinstance(answer, dict):
        return answer | {"already_there": asked["already_there"]}
    if asked["already_there"]:
        print("This was already requested: it exists, and nothing new was started.", file=sys.stderr)
    return answer


def wait_for_study(client, workspace, study: str):
    """Show progress until the study is done; returns its summary. Raises Problem where it ended without a part of its
    work, or waits for a person: it is paused or was cancelled."""
    from tqdm import tqdm

    with client.open_endpoint(), working(client, workspace) as worker, tqdm(unit="run", file=sys.stderr) as bar:
        while True:
            worker.check()
            shown = client.call("show", name=study)
            bar.total = sum(shown["counts"].values())
            bar.n = bar.total - sum(shown["counts"].get(state, 0) for state in ("planned", "running"))
            bar.set_postfix_str(doing(shown["jobs"]), refresh=True)
            check_study(shown)
            told_before = any(job["state"] in UNFINISHED for job in shown["jobs"])  # they ended while this was told
            if shown["settled"] and not told_before:
                return {key: shown[key] for key in ("study", "state", "counts", "domains")}
            time.sleep(POLL_SECONDS)


def check_study(shown: dict) -> None:
    """Raise Problem where a study (as `show` tells it) will not be done by itself."""
    from engine.spec.external import EXTERNAL
    from engine.studies.lost import MANY

    study = shown["study"]
    if shown["state"] == "failed":
        raise Problem(shown["message"])
    if shown["state"] != "active":
        raise Problem(f"Cannot wait for {study!r}: it is {shown['state']}. `resume {study}` goes on with it.")
    awaited = sum(shown["counts"].get(state, 0) for state in ("planned", "running"))
    idle = not any(job["state"] in UNFINISHED for job in shown["jobs"])
    if awaited and idle and shown["spec"].get("trainer") == EXTERNAL and shown["domains"]:
        raise Problem(
            f"Cannot wait for {study!r}: it awaits the results of {counted(awaited, 'run')} from another trainer. "
            f"`export-design {study}` has them, and `submit-runs {study}` takes their results."
        )
    replaceable = {job["id"] for job in shown["jobs"] if job["kind"] in MANY}  # a study goes on without some of them
    ends = shown["settled"] or set(shown["lost"]["jobs"]) - replaceable
    if shown["lost"]["told"] and ends and idle:
        raise Problem(f"{' '.join(shown['lost']['told'])} `resume {study}` retries.")
    if shown["settled"] and not shown["domains"]:
        raise Problem(
            f"Cannot wait for {study!r}: it has no runs yet, and the study that it is compared with, or its corpus, "
            "does not go on by itself. Resume that first."
        )


def doing(found: list[dict]) -> str:
    """What jobs do, for a progress bar: what one says that runs, else how many are in which state."""
    if note := next((job["note"] for job in found if job["state"] == "running" and job["note"]), ""):
        return note
    there = Counter(job["state"] for job in found if job["state"] != "done")
    return ", ".join(f"{number} {state}" for state, number in there.items())


def waited(client, workspace, job_ids: list[str]):
    """Show progress until the jobs are done. Raises Problem when one failed, was cancelled or is paused."""
    from tqdm import tqdm

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
            bar.set_postfix_str(doing(found))
            for job in found:
                check_job(job)
            if all(job["state"] == "done" for job in found):
                return {"jobs": [{key: job[key] for key in ("id", "state")} for job in found]}
            time.sleep(POLL_SECONDS)


def check_job(job: dict) -> None:
    """Raise Problem where a job will not be done by itself."""
    from engine.studies.jobs import PAUSED

    again = f"`job-retry {job['id']}` tries it again."
    if job["state"] == "failed":
        raise Problem(f"{job['message'] or 'Job ' + job['id'] + ' failed: its log says why.'} {again}")
    if job["state"] == "cancelled":
        raise Problem(f"Job {job['id']} was cancelled. {again}")
    if job["blocked_on"] == PAUSED:
        raise Problem(f"Cannot wait for job {job['id']}: its {PAUSED}. `resume {job['study']}` goes on with it.")


class working:
    """A worker while we wait, if none serves the workspace. A page that just started has its own soon."""

    def __init__(self, client, workspace: Workspace):
        self.workspace, self.process = workspace, None
        if isinstance(client, Remote) and not workspace.is_held("worker"):
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
