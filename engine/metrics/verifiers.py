"""Verifiers: what scores an answer that a model wrote, from 0 to 1. A function here, or a program of the workspace.

A program is a file in `verifiers/` of the workspace, which only who has that folder can put there. It reads one JSON
object per line, {"prompt", "answer", "right"}, and writes one number per line. It runs in a process of its own, for so
many seconds, in so much memory (which macOS cannot limit), and is read no further than the numbers that were asked for.
"""

import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engine.core.errors import Problem
from engine.core.workspace import within
from engine.tasks.task import EvalTask

FOLDER = "verifiers"
SECONDS, MEMORY, A_NUMBER = 60, 2 << 30, 64  # of a program: of CPU and of waiting, bytes, and bytes of each number
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")


def exact(prompt: str, answer: str, right: list[str]) -> float:
    """1 for one of the right answers, blanks around it aside."""
    return float(answer.strip() in {text.strip() for text in right})


def last_number(prompt: str, answer: str, right: list[str]) -> float:
    """1 where the last number in the answer is that of a right answer."""
    said, wanted = _number(answer), [_number(text) for text in right]
    return float(said is not None and any(one is not None and math.isclose(one, said) for one in wanted))


def contains(prompt: str, answer: str, right: list[str]) -> float:
    """1 where a right answer stands somewhere in the answer."""
    return float(any(text.strip() in answer for text in right))


VERIFIERS: dict[str, Callable[[str, str, list[str]], float]] = {
    "exact": exact,
    "last_number": last_number,
    "contains": contains,
}


def verdicts(task: EvalTask, samples: Sequence[Sequence[Sequence[str]]], workspace: Path | None = None) -> np.ndarray:
    """(G, I, S) the score of every sample. Raises Problem where the verifier is unknown, fails, or takes too long."""
    name, right = task.sampling.verifier, [item.right for item in task.items]
    asked = [
        (item.prompt, answer, own)
        for model in samples
        for item, own, drawn in zip(task.items, right, model, strict=True)
        for answer in drawn
    ]
    if name in VERIFIERS:
        found = [VERIFIERS[name](*one) for one in asked]
    else:
        found = _by_program(name, asked, workspace)
    return np.array(found, float).reshape(len(samples), len(task.items), -1)


def check_verifier(name: str, workspace: Path) -> None:
    """Raise Problem if there is no verifier of that name."""
    if name not in VERIFIERS:
        _program(name, workspace)


def _program(name: str, workspace: Path | None) -> Path:
    folder = None if workspace is None else workspace / FOLDER
    path = None if folder is None else within(folder, name)
    if path is None or not path.is_file() or path.is_symlink():
        raise Problem(
            f"Cannot find the verifier {name!r}. Use one of {', '.join(VERIFIERS)}, or put a program of that name into "
            f"the folder {FOLDER} of the workspace."
        )
    return path


def _by_program(name: str, asked: list[tuple[str, str, list[str]]], workspace: Path | None) -> list[float]:
    path = _program(name, workspace)
    command = [sys.executable, "-I", str(path)] if path.suffix == ".py" else [str(path)]
    lines = (json.dumps({"prompt": prompt, "answer": answer, "right": right}) for prompt, answer, right in asked)
    with tempfile.TemporaryDirectory() as folder:
        given, said = Path(folder, "given"), Path(folder, "said")
        given.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        most = A_NUMBER * (len(asked) + 1)
        with given.open("rb") as read, said.open("wb") as written:
            code = _run(command, read, written, folder, most, name)
        text = said.read_bytes()[:most].decode("utf-8", "replace")
    if code != 0:
        why = f"it ended with {code}" if code > 0 else f"it was ended by {signal.Signals(-code).name}"
        raise Problem(
            f"Cannot score answers by the verifier {name!r}: {why}. It has {SECONDS} seconds of CPU, {MEMORY >> 30} GB "
            f"of memory, and {A_NUMBER} bytes for each number. Run it by hand on a line of JSON."
        )
    return _numbers(text, len(asked), name)


def _run(command: list[str], read: BinaryIO, written: BinaryIO, folder: str, most: int, name: str) -> int:
    """The exit status of a program that runs within limits, and whose children end with it."""

    def limits() -> None:
        for kind, limit in (
            (resource.RLIMIT_CPU, SECONDS),
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_FSIZE, most),
        ):
            with suppress(ValueError):  # a lower limit holds already, or the system has none of that kind
                resource.setrlimit(kind, (limit, limit))

    try:
        child = subprocess.Popen(
            command,
            stdin=read,
            stdout=written,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", "")},
            start_new_session=True,
            preexec_fn=limits,
        )
    except OSError as error:
        raise Problem(
            f"Cannot run the verifier {name!r}: {error.strerror}. Make it a program (chmod +x), or a .py file."
        ) from error
    try:
        return child.wait(2 * SECONDS)
    except subprocess.TimeoutExpired:
        raise Problem(
            f"Cannot score answers by the verifier {name!r}: it had not ended after {2 * SECONDS} seconds. Let it read "
            "each line, write a number, and end where its input ends."
        ) from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _numbers(text: str, count: int, name: str) -> list[float]:
    """As many numbers from 0 to 1 as were asked for."""
    lines = text.split()
    try:
        found = [float(line) for line in lines]
    except ValueError:
        wrong = next(line for line in lines if _plain(line) is None)
        raise Problem(f"Cannot score answers by the verifier {name!r}: it said {wrong!r:.60}, not a number.") from None
    if len(found) != count:
        raise Problem(
            f"Cannot score answers by the verifier {name!r}: it wrote {len(found)} numbers for {count} answers."
        )
    if outside := [one for one in found if not 0 <= one <= 1]:
        raise Problem(f"Cannot score answers by the verifier {name!r}: it said {outside[0]:g}; a score is from 0 to 1.")
    return found


def _plain(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _number(text: str) -> float | None:
    found = NUMBER.findall(text)
    return _plain(found[-1].replace(",", "")) if found else None
