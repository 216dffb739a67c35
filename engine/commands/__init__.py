"""Headless commands: each takes the store and plain values and returns plain values.

The page's process serves the same table over HTTP (dashboard/server/api.py), and `python -m engine` calls it either
there or, if no page runs, in its own process. So a command behaves the same everywhere.
"""

from collections.abc import Callable

from engine.commands import corpora, imports, jobs, merges, recipes, reviews, rounds, runs, studies, tokens
from engine.core.errors import Missing

COMMANDS = {
    command.__name__: command
    for subject in (corpora, jobs, studies, rounds, merges, imports, runs, reviews, recipes, tokens)
    for command in subject.COMMANDS
}
ALIASES = {"put_forward": "nominate", "wishes": "targets"}  # as versions before 0.3 called them


def command_of(name: str) -> Callable:
    """A command by its name, or by an older one. Raises Missing if there is none."""
    function = COMMANDS.get(ALIASES.get(name, name))
    if function is None:
        raise Missing(f"There is no command {name!r}. Commands: {', '.join(COMMANDS)}.")
    return function
