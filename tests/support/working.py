"""What tests of background jobs share: small jobs of real kinds, workers as processes, faults injected from outside.

A fault is a `sitecustomize.py` on the PYTHONPATH of the worker: the job's process finds it before its first line, and
does what its job's id begins with. The product knows nothing of it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from engine.jobs.spool import Spool

ROOT = Path(__file__).parents[2]

FAULTS = """
import os, signal, subprocess, sys, time

def begin(folder):
    name = os.path.basename(folder)
    if name.startswith("zero"):
        os._exit(0)
    if name.startswith("silent"):
        time.sleep(10**6)
    if name.startswith("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "100000"])
        with open(os.path.join(folder, "child"), "w") as file:
            file.write(str(child.pid))
        time.sleep(10**6)
    if name.startswith("prints"):
        for _ in range(400):  # never more than 40 MB, whatever the product does
            os.write(1, b"all work and no play" * 5000)
            time.sleep(0.02)
        time.sleep(10**6)

words = sys.orig_argv
if "engine.jobs.run" in words:
    begin(words[words.index("engine.jobs.run") + 1])
elif "engine.jobs.backends.nursery" in words:  # it forks jobs, each of which begins with `main`
    from engine.jobs import run
    main = run.main
    run.main = lambda folder, *rest: begin(str(folder)) or main(folder, *rest)
"""


def read_events(folder: Path, offset: int = 0) -> list[dict]:
    """The whole lines of a job's journal as they stand there."""
    path = folder / "events.jsonl"
    lines = path.read_bytes()[offset:].split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def small_text(folder: Path) -> Path:
    """Two domains of a few kB: a corpus of them is built in about a second."""
    for name, line in (("ones", "one two three four five {}\n"), ("twos", "six {} seven eight\n")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for part in range(8):
            (folder / name / f"{part}.txt").write_text("".join(line.format(part * 10**6 + n) for n in range(700)))
    return folder


def corpus_job(text: Path, name: str, **settings) -> dict:
    """A small job of a real kind, without torch."""
    return {"kind": "corpus", "corpus": name, "source": {"type": "folder", "path": str(text)}, **settings}


# Of the smallest proxies that learn something.
FIDELITY = {
    "width": 16,
    "layers": 1,
    "heads": 1,
    "context": 32,
    "batch": 4,
    "eval_tokens": 1024,
    "learning_rate": 0.01,
}


def training_job(corpus: str, weights: dict[str, float], ids: list[str], tokens: int, **settings) -> dict:
    """A job that trains tiny proxies on a corpus, each at these shares with a seed of its own."""
    runs = [{"id": one, "weights": list(weights.values()), "seed": n} for n, one in enumerate(ids)]
    task = {"corpus": corpus, "domains": list(weights), "runs": runs, "fidelity": {**FIDELITY, "tokens": tokens}}
    return {"kind": "train", "study": "s", **task, **settings}


def faults(folder: Path) -> dict[str, str]:
    """The environment of a worker whose jobs misbehave by their names."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(FAULTS)
    return {"PYTHONPATH": str(folder)}


@contextlib.contextmanager
def worker(spool: Spool, *options: str, **env: str):
    """A running worker; at the end it is killed, and so is what it left running."""
    command = [sys.executable, "-m", "engine.worker", "--workspace", str(spool.workspace), *options]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        for folder in spool.folders("active"):
            for pid in {pid_of(folder), *just_begun(folder)} - {0}:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)


def just_begun(folder: Path) -> list[int]:
    """Processes of a job that its worker had started and not yet noted: each leads a group of its own."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(entry.name)
            if os.path.samefile(entry / "fd" / "1", folder / "log.txt") and os.getpgid(pid) == pid:
                found.append(pid)
    return found


def pid_of(folder: Path | None) -> int:
    """The process of an active local job; 0 where the worker has not noted it."""
    try:
        return int(json.loads((folder / "lease.json").read_text())["handle"] or 0)
    except (FileNotFoundError, AttributeError, TypeError):
        return 0


def kinds(spool: Spool, job_id: str) -> list[str]:
    return [event["kind"] for event in read_events(spool.find(job_id))]


def place(spool: Spool, job_id: str) -> str:
    return spool.find(job_id).parent.name


def last(spool: Spool, job_id: str) -> dict:
    return read_events(spool.find(job_id))[-1]
