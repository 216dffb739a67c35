"""Headless commands: each takes the store and plain values and returns plain values.

The page's process serves the same table over HTTP (dashboard/server/api.py), and `python -m engine` calls it either
there or, if no page runs, in its own process. So a command behaves the same everywhere.

COMMANDS is the table, name -> function; READ_ONLY are the names of those that change nothing, whoever calls them.
"""

from importlib import import_module
from typing import Any

from engine.core.people import only_reads

SUBJECTS = (  # files of this folder
    *("corpora", "tasks", "harness", "jobs", "studies", "rounds", "rivals", "fidelity_lab", "influence", "phases"),
    *("curves", "starts", "ledger", "merges", "imports", "runs", "reviews", "recipes", "tokens"),
)
ALIASES = {"put_forward": "nominate", "wishes": "targets"}  # as versions before 0.3 called them
SECRET = {"create_token"}  # whose answers are shown once and kept nowhere


def __getattr__(name: str) -> Any:
    """The two tables, made when one is first asked for: their files are all of Mixdesk but what jobs compute, and who
    asks a page for an answer needs none of them."""
    if name not in ("COMMANDS", "READ_ONLY"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    subjects = [import_module(f"{__name__}.{subject}") for subject in SUBJECTS]
    commands = {command.__name__: command for subject in subjects for command in subject.COMMANDS}
    globals().update(COMMANDS=commands, READ_ONLY=frozenset(one for one in commands if only_reads(commands[one])))
    return globals()[name]
