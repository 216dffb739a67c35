"""Evaluators: programs of the workspace that get a merged checkpoint and tell its metrics.

A program is a file in `evaluators/` of the workspace, which only who has that folder can put there. It is run as

    PROGRAM --checkpoint FOLDER --out RESULT.json

FOLDER is a Hugging Face folder, gone when the program has ended. It writes RESULT.json: {"metrics": {name: number},
"stderr": {name: number}}, where stderr may be left out. It may serve FOLDER by vLLM, ask lm-evaluation-harness, or
measure a speed. What it prints goes to the job's log; it keeps its environment, and ends with the job.
"""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.core.errors import Problem
from engine.core.shown import READS
from engine.core.workspace import within

FOLDER = "evaluators"
LOOK_SECONDS = 0.2
LARGEST = 1 << 20  # bytes of a result


def program_of(name: str, workspace: Path) -> Path:
    """The path of an evaluator. Raises Problem if there is none of that name."""
    path = within(workspace / FOLDER, name)
    if not path.is_file() or path.is_symlink():
        raise Problem(
            f"Cannot find the evaluator {name!r}: put a program of that name into the folder {FOLDER} of the workspace."
        )
    return path


def evaluated(
    name: str, metrics: Sequence[str], workspace: Path, checkpoint: Path, beat: Callable[[], None]
) -> tuple[list[float], list[float]]:
    """The metrics of a checkpoint by a program, and their standard errors, NaN where it tells none.

    beat: called while it runs; may raise Stopped. Raises Problem if it fails, or tells something else.
    """
    path, out = program_of(name, workspace), checkpoint.parent / f"{checkpoint.name}-{name}.json"
    command = [sys.executable, str(path)] if path.suffix == ".py" else [str(path)]
    out.unlink(missing_ok=True)
    code = run([*command, "--checkpoint", str(checkpoint), "--out", str(out)], checkpoint.parent, name, beat)
    try:
        if code != 0:
            why = f"it ended with {code}" if code > 0 else f"it was ended by {signal.Signals(-code).name}"
            raise Problem(f"Cannot measure by the evaluator {name!r}: {why}. The job's log has what it printed.")
        return read(out, metrics, name)
    finally:
        out.unlink(missing_ok=True)


def run(command: list[str], folder: Path, name: str, beat: Callable[[], None]) -> int:
    """The exit status of a program whose children end with it, and that ends where `beat` raises."""
    try:
        child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        raise Problem(
            f"Cannot run the evaluator {name!r}: {error.strerror}. Make it a program (chmod +x), or a .py file."
        ) from error
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(LOOK_SECONDS)
            beat()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def read(out: Path, metrics: Sequence[str], name: str) -> tuple[list[float], list[float]]:
    """The result that a program wrote. Raises Problem that says what is wrong with it."""
    told = f"Cannot measure by the evaluator {name!r}"
    if not out.is_file() or out.is_symlink():
        raise Problem(f"{told}: it ended without writing the result whose path it was given.")
    if out.stat().st_size > LARGEST:
        raise Problem(f"{told}: its result is larger than {LARGEST >> 20} MB. Write the metrics only.")
    try:
        found: Any = json.loads(out.read_text("utf-8"), **READS)
    except (ValueError, RecursionError) as error:
        raise Problem(f"{told}: its result is not JSON ({error}).") from None
    values = found.get("metrics") if isinstance(found, dict) else None
    errors = found.get("stderr", {}) if isinstance(found, dict) else None
    if not isinstance(values, dict) or not isinstance(errors, dict):
        raise Problem(f'{told}: its result has no "metrics" by name. Write {{"metrics": {{"name": 0.5}}}}.')
    if missing := [one for one in metrics if one not in values]:
        there = ", ".join(map(str, values)) or "none"
        raise Problem(f"{told}: it told nothing of {missing[0]!r}. The metrics that it told are {there}.")
    spread = [number(errors[one], one, name) if errors.get(one) is not None else math.nan for one in metrics]
    return [number(values[one], one, name) for one in metrics], spread


def number(value: object, metric: str, name: str) -> float:
    """A number. Raises Problem for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e100:
        raise Problem(f"Cannot measure by the evaluator {name!r}: {value!r:.60} of {metric!r} is not a number.")
    return float(value)
