"""Headless commands: each takes the store and plain values and returns plain values.

The page's process serves the same table over HTTP (dashboard/server/api.py), and `python -m engine` calls it either
there or, if no page runs, in its own process. So a command behaves the same everywhere.
"""

from engine.commands import (
    corpora,
    curves,
    fidelity_lab,
    harness,
    imports,
    influence,
    jobs,
    ledger,
    merges,
    phases,
    recipes,
    reviews,
    rivals,
    rounds,
    runs,
    starts,
    studies,
    tasks,
    tokens,
)
from engine.core.people import only_reads

SUBJECTS = (
    *(corpora, tasks, harness, jobs, studies, rounds, rivals, fidelity_lab, influence, phases, curves, starts),
    *(ledger, merges, imports, runs, reviews, recipes, tokens),
)
COMMANDS = {command.__name__: command for subject in SUBJECTS for command in subject.COMMANDS}
ALIASES = {"put_forward": "nominate", "wishes": "targets"}  # as versions before 0.3 called them

# They change nothing, whoever calls them.
READ_ONLY = frozenset(name for name, command in COMMANDS.items() if only_reads(command))
