"""A real Ray cluster of two nodes on this machine, started once and surely shut down."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from tests.support.running import free_port, until

OBJECT_STORE = 80 << 20  # bytes; Ray takes a third of the memory else


class RayCluster:
    """Two `ray start --block`: a head, and a node that says that it has one GPU of 16 GB."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="mxray", dir="/tmp"))  # short: sockets' paths have a limit
        self.gcs, self.port, self.processes = free_port(), free_port(), []
        self.address = f"http://127.0.0.1:{self.port}"
        try:
            self.start(
                "--head",
                f"--port={self.gcs}",
                f"--dashboard-port={self.port}",
                f"--temp-dir={self.folder}",
                f"--ray-client-server-port={free_port()}",
                "--num-cpus=4",
            )
            until(self.answers)
            self.start(f"--address=127.0.0.1:{self.gcs}", "--num-cpus=2", "--num-gpus=1")
            until(lambda: self.nodes() == 2)
        except BaseException:
            self.stop()
            raise

    def start(self, *options: str) -> None:
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        limits = [f"--object-store-memory={OBJECT_STORE}", f"--dashboard-agent-listen-port={free_port()}"]
        with open(self.folder / f"start-{len(self.processes)}.log", "wb") as log:
            self.processes.append(
                subprocess.Popen([*ray, *limits, *options], stdout=log, stderr=log, start_new_session=True)
            )

    def ask(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.address}{path}", timeout=10) as answer:
            return answer.read()

    def answers(self) -> bool:
        assert self.processes[0].poll() is None, (self.folder / "start-0.log").read_text()[-2000:]
        with contextlib.suppress(OSError):
            return bool(self.ask("/api/version"))
        return False

    def nodes(self) -> int:
        assert self.processes[1].poll() is None, (self.folder / "start-1.log").read_text()[-2000:]
        with contextlib.suppress(OSError):
            return self.ask("/nodes?view=summary").count(b'"ALIVE"')
        return 0

    def stop(self) -> None:
        """End the nodes, and whatever of theirs has left their sessions: all of it names our folder or our ports."""
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for pid in processes_that_name(str(self.folder).encode()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def processes_that_name(words: bytes) -> list[int]:
    """Processes whose command line or environment holds these words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and any(
                words in (folder / part).read_bytes() for part in ("cmdline", "environ")
            ):
                found.append(int(folder.name))
    return found
