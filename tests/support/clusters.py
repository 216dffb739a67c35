"""Real clusters on this machine, started once and surely shut down: Ray with two nodes, Slurm with one."""

import contextlib
import os
import shutil
import signal
import socket
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


SLURM = """
ClusterName=mixdesk
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={port}
SlurmdPort={own_port}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=3
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=3
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,requeue_delay=0
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Gres=gpu:a100:4 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class SlurmCluster:
    """munged, slurmctld and slurmd of Debian's slurm-wlm, with a folder, a key and ports of their own."""

    needs = ("munged", "slurmctld", "slurmd", "sbatch")

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="mxslurm", dir="/tmp"))
        self.processes = []
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.folder.chmod(0o755)  # munge's socket is looked for by every user
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        own = {"host": socket.gethostname().split(".")[0], "port": free_port(), "own_port": free_port()}
        self.file = self.folder / "slurm.conf"
        self.file.write_text(SLURM.format(folder=self.folder, cpus=os.cpu_count(), **own))
        cards = ("zero", "full", "random", "urandom")  # for Slurm any device is a card
        (self.folder / "gres.conf").write_text("".join(f"Name=gpu Type=a100 File=/dev/{one}\n" for one in cards))
        try:
            names = {
                "key-file": "munge.key",
                "socket": "munge.sock",
                "pid-file": "munged.pid",
                "log-file": "munged.log",
            }
            options = [f"--{option}={self.folder / name}" for option, name in names.items()]
            self.start("munged", "--foreground", "--force", f"--seed-file={self.folder / 'seed'}", *options)
            until(lambda: (self.folder / "munge.sock").exists())
            self.start("slurmctld", "-D", "-f", str(self.file))
            self.start("slurmd", "-D", "-f", str(self.file))
            until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"))
        except BaseException:
            self.stop()
            raise

    def start(self, *command: str) -> None:
        with open(self.folder / f"{command[0]}.txt", "wb") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))

    def ask(self, *command: str) -> str:
        """What a command of Slurm's prints."""
        environment = {**os.environ, "SLURM_CONF": str(self.file)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    def stop(self) -> None:
        self.ask("scancel", "--signal=KILL", "--user=root")
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
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
