"""Chaos: kill -9 of page, worker and jobs at random, full disks, clocks that jump, corrupt lines, half-written specs,
second workers and pages; then check that nothing was lost and nothing was doubled.

    python -m benchmarks.chaos --kills 200 --out benchmarks/results/chaos.md

The workspace lies on a small tmpfs of its own, so that its disk can be filled; where none can be mounted the report
says so. Faults are injected from outside, by `faults/sitecustomize.py`.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.aftermath import examine
from engine.commands.client import Remote
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.spool import Spool, try_lock

ROOT = Path(__file__).parents[1]
DISK_MB = 256
TEXT = {"ones": "one two three four five {}\n", "twos": "six {} seven eight\n"}
FIDELITY = {
    "width": 16,
    "layers": 1,
    "heads": 1,
    "context": 32,
    "batch": 4,
    "tokens": 300_000,
    "eval_tokens": 1024,
    "learning_rate": 0.01,
}
FAULTS = ROOT / "benchmarks" / "faults"  # its sitecustomize.py is loaded by every process of the workspace
# How often each thing happens, by weight.
ACTIONS = {
    "submit": 40,
    "kill_job": 24,
    "kill_worker": 12,
    "kill_nursery": 8,
    "kill_page": 5,
    "cancel": 3,
    "jump": 4,
    "corrupt": 4,
    "half_spec": 2,
    "second_worker": 2,
    "second_page": 1,
    "fill_disk": 2,
}

QUIET = 15.0  # seconds without a job, after which none comes


class Chaos:
    """One workspace under attack. counts: what was done to it; acknowledged: ids of jobs that the page has accepted."""

    def __init__(self, folder: Path, disk: Path | None, seed: int):
        self.root, self.disk, self.random = (disk or folder) / "workspace", disk, random.Random(seed)
        self.spool, self.counts = Spool(self.root), Counter()
        self.acknowledged, self.garbage, self.halves = set(), [], []
        self.folder, self.clock, self.witness = folder, folder / "clock", folder / "witness"
        self.witness.mkdir()
        for name, line in TEXT.items():
            (folder / "text" / name).mkdir(parents=True)
            for part in range(8):
                words = "".join(line.format(part * 10**6 + n) for n in range(700))
                (folder / "text" / name / f"{part}.txt").write_text(words)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self.environment = {
            **os.environ,
            "MIXDESK_WORKSPACE": str(self.root),
            "PORT": port,
            "MIXDESK_DEMO": "0",
            "PYTHONPATH": str(FAULTS),
            "CHAOS_CLOCK": str(self.clock),
            "CHAOS_WITNESS": str(self.witness),
        }
        self.page = self.worker = None
        self.keep_up()

    # The two processes ---------------------------------------------------------------------------------------

    def start(self, *words: str) -> subprocess.Popen:
        with open(self.folder / f"{words[0]}.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def begin(self) -> None:
        """Before the first blow: the corpus that all training jobs read."""
        deadline = time.monotonic() + 120
        while not self.spool.folders("sealed"):
            if time.monotonic() > deadline:
                raise SystemExit(f"chaos: nothing works even in peace: {(self.folder / 'dashboard.log').read_text()}")
            if not self.acknowledged:
                self.submit()
            time.sleep(0.5)

    def keep_up(self) -> None:
        """Start again what was killed, or could not live on a full disk."""
        if self.page is None or self.page.poll() is not None:
            self.page = self.start("dashboard")
        if self.worker is None or self.worker.poll() is not None:
            self.worker = self.start("engine.worker", "--slots", "3")

    def ask(self, command: str, **arguments):
        """A command of the page's API; None where it does not answer, or says no."""
        try:
            return Remote.owner_of(Workspace(self.root)).call(command, **arguments)
        except (Problem, OSError):
            return None

    # What happens to them ------------------------------------------------------------------------------------

    def act(self) -> None:
        name = self.random.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        getattr(self, name)()
        self.keep_up()

    def submit(self) -> None:
        if sum(len(self.spool.folders(place)) for place in ("queued", "active")) >= 10:
            return
        number, source = self.counts["submitted"], {"type": "folder", "path": str(self.folder / "text")}
        if number == 0:  # by the command, so that studies may be started on it
            self.counts["submitted"] += self.ask("build_corpus", name="corpus-0", spec={"source": source}) is not None
            return
        study = {"name": f"Study {number}", "corpus": "corpus-0", "runs": 8, "repeats": 0, "surrogates": ["linear"]}
        if number % 8 == 1 and self.ask("start", spec={**study, "fidelity": FIDELITY}) is not None:
            self.counts["submitted"] += 1
            self.counts["studies"] += 1
            return
        job_id, spec = f"job-{number}", {"kind": "corpus", "corpus": f"corpus-{number}"}
        spec["source"] = source
        if self.ask("submit_job", job_id=job_id, spec={**spec, "retries": 30}) is not None:
            self.acknowledged.add(job_id)
            self.counts["submitted"] += 1

    def running(self) -> list[tuple[Path, int]]:
        """Active jobs whose process lives, and its id."""
        found = []
        for folder in self.spool.folders("active"):
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError), try_lock(folder) as lock:
                if lock is None:
                    found.append((folder, int(json.loads((folder / "lease.json").read_text())["handle"])))
        return found

    def kill_job(self) -> None:
        if found := self.running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.random.choice(found)[1], signal.SIGKILL)
                self.counts["kills of jobs"] += 1

    def kill_worker(self) -> None:
        if Workspace(self.root).is_held("worker"):  # one that still starts would never get anything done
            self.kill(self.worker, "kills of the worker")

    def kill_nursery(self) -> None:
        """The process that forks the worker's jobs; these go on."""
        for words in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError, ValueError):
                parent = int((words.parent / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.worker.pid and b"engine.jobs.backends.nursery" in words.read_bytes():
                    os.kill(int(words.parent.name), signal.SIGKILL)
                    self.counts["kills of what forks jobs"] += 1

    def kill_page(self) -> None:
        if self.ask("list_studies") is not None:
            self.kill(self.page, "kills of the page")

    def kill(self, process: subprocess.Popen, word: str) -> None:
        if process.poll() is None:
            process.kill()
            process.wait()
            self.counts[word] += 1

    def cancel(self) -> None:
        if self.acknowledged and self.ask("cancel_job", job_id=self.random.choice(sorted(self.acknowledged))):
            self.counts["cancels"] += 1

    def jump(self) -> None:
        self.clock.write_text(str(self.random.choice([-86400, -3600, -5, 0, 5, 3600, 86400 * 30])))
        self.counts["clock jumps"] += 1

    def corrupt(self) -> None:
        """A line that is no event, in the journal of a running job or of the owner."""
        found = [folder for folder, _ in self.running()]
        journal = self.random.choice([*found, self.root / "journal" / "owner"]) / "events.jsonl"
        text = f"chaos-{len(self.garbage)}-"
        with contextlib.suppress(OSError), open(journal, "r+b") as file:
            descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND)
            try:
                if os.write(descriptor, line := text.encode() + b"\xff{[\n") == len(line):
                    self.garbage.append(text)
                    self.counts["corrupt lines"] += 1
            finally:
                os.close(descriptor)
            file.flush()

    def half_spec(self) -> None:
        name = f"half-{len(self.halves)}"
        with contextlib.suppress(OSError):
            (folder := self.spool.root / "incoming" / name).mkdir()
            (folder / "spec.json").write_text('{"kind": "corpus", "corp')
            folder.rename(self.spool.root / "queued" / name)
            self.halves.append(name)
            self.counts["half-written specs"] += 1

    def second_worker(self) -> None:
        self.second("engine.worker", "second workers refused")

    def second_page(self) -> None:
        self.second("dashboard", "second pages refused")

    def second(self, module: str, word: str) -> None:
        """Start a twin of a process that surely lives; it must leave by itself."""
        lock = "owner" if module == "dashboard" else "worker"
        if not Workspace(self.root).is_held(lock):
            return
        twin = self.start(module)
        try:
            self.counts[word] += twin.wait(timeout=60) != 0
        except subprocess.TimeoutExpired:
            twin.kill()
            self.counts["TWINS THAT STAYED"] += 1

    def fill_disk(self) -> None:
        """Fill the tmpfs for some seconds, and kill something meanwhile."""
        if self.disk is None:
            return
        ballast = self.disk / "ballast"
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
            for _ in range(DISK_MB + 1):  # the tmpfs ends before this does
                file.write(bytes(1 << 20))
        self.counts["full disks"] += 1
        time.sleep(1)
        self.random.choice((self.kill_job, self.kill_worker, self.submit))()
        time.sleep(1)
        ballast.unlink(missing_ok=True)

    def kills(self) -> int:
        return sum(count for word, count in self.counts.items() if word.startswith("kills"))

    def settle(self, seconds: float) -> None:
        """Let everything come to its end, undisturbed: a study queues its next job some time after the last."""
        self.clock.write_text("0")
        now = time.monotonic()
        deadline, busy = now + seconds, now
        while now < deadline and now - busy < QUIET:
            self.keep_up()
            time.sleep(0.5)
            now = time.monotonic()
            busy = now if any(self.spool.folders(p) for p in ("queued", "active", "ended")) else busy
        for process in (self.worker, self.page):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)

    def end(self) -> None:
        for process in (self.page, self.worker):
            process.kill()
            process.wait()
        for _, pid in self.running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def attack(kills: int, seconds: float, patience: float, seed: int, disk: bool) -> dict:
    """Attack a fresh workspace until there were so many kills, or for so long; then look at what is left of it."""
    folder = Path(tempfile.mkdtemp(prefix="chaos"))
    chaos, began = None, time.monotonic()
    try:
        chaos = Chaos(folder, mounted(folder / "disk") if disk else None, seed)
        chaos.begin()
        while chaos.kills() < kills and time.monotonic() - began < seconds:
            chaos.act()
            time.sleep(chaos.random.uniform(0.05, 0.5))
        attacked = time.monotonic() - began
        chaos.settle(patience)
        report = {"seed": seed, "seconds of attack": round(attacked), "kills": chaos.kills()}
        report["what was done"] = dict(chaos.counts)
        doubled = [path.name for path in chaos.witness.glob("doubled-*")]
        return (
            report
            | {"jobs that ran twice at once": doubled}
            | examine(chaos.root, chaos.acknowledged, chaos.halves, chaos.garbage)
        )
    finally:
        if chaos:
            chaos.end()
        if disk:
            subprocess.run(["umount", "-l", str(folder / "disk")], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def mounted(place: Path) -> Path | None:
    """A tmpfs in the mount namespace of this process; None where that is not allowed."""
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(place)], capture_output=True)
    return place if done.returncode == 0 else None


def can_mount() -> bool:
    """Whether this process may have mounts of its own (`unshare` of util-linux, and a kernel that lets us)."""
    try:
        words = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", tempfile.gettempdir()]
        return subprocess.run(words, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600, help="the attack ends by then")
    parser.add_argument("--patience", type=float, default=600, help="seconds for what is left to come to its end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the report there, as Markdown")
    options = parser.parse_args()
    if os.environ.get("CHAOS_INSIDE") is None and can_mount():
        os.environ["CHAOS_INSIDE"] = "1"
        words = [sys.executable, "-m", "benchmarks.chaos", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "-rm", "--kill-child", "--fork", "--pid", "--mount-proc", *words])
    inside = os.environ.get("CHAOS_INSIDE") is not None
    report = attack(options.kills, options.seconds, options.patience, options.seed, inside)
    report["disk"] = f"a tmpfs of {DISK_MB} MB" if inside else "not filled: no tmpfs could be mounted here"
    print(json.dumps(report, indent=1))
    if options.out:
        options.out.write_text(
            "# Chaos\n\n`python -m benchmarks.chaos "
            + " ".join(sys.argv[1:])
            + "`\n\n```json\n"
            + json.dumps(report, indent=1)
            + "\n```\n"
        )
    sys.exit(bool(report["wrong"]))


if __name__ == "__main__":
    main()
