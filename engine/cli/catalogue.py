"""The commands of every subject, with their one-line helps: read from a file, so that no subject is read for them.

catalogue.json is written from the subjects by `python docs/generate.py`; tests/system/test_docs.py keeps them equal.
"""

import argparse
import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_suffix(".json")
SUBJECTS = (  # files of this folder, in the order of the help
    *("corpus", "tokenised", "tasks", "studies", "searching", "importing", "submitting", "rounds", "rivals"),
    *("fidelity_lab", "influence", "reviews", "recipes", "merging", "merge_studies", "jobs", "tokens", "backup"),
    "agents",
)


class Catalogue(NamedTuple):
    """helps: subject -> {command: its help}; aliases: command -> its older names."""

    helps: dict[str, dict[str, str]]
    aliases: dict[str, list[str]]


@cache
def known() -> Catalogue:
    """The commands as the file has them."""
    return Catalogue(**json.loads(FILE.read_text()))


def add(subject: str, command) -> None:
    """Read a subject's file, which gives its commands to `command` (engine/cli/command_line.py) with their options."""
    import_module(f"engine.cli.{subject}").add(command)


def written() -> str:
    """What the file has to hold: the commands as the subjects themselves give them."""
    helps: dict[str, dict[str, str]] = {subject: {} for subject in SUBJECTS}
    names: dict[str, tuple[str, ...]] = {}
    for subject in SUBJECTS:

        def command(name: str, run, help: str, *_: Any, aliases=(), of=helps[subject], **__: Any):
            of[name] = help
            names.update({name: aliases} if aliases else {})
            return argparse.ArgumentParser()

        add(subject, command)
    return json.dumps(Catalogue(helps, names)._asdict(), indent=1, ensure_ascii=False) + "\n"
