"""Files of results: JSON, or a JSON object per line, of runs as `submit_runs` takes them. Reads the store.

A file is one run, a list of runs, or {"study", "runs": [...]}, as the client that reports writes it.
"""

import json
from typing import Any

from engine.core.errors import Problem
from engine.core.shown import READS
from store import reported
from store.database import Store

MOST_BYTES = 64 << 20
Run = dict[str, Any]


def runs_in(text: str, name: str) -> list[Run]:
    """The runs in a file of that name; a run without a study of its own has that of its file. Raises Problem."""
    found: list[Run] = []
    for what, one in _values(text, name):
        rows = one.get("runs") if isinstance(one, dict) and "runs" in one else [one] if isinstance(one, dict) else one
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
            raise Problem(
                f'Cannot read {what}: it is neither a run nor a list of runs. Write {{"run": ID, "losses": {{...}}}}.'
            )
        study = {"study": one["study"]} if isinstance(one, dict) and one.get("study") else {}
        found += [{**study, **row} for row in rows]
    if not found:
        raise Problem(f"Cannot read {name}: it is empty.")
    return found


def _values(text: str, name: str) -> list[tuple[str, Any]]:
    """What a file's JSON is, or each of its lines', and what it is called."""
    try:
        return [(name, json.loads(text, **READS))]
    except (ValueError, RecursionError):
        pass
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append((f"line {number} of {name}", json.loads(line, **READS)))
            except (ValueError, RecursionError) as error:
                raise Problem(f"Cannot read line {number} of {name}: it is not JSON ({error}).") from error
    return found


def by_study(store: Store, runs: list[Run]) -> dict[str, list[Run]]:
    """The runs by their study: as they say, else that of the planned run. Raises Problem where nothing tells."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        own = {name: value for name, value in run.items() if name != "study"}
        study = run.get("study") or reported.study_of(store, str(run.get("run")))
        if not isinstance(study, str):
            called = str(run.get("run", run.get("id")))[:80]
            raise Problem(
                f"Cannot tell which study {called!r} is of: no planned run has that id. Name the study in the file."
            )
        found.setdefault(study, []).append(own)
    return found
