"""The command `count-tokens`: how much pre-tokenised text there is of each domain, where it lies."""

import json
from pathlib import Path

from engine.cli.files import new_output
from engine.cli.numbers import whole_given
from engine.cli.words import pairs
from engine.core.errors import Problem
from engine.core.files import given_path, replacing
from engine.corpus.token_formats import FORMATS, Counted, How, counted
from engine.corpus.token_formats.base import WIDTHS


def add(command) -> None:
    said = "count the tokens of each domain in another tool's files, by their headers: nothing is copied"
    one = command("count-tokens", count, said)
    one.set_defaults(alone=True)
    one.add_argument("--format", choices=list(FORMATS), required=True, help="of the files")
    said = "a domain's files: a path, a pattern or a folder; several with commas; repeat"
    one.add_argument("domain", metavar="DOMAIN=PATH,...", nargs="+", help=said)
    one.add_argument("--dtype", choices=list(WIDTHS), help="of tokens in files that do not say it")
    one.add_argument("--column", help="that holds the tokens (mds, arrow; default: tokens or input_ids)")
    one.add_argument(
        "--end-token", type=whole_given, metavar="ID", help="what ends a document, to check that it is there"
    )
    one.add_argument(
        "--vocabulary", type=whole_given, metavar="N", help="of the tokenizer, to check that no token is beyond it"
    )
    said = "write the counts, as `start --available-tokens` takes them"
    one.add_argument("--out", type=given_path, metavar="FILE", help=said)
    one.add_argument("--force", action="store_true", help="overwrite an existing file")


def count(client, workspace, options):
    """Count, and write the counts."""
    how = How(options.dtype, options.end_token, options.vocabulary, options.column)
    if options.out is not None:
        new_output(options.out, options.force)
    found: dict[str, Counted] = {}
    for domain, paths in pairs(options.domain).items():
        found[domain] = counted(options.format, paths.split(","), how)
        if not found[domain].tokens:
            raise Problem(f"Cannot use the domain {domain!r}: its files hold no tokens. Leave it out, or name others.")
    if options.out is not None:
        write(options.out, found)
    rows = {name: {**one._asdict(), "tokens_per_document": per_document(one)} for name, one in found.items()}
    return {"domains": rows, "tokens": sum(one.tokens for one in found.values())}


def per_document(one: Counted) -> float | None:
    """Mean tokens of a document, None where documents were not counted."""
    return one.tokens / one.documents if one.documents else None


def write(path: Path, found: dict[str, Counted]) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps({name: one.tokens for name, one in found.items()}, indent=1) + "\n")
