"""Evaluators: programs of the workspace that get a merged checkpoint and tell its metrics.

A program is a file in `evaluators/` of the workspace, which only who has that folder can put there. It is run as

    PROGRAM --checkpoint FOLDER --out RESULT.json

FOLDER is a Hugging Face folder, gone when the program has ended. It writes RESULT.json: {"metrics": {name: number},
"stderr": {name: number}}, where stderr may be left out. It may serve FOLDER by vLLM, ask lm-evaluation-harness, or
measure a speed. What it prints goes to the job's log; it keeps its environment, and ends with the job.
"""

import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.core.errors import Problem
from engine.core.shown import READS
from engine.metrics import programs
from engine.metrics.programs import Program

FOLDER = "evaluators"
LARGEST = 1 << 20  # bytes of a result


def program_of(name: str, workspace: Path) -> Program:
    """An evaluator. Raises Problem if there is none of that name, or it is no program."""
    if (path := programs.find(workspace, FOLDER, name)) is None:
        raise Problem(
            f"Cannot find the evaluator {name!r}: put a program of that name into the folder {FOLDER} of the workspace."
        )
    program = Program("evaluator", name, path)
    program.check()
    return program


def evaluated(
    name: str, metrics: Sequence[str], workspace: Path, checkpoint: Path, beat: Callable[[], None]
) -> tuple[list[float], list[float]]:
    """The metrics of a checkpoint by a program, and their standard errors, NaN where it tells none.

    beat: called while it runs; may raise Stopped. Raises Problem if it fails, or tells something else.
    """
    program, out = program_of(name, workspace), checkpoint.parent / f"{checkpoint.name}-{name}.json"
    command = [*program.command(), "--checkpoint", str(checkpoint), "--out", str(out)]
    out.unlink(missing_ok=True)
    code = programs.run(program, command, checkpoint.parent, beat=beat)
    try:
        if code != 0:
            raise Problem(
                f"Cannot measure by the evaluator {name!r}: {programs.ended(code)}. The job's log has what it printed."
            )
        return read(out, metrics, name)
    finally:
        out.unlink(missing_ok=True)


def try_evaluators(
    evaluators: Mapping[str, Mapping[str, str]], workspace: Path, base: Path, beat: Callable[[], None]
) -> None:
    """Ask each of a study's programs (engine.spec.merge.MergeSpec) for its metrics of a checkpoint that is there.

    They get links to its files, in a folder of their own. Raises Problem if one fails, or tells something else.
    """
    for name, metrics in evaluators.items():
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "checkpoint"
            checkpoint.mkdir()
            for file in base.resolve().iterdir():
                (checkpoint / file.name).symlink_to(file.resolve())
            try:
                evaluated(name, list(metrics), workspace, checkpoint, beat)
            except Problem as problem:
                raise Problem(
                    f"{problem} It was tried on the base, and nothing is merged before it tells its metrics of that: "
                    "fix it, then retry this job."
                ) from problem


def programs_in(workspace: Path) -> list[str]:
    """The names of the programs that can be evaluators, sorted."""
    return programs.names_in(workspace, FOLDER)


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
