"""Verifiers: what scores an answer that a model wrote, from 0 to 1. A function here, or a program of the workspace.

A program is a file in `verifiers/` of the workspace, which only who has that folder can put there. It reads one JSON
object per line, {"prompt", "answer", "right"}, and writes one number per line. It runs in a process of its own, for so
many seconds, in so much memory (which macOS cannot limit), and is read no further than the numbers that were asked for.
"""

import json
import math
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from resource import RLIMIT_AS, RLIMIT_CPU, RLIMIT_FSIZE

import numpy as np

from engine.core.errors import Problem
from engine.metrics import programs
from engine.metrics.programs import Limits, Program, Streams
from engine.tasks.task import EvalTask

FOLDER = "verifiers"
SECONDS, MEMORY, A_NUMBER = 60, 2 << 30, 64  # of a program: of CPU and of waiting, bytes, and bytes of each number
HUNG: set[Program] = set()  # what had not ended in time, in this process; asked again only where it is tried
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


Answer = tuple[str, str, list[str]]  # a prompt, an answer to it, and the right ones


def verdicts(
    task: EvalTask,
    samples: Sequence[Sequence[Sequence[str]]],
    workspace: Path | None = None,
    beat: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """(G, I, S) the score of every sample. beat: called while a program runs; may raise Stopped.

    Raises Problem where the verifier is unknown, fails, or takes too long.
    """
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
        found = _by_program(name, asked, workspace, beat)
    return np.array(found, float).reshape(len(samples), len(task.items), -1)


def check_verifier(name: str, workspace: Path) -> None:
    """Raise Problem if there is no verifier of that name, or it is no program."""
    if name not in VERIFIERS:
        _program(name, workspace).check()


def programs_in(workspace: Path) -> list[str]:
    """The names of the programs that can be verifiers, sorted."""
    return programs.names_in(workspace, FOLDER)


def try_verifier(task: EvalTask, workspace: Path, beat: Callable[[], None] = lambda: None) -> float:
    """What the verifier of a task says of the right answer to its first item, within the limits that it has for all.
    One that hung before is asked again.

    Raises Problem where it fails on that already.
    """
    name, first = task.sampling.verifier, task.items[0]
    if name in VERIFIERS:
        return VERIFIERS[name](first.prompt, first.gold, first.right)
    HUNG.discard(_program(name, workspace))
    return _by_program(name, [(first.prompt, first.gold, first.right)], workspace, beat)[0]


def _program(name: str, workspace: Path | None) -> Program:
    if (path := programs.find(workspace, FOLDER, name)) is None:
        raise Problem(
            f"Cannot find the verifier {name!r}. Use one of {', '.join(VERIFIERS)}, or put a program of that name into "
            f"the folder {FOLDER} of the workspace."
        )
    return Program("verifier", name, path)


def _by_program(name: str, asked: list[Answer], workspace: Path | None, beat: Callable[[], None]) -> list[float]:
    program, said_of_it = _program(name, workspace), f"Cannot score answers by the verifier {name!r}:"
    if program in HUNG:
        raise Problem(
            f"{said_of_it} it had not ended after {2 * SECONDS} seconds on answers before these, and this job does not "
            "ask it again."
        )
    lines = (json.dumps({"prompt": prompt, "answer": answer, "right": right}) for prompt, answer, right in asked)
    with tempfile.TemporaryDirectory() as folder:
        given, said = Path(folder, "given"), Path(folder, "said")
        given.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        most = A_NUMBER * (len(asked) + 1)
        with given.open("rb") as read, said.open("wb") as written:
            limits = Limits(2 * SECONDS, {RLIMIT_CPU: SECONDS, RLIMIT_AS: MEMORY, RLIMIT_FSIZE: most})
            streams = Streams(read, written, subprocess.DEVNULL)
            command = program.command("-I")
            try:
                code = programs.run(program, command, folder, limits, streams, programs.least_environment(), beat)
            except programs.TookTooLong:
                HUNG.add(program)
                raise Problem(
                    f"{said_of_it} it had not ended after {2 * SECONDS} seconds. Let it read each line, write a "
                    "number, and end where its input ends."
                ) from None
        text = said.read_bytes()[:most].decode("utf-8", "replace")
    if code != 0:
        raise Problem(
            f"{said_of_it} {programs.ended(code)}. It has {SECONDS} seconds of CPU, {MEMORY >> 30} GB of memory, and "
            f"{A_NUMBER} bytes for each number. Run it by hand on a line of JSON."
        )
    return _numbers(text, len(asked), name)


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
