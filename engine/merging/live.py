"""The page's way to measured merges while a fader moves: one process that holds the experts of one study.

It is started when first asked, replaced when another study asks, and ended when nobody has asked for a while. A
measured point is remembered, so going back is free. No torch here.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import Problem
from engine.supervisor import CHILD_ENVIRONMENT

IDLE_SECONDS = 300.0
REMEMBERED = 4096
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Measured:
    """Losses of one merge (M,), bits per byte, and their standard errors over validation windows (M,)."""

    losses: np.ndarray
    losses_se: np.ndarray


class Live:
    """At most one process. Thread-safe: sessions share it."""

    def __init__(self, workspace: Path):
        self.workspace = workspace
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple, Measured] = OrderedDict()
        self._process: subprocess.Popen | None = None
        self._answers: queue.Queue = queue.Queue()
        self._study, self._ready, self._asked = None, False, 0.0
        self._owed: list[tuple] = []  # keys of the points whose answer is still to come

    def measure(self, task: dict, point: np.ndarray, tokens: int, patience: float = 0.8) -> Measured | None:
        """What the merge at a point (D,) measures on so many validation tokens a domain; None while it is not there
        yet: ask again. task: what a merge job of the study is told. Raises Problem for what cannot be measured.
        """
        asked = {"merge": task["merge"], "names": task["names"], "tokens": tokens}
        key = (task["study"], json.dumps(asked), tuple(np.round(point, 6).tolist()))
        if key in self._known:
            return self._known[key]
        with self._lock:
            self._asked = time.monotonic()
            self._serve(task)
            deadline = time.monotonic() + patience
            self._take(deadline)
            if self._ready and not self._owed and key not in self._known:
                self._send({"points": [list(key[2])], **asked})
                self._owed.append(key)
                self._take(deadline)
        return self._known.get(key)

    def _serve(self, task: dict) -> None:
        """Have the process of this study running."""
        running = self._process is not None and self._process.poll() is None
        if running and self._study == task["study"]:
            return
        self._end()
        command = [sys.executable, "-m", "engine.merging.live_process", str(self.workspace)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **CHILD_ENVIRONMENT},
        )  # fmt: skip
        self._study, self._ready, self._owed, self._answers = task["study"], False, [], queue.Queue()
        threading.Thread(target=_listen, args=(self._process, self._answers), daemon=True).start()
        threading.Thread(target=self._end_when_idle, args=(self._process,), daemon=True).start()
        self._send(task)

    def _send(self, asked: dict) -> None:
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            self._end()
            raise Problem(f"Cannot measure merges live: {error}. Move a fader to try again.") from error

    def _take(self, deadline: float) -> None:
        """Take answers until nothing is owed, or the deadline."""
        while (not self._ready or self._owed) and (left := deadline - time.monotonic()) > 0:
            try:
                answer = self._answers.get(timeout=left)
            except queue.Empty:
                return
            if answer is None or "error" in answer:
                self._end()
                reason = answer["error"] if answer else "its process ended. Move a fader to try again."
                raise Problem(f"Cannot measure merges live: {reason}")
            if "ready" in answer:
                self._ready = True
                return
            key = self._owed.pop(0)
            self._known[key] = Measured(np.array(answer["losses"][0]), np.array(answer["losses_se"][0]))
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process, self._ready, self._owed = None, False, []

    def _end_when_idle(self, process: subprocess.Popen) -> None:
        while process.poll() is None:
            time.sleep(5)
            with self._lock:
                if process is self._process and time.monotonic() - self._asked > IDLE_SECONDS:
                    self._end()

    def close(self) -> None:
        """End the process, if any."""
        with self._lock:
            self._end()


def _listen(process: subprocess.Popen, answers: queue.Queue) -> None:
    """Queue each answer; None at the end."""
    for line in process.stdout:
        answers.put(json.loads(line))
    answers.put(None)
