"""Pages that follow from the code, the command line's reference and the licences: `python docs/generate.py`. And the
commands' one-line helps, which `mixdesk --help` reads (engine/cli/catalogue.py).

tests/system/test_docs.py fails where a page is no longer what this makes.
"""

import argparse
import re
import sys
from dataclasses import MISSING, fields
from importlib.metadata import distributions
from pathlib import Path
from typing import get_args, get_type_hints

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

GROUPS = {
    "requirements.txt": "What Mixdesk runs on",
    "requirements-agents.txt": "Optional: tools for agents",
    "requirements-harness.txt": "Optional: lm-evaluation-harness",
    "requirements-hub.txt": "Optional: the Hugging Face hub",
    "requirements-kinds.txt": "Optional: the data of `python -m benchmarks.kinds`",
    "requirements-ray.txt": "Optional: Ray",
    "requirements-slurm.txt": "Optional: Slurm",
    "requirements-tasks.txt": "Optional: generators of tasks' items",
    "requirements-transformers.txt": "Optional: language models",
    "requirements-dev.txt": "For tests and checks only",
    "requirements-loaders.txt": "For `make soak` only: the loaders of exports, and what they require",
    "requirements-docs.txt": "For this documentation only",
}


def command_line() -> str:
    """Every command with its arguments and options, from the parser that reads them."""
    from engine.cli.command_line import parser

    root = parser()
    rows = [
        "# The command line\n",
        "Written by `docs/generate.py` from `mixdesk --help`.\n",
        f"```text\n{root.description}```\n",
    ]
    commands = next(one for one in root._actions if isinstance(one, argparse._SubParsersAction))
    names: dict[argparse.ArgumentParser, list[str]] = {}
    for name, command in commands.choices.items():
        names.setdefault(command, []).append(name)
    for command, (name, *older) in names.items():
        also = "".join(f" `{one}` is its older name." for one in older)
        rows += [f"## {name}\n", f"{sentence(command.description or '')}{also}\n", *arguments(command, name)]
    return "\n".join(rows)


def arguments(command: argparse.ArgumentParser, words: str) -> list[str]:
    """A command's usage, a table of what it takes, and its sub-commands."""
    own = [one for one in command._actions if not isinstance(one, argparse._HelpAction) and one.dest != "workspace"]
    inner = [one for one in own if isinstance(one, argparse._SubParsersAction)]
    own = [one for one in own if one not in inner]
    table = [f"| `{spelled(one)}` | {told(one)} |" for one in own]
    rows = [*(["| argument | |", "|---|---|"] if table else []), *table, *([""] if table else [])]
    for group in inner:
        helps = {one.dest: one.help for one in group._choices_actions}
        for name, sub in group.choices.items():
            rows += [
                f"### {words} {name}\n",
                f"{sentence(helps.get(name) or '')}\n",
                *arguments(sub, f"{words} {name}"),
            ]
    return rows


def spelled(one: argparse.Action) -> str:
    """An argument as it is typed."""
    value = one.metavar or ("{" + ",".join(map(str, one.choices)) + "}" if one.choices else one.dest.upper())
    value = " ".join(value) if isinstance(value, tuple) else value
    if not one.option_strings:
        return value
    names = [name for name in one.option_strings if name.startswith("--")] or one.option_strings
    return ", ".join(names) + ("" if one.nargs == 0 else f" {value}")


def told(one: argparse.Action) -> str:
    """What its help says, its default filled in."""
    said = (one.help or "") % {"default": one.default, "prog": "mixdesk"} if one.help else ""
    return said.replace("|", "\\|").replace("\n", " ") + (" (required)" if one.option_strings and one.required else "")


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith((".", "?")) else ".")


def licences() -> str:
    """The licence of every direct requirement, as its own metadata says."""
    rows = [
        "# Licences\n",
        "Mixdesk is under the Apache License 2.0 (`LICENSE`). It ships none of the packages that it requires; their "
        "licences, as their metadata say, written by `docs/generate.py`:\n",
    ]
    for file, title in GROUPS.items():
        rows += [f"## {title} (`{file}`)\n", "| package | licence |", "|---|---|"]
        rows += [f"| {name} | {licence(name)} |" for name in required(file)] + [""]
    return "\n".join(rows)


def required(file: str) -> list[str]:
    """The packages that a file of requirements names itself."""
    lines = [line.strip() for line in (ROOT / file).read_text().splitlines()]
    return [re.split(r"[\[=]", line)[0] for line in lines if line and line[0] not in "#-"]


def licence(name: str) -> str:
    """A package's licence: its SPDX expression, else its classifiers, else the first line that it says itself."""
    found = next(distributions(name=name, path=[*sys.path, str(ROOT / ".venv/loaders")]), None)
    if found is None:  # what only the soak installs: as the page had it
        page = (ROOT / "docs/LICENSES.md").read_text()
        known = re.search(rf"^\| {re.escape(name)} \| (.*) \|$", page, re.M)
        return known[1] if known else "not installed"
    said, files = found.metadata, found.files or ()
    if said.get("License-Expression"):
        return said["License-Expression"]
    named = [one.split(" :: ")[-1] for one in said.get_all("Classifier") or [] if one.startswith("License :: ")]
    named = [one for one in named if one != "OSI Approved"]
    text = next((path.read_text() for path in files if path.name.startswith("LICENSE")), "see the package")
    return ", ".join(named) or (said.get("License") or text).strip().splitlines()[0]


def events() -> str:
    """Every kind of event and of job, from the dataclasses that read them."""
    from engine.jobs.decisions import DECISIONS
    from engine.jobs.events import SHARED
    from engine.jobs.kinds import KINDS, kind_of

    kinds = [kind_of(name) for name in KINDS]
    groups = {
        "What people and the owner decide": DECISIONS,
        "The states and results of jobs and runs": SHARED,
        "Events of one kind of job": [event for kind in kinds for event in kind.events],
    }
    rows = [EVENTS]
    for title, group in groups.items():
        rows += [f"## {title}\n", "| kind | fields | what it says |", "|---|---|---|", *map(record_row, group), ""]
    parts = parts_of(event for group in groups.values() for event in group)
    rows += ["## Parts of events\n", PARTS, "| part | fields | what it says |", "|---|---|---|"]
    rows += [*(record_row(part) for part in parts), ""]
    rows += ["## Kinds of jobs\n", KINDS_OF_JOBS, "| kind | task | what it says |", "|---|---|---|"]
    return "\n".join([*rows, *(record_row(kind.task) for kind in kinds), ""])


EVENTS = """# Events and kinds of jobs

Written by `docs/generate.py`. Everything in the database has been a line in a journal first: a JSON object with the
event's `kind`, the time `t` (seconds since 1970), in the owner's journal `by` (who decided), and the fields below. A
line of an unknown kind, with a missing or unknown field, or with a value of another type is set aside with the reason
and shown on *Studies*; the lines around it are applied. Journals of older versions are read.

Kinds are dataclasses: shared ones in `engine/jobs/events.py`, decisions in `engine/jobs/decisions.py`, and what only
one kind of job writes in that kind's file in `engine/spec/kinds/`. An event becomes the row that its class declares
(`lands`), or `store/events/` has a function for it. One with `settings` (the question) and `found` (the answer) is a
result, a row of the table `results`.
"""
PARTS = """What the lists of runs, jobs and metrics in these events hold. They are read as strictly as the events.
"""
KINDS_OF_JOBS = """A spec has the fields of its task, and the settings that every job may have
([jobs of your own](CLUSTER.md#jobs-of-your-own)). Fields in brackets may be left out.
"""


def parts_of(events) -> list[type]:
    """The records that fields of events hold, each once, in the order in which they are met."""
    from engine.core.records import Record

    found, hints = {}, [hint for event in events for hint in get_type_hints(event).values()]
    while hints:
        hint, *hints = hints
        if isinstance(hint, type) and issubclass(hint, Record):
            found[hint] = None
        hints = [*get_args(hint), *hints]
    return list(found)


def record_row(kind: type) -> str:
    """A row of a table: the kind (a part's class), its fields (those with a default in brackets), its docstring."""
    own = [
        f"`{one.name}`" if one.default is MISSING and one.default_factory is MISSING else f"[`{one.name}`]"
        for one in fields(kind)
    ]
    says = " ".join((kind.__doc__ or "").split()).replace("|", "\\|")
    return f"| `{getattr(kind, 'kind', kind.__name__)}` | {', '.join(own) or 'none'} | {says} |"


def glossary() -> str:
    """The words of the pages, as Help shows them."""
    from dashboard.models.glossary import GLOSSARY

    rows = [f"**{word}**\n: {meaning}\n" for word, meaning in GLOSSARY.items()]
    return "\n".join(["# Glossary\n", "Written by `docs/generate.py` from the words under *Help*.\n", *rows])


def catalogue() -> str:
    """The commands by subject, as `mixdesk --help` lists them."""
    from engine.cli.catalogue import written

    return written()


PAGES = {
    "engine/cli/catalogue.json": catalogue,
    "docs/reference/glossary.md": glossary,
    "docs/reference/command-line.md": command_line,
    "docs/LICENSES.md": licences,
    "docs/EVENTS.md": events,
}


if __name__ == "__main__":
    for place, page in PAGES.items():
        (ROOT / place).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / place).write_text(page())
        print(place)
