"""Runs of a job that shall end early: a file in the job's folder, which its owner writes and its process reads.

A run that is stopped is told by `run.stopped`; the file stays, so that an attempt that was killed before finds it.
"""

import json
from pathlib import Path

from engine.core.files import write_json
from engine.jobs.spool import Spool

FILE = "stops.json"  # in a job's folder: run -> why it shall end


def ask(spool: Spool, job_id: str, why: dict[str, str]) -> bool:
    """Ask that runs of a job end early, beside those that were asked before; whether its folder was there."""
    folder = spool.find(job_id)
    if folder is None or folder.parent.name not in ("queued", "active"):
        return False
    there = asked(folder)
    if why.keys() <= there.keys():
        return True
    try:
        write_json(folder / FILE, there | why)
    except FileNotFoundError:  # it has just moved: the next look asks again
        return False
    return True


def asked(folder: Path) -> dict[str, str]:
    """The runs that shall end early, and why. None where nobody asked, or the file cannot be read."""
    try:
        found = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {run: why for run, why in found.items() if isinstance(why, str)} if isinstance(found, dict) else {}
