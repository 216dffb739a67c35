"""The command line: `mixdesk COMMAND`, or `python -m engine COMMAND`: what the page can start, without the page.

Results are JSON on standard output, progress and errors go to standard error. Exit codes: 0 done,
1 it could not be done (one sentence says why and what to do), 2 the command line was wrong, 130 interrupted (Ctrl-C),
143 and 129 likewise by SIGTERM and SIGHUP.
"""

import argparse
import os
import signal
import sys
from collections.abc import Collection
from contextlib import closing, nullcontext, suppress
from typing import NoReturn

from engine import VERSION
from engine.cli import catalogue
from engine.cli.words import print_json
from engine.core.errors import Problem
from engine.core.files import given_path
from engine.core.shown import bounded
from engine.core.system import like_ctrl_c, sentence_of
from engine.core.workspace import Workspace

QUEUED = "Jobs that were submitted stay queued; the same command goes on with them."
ALONE = "Nothing unfinished was left."


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    options = parser(words).parse_args(words)
    with like_ctrl_c():
        return run(options)


def run(options: argparse.Namespace) -> int:
    """Run the command of parsed options."""
    try:
        result = outcome(options)
        if result is not None:
            print_json(result)
        return 0
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Problem as problem:
        print(f"{problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(bounded(sentence_of(error, f"carry out `{options.command}`")), file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        with suppress(OSError):  # the terminal may be gone
            print(f"Interrupted. {ALONE if options.alone else QUEUED}", file=sys.stderr)
        return 128 + (interrupt.args or (signal.SIGINT,))[0]


def outcome(options: argparse.Namespace) -> object:
    """What the command of parsed options gives, on the workspace that it names."""
    if options.alone:
        return options.run(None, None, options)
    from engine.commands.client import connect  # it reads all that commands do, which --help needs not

    first = Workspace.for_a_first_decision
    opened = first(options.workspace) if options.makes else nullcontext(Workspace.there(options.workspace))
    with opened as workspace, closing(connect(workspace)) as client:
        return options.run(client, workspace, options)


class Parser(argparse.ArgumentParser):
    """A parser that quotes what was given as all messages do: short."""

    def error(self, message: str) -> NoReturn:
        super().error(bounded(message))


# A new command is a function and a line in the `add` of one of the subjects.
def parser(words: Collection[str] | None = None) -> argparse.ArgumentParser:
    """All commands. With some words of a command line, only those that stand there (and others of their subjects) have
    their options: of the others, which are named in the help alone, no file is read."""
    root = Parser(prog="mixdesk", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root.add_argument("--version", action="version", version=VERSION)
    workspace = {"type": given_path, "help": "default: $MIXDESK_WORKSPACE, else ./workspace"}
    root.add_argument("--workspace", **workspace)
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str,
        run,
        help: str,
        study: bool = False,
        wait: bool = False,
        aliases: tuple[str, ...] = (),
        makes: bool = False,
    ):
        """Add one command: run(client, workspace, options) gives what is printed, or None; aliases: old names; makes:
        it makes a workspace where there is none, which a mistyped name must not."""
        one = commands.add_parser(name, help=help, description=help, aliases=aliases)
        one.add_argument("--workspace", default=argparse.SUPPRESS, **workspace)  # before or after the command's name
        if study:
            one.add_argument("study", metavar="STUDY", help="the study's id or name (`list` shows them)")
        if wait:
            one.add_argument("--wait", action="store_true", help="show progress until it is done")
        one.set_defaults(run=run, alone=False, makes=makes)  # alone: it needs no workspace
        return one

    for subject in catalogue.SUBJECTS:
        helps = {} if words is None else catalogue.known().helps[subject]
        names = {name: [name, *catalogue.known().aliases.get(name, ())] for name in helps}
        if words is None or any(one in words for called in names.values() for one in called):
            catalogue.add(subject, command)
        else:
            for name, said in helps.items():
                commands.add_parser(name, help=said, aliases=names[name][1:])
    return root
