"""Live measurement of merges while a fader moves: one process per study, with its experts in memory.

A process starts on a study's first request, and ends when it is idle for a while, or when others need its place.
Measured points are cached, so going back is free. No torch here.
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

from engine.core.errors import Problem
from engine.core.files import CHECKOUT
from engine.jobs.supervisor import CHILD_ENVIRONMENT
from engine.spec.tasks import Merging

IDLE_SECONDS = 300.0
MOST = 4  # processes: some 300 MB each
REMEMBERED = 4096


@dataclass(frozen=True)
class Measured:
    """Losses of one merge (M,), bits per byte, and their standard errors over validation windows (M,); bits of every
    token of the corpus' passages (P, T), in half precision (engine.corpus.passages); missing: why some losses are NaN,
    a sentence each."""

    losses: np.ndarray
    losses_se: np.ndarray
    passages: np.ndarray
    missing: tuple[str, ...] = ()

    @classmethod
    def from_answer(cls, answer: dict) -> "Measured":
        """Of one merge, as its process tells it."""
        losses, errors = np.array(answer["losses"][0]), np.array(answer["losses_se"][0])
        return cls(losses, errors, np.array(answer["passages"], np.float16), tuple(answer["missing"]))


Found = Measured | np.ndarray | Problem


class Live:
    """At most MOST processes. Thread-safe: sessions share it."""

    def __init__(self, workspace: Path):
        self.workspace = workspace
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple, Found] = OrderedDict()
        self._processes: OrderedDict[str, Process] = OrderedDict()  # by study; the most recently used is last

    def measure(self, task: Merging, point: np.ndarray, tokens: int, patience: float = 0.8) -> Measured | None:
        """The losses of the merge at a point (D,) on that many validation tokens per domain; None while it is not
        ready: ask again. task: of the study's merge jobs. Raises Problem if it cannot be measured.
        """
        return self._answered(task, point, {"tokens": tokens}, patience)

    def sample(self, task: Merging, point: np.ndarray, passage: int, seed: int, patience: float) -> np.ndarray | None:
        """Tokens with which the merge at a point (D,) goes on after half of a passage; None and problems as above."""
        return self._answered(task, point, {"passage": passage, "seed": seed}, patience)

    def _answered(self, task: Merging, point: np.ndarray, what: dict, patience: float):
        """What is asked of the merge at a point, from what is known or from the study's process."""
        asked = {"merge": task.merge, "names": task.names, **what}
        key = (task.study, json.dumps(asked), tuple(np.round(point, 6).tolist()))
        if key not in self._known:
            with self._lock:
                process, deadline = self._serving(task), time.monotonic() + patience
                try:
                    self._known |= process.taken(deadline)
                    if process.is_free and key not in self._known:
                        process.ask(key, {"points": [list(key[2])], **asked})
                        self._known |= process.taken(deadline)
                except Problem:
                    self._processes.pop(task.study).end()
                    raise
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        found = self._known.get(key)
        if isinstance(found, Problem):
            raise Problem(str(found))
        return found

    def _serving(self, task: Merging) -> "Process":
        """The process of a study, started if needed; the least recently used one makes room."""
        for study, process in list(self._processes.items()):
            if not process.runs:
                del self._processes[study]
        study = task.study
        if study not in self._processes:
            if len(self._processes) >= MOST:
                self._processes.popitem(last=False)[1].end()
            self._processes[study] = Process(self.workspace, task)
            threading.Thread(target=self._end_when_idle, args=(self._processes[study],), daemon=True).start()
        self._processes.move_to_end(study)
        self._processes[study].asked = time.monotonic()
        return self._processes[study]

    def _end_when_idle(self, process: "Process") -> None:
        while process.runs:
            time.sleep(5)
            with self._lock:
                if time.monotonic() - process.asked > IDLE_SECONDS:
                    process.end()

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            for process in self._processes.values():
                process.end()
            self._processes.clear()


class Process:
    """One `engine.merging.measuring.live_process`: it keeps a study's experts, and measures one merge at a time."""

    def __init__(self, workspace: Path, task: Merging):
        command = [sys.executable, "-m", "engine.merging.measuring.live_process", str(workspace)]
        self.process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **CHILD_ENVIRONMENT},
        )
        self.answers: queue.Queue = queue.Queue()
        self.asked, self.ready, self.owed = time.monotonic(), False, None  # the key of the point being measured
        threading.Thread(target=_listen, args=(self.process, self.answers), daemon=True).start()
        self._send(task.to_dict())

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    @property
    def is_free(self) -> bool:
        """Whether it is ready and measures nothing."""
        return self.ready and self.owed is None

    def ask(self, key: tuple, asked: dict) -> None:
        """Request the measurement of one point; `key` names its answer."""
        self._send(asked)
        self.owed = key

    def taken(self, deadline: float) -> "dict[tuple, Found]":
        """Its answers, waiting until the deadline. Raises Problem if it failed."""
        found: dict[tuple, Found] = {}
        while not self.is_free and (left := deadline - time.monotonic()) > 0:
            try:
                answer = self.answers.get(timeout=left)
            except queue.Empty:
                break
            if answer is None or "error" in answer:
                reason = answer["error"] if answer else "its process ended. Move a fader to try again."
                raise Problem(f"Cannot measure merges live: {reason}")
            if "ready" in answer:
                self.ready = True
                continue
            found[self.owed] = found_in(answer)
            self.owed = None
        return found

    def _send(self, asked: dict) -> None:
        try:
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise Problem(f"Cannot measure merges live: {error}. Move a fader to try again.") from error

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def found_in(answer: dict) -> Found:
    """What a process found: losses, or tokens, or why the method refuses the merge."""
    if answer["refused"]:
        return Problem(answer["refused"])
    if "sample" in answer:
        return np.array(answer["sample"])
    return Measured.from_answer(answer)


def _listen(process: subprocess.Popen, answers: queue.Queue) -> None:
    """Queue each answer; None at the end."""
    for line in process.stdout:
        answers.put(json.loads(line))
    answers.put(None)
