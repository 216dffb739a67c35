"""What commands share: NAME=VALUE pairs, priorities of metrics, printed results, and commands that only ask."""

import json
import sys

from engine.core.errors import Problem
from engine.core.shown import number


def print_json(result: object) -> None:
    """Print a result as JSON, with JSON's own escapes where the terminal's encoding has not all of its letters."""
    text = json.dumps(result, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(result, indent=2)
    print(text, flush=True)


def pairs(entries) -> dict[str, str]:
    """{name: value} of entries NAME=VALUE. Raises Problem if one is invalid, or a name is given twice."""
    found: dict[str, str] = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        if not name or not value:
            raise Problem(f"Cannot read {entry!r}: write it as NAME=VALUE, such as python=2 or web=web.jsonl.")
        if name in found:
            raise Problem(f"Cannot set {name!r} to both {found[name]} and {value}: give it once.")
        found[name] = value
    return found


def numbers(entries) -> dict[str, float]:
    """{name: number} of entries NAME=NUMBER. Raises Problem if one is invalid."""
    try:
        return {name: number(value) for name, value in pairs(entries).items()}
    except ValueError as error:
        raise Problem(f"Cannot read the numbers: {error}. Write them as NAME=NUMBER, such as python=2.") from error


def priority_option(one) -> None:
    """--priority, for commands that weigh the metrics; `priorities` reads it."""
    said = "how much a metric counts; repeat (default: the study's own)"
    one.add_argument("--priority", action="append", default=[], metavar="METRIC=WEIGHT", help=said)


def priorities(options) -> dict[str, float] | None:
    """{metric: weight} of the options; None for the study's own."""
    return numbers(options.priority) or None


def phase_option(one, what: str) -> None:
    """--phase, for commands that take a schedule; `phases` reads it."""
    said = f"{what}, such as web=0.7,code=0.3; once for each phase, in their order"
    one.add_argument("--phase", action="append", default=[], metavar="NAME=SHARE,...", help=said)


def phases(options) -> list[dict[str, float]] | None:
    """The shares of every phase that the options give; None for no schedule."""
    return [numbers(part.split(",")) for part in options.phase] or None


def limit_option(one) -> None:
    """--limit, for what keeps limits on metrics; `numbers` reads it."""
    said = "a loss at most, a score at least, kept with a probability of 90%%; repeat"
    one.add_argument("--limit", action="append", default=[], metavar="METRIC=VALUE", help=said)


def plain(command: str):
    """A command that only asks: with a study's name where it takes one."""

    def run(client, workspace, options):
        return client.call(command, **({"name": options.study} if hasattr(options, "study") else {}))

    return run
