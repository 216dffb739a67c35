"""Headless commands: each takes the store and plain values and returns plain values.

The page's process serves the same table over HTTP (dashboard/server/api.py), and `python -m engine` calls it either
there or, if no page runs, in its own process. So a command behaves the same everywhere.
"""

from engine.commands import corpora, imports, jobs, merges, recipes, reviews, rounds, runs, studies, tokens

COMMANDS = {
    command.__name__: command
    for subject in (corpora, jobs, studies, rounds, merges, imports, runs, reviews, recipes, tokens)
    for command in subject.COMMANDS
}
