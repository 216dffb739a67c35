"""Commands about recipes: which formats there are for a mixture, and its files."""

import base64
from pathlib import Path

from engine.cli.words import numbers, pairs
from engine.core.errors import Problem


def add(command) -> None:
    from engine.recipes import FORMATS, MERGE_FORMATS

    one = command("export", export, "write a mixture in a loader's format", study=True)
    choices = ("all", *dict.fromkeys([*FORMATS, *MERGE_FORMATS]))
    one.add_argument(
        "--format", choices=choices, required=True, help="all: every format that can hold it, one folder each"
    )
    point_of(one)
    one.add_argument("--tokens", type=float, help="budget of the real training run (default: the study's)")
    one.add_argument("--path", action="append", default=[], metavar="NAME=PATH", help="data path of a domain; repeat")
    one.add_argument("--out", type=Path, default=Path("recipe"), help="folder to write into (default: %(default)s)")
    one.add_argument("--force", action="store_true", help="overwrite existing files")
    point_of(command("formats", formats, "what each format counts, and what it cannot express", study=True))


def point_of(one) -> None:
    one.add_argument(
        "--candidate",
        default="best",
        help="a candidate's name or id, best (of the latest search), natural, uniform, unimax, or a run's id",
    )
    lengths = "mean length, for formats that count rows (default: the corpus'); repeat"
    one.add_argument("--tokens-per-document", action="append", default=[], metavar="NAME=NUMBER", help=lengths)


def formats(client, workspace, options):
    given = {"candidate": options.candidate, "tokens_per_document": numbers(options.tokens_per_document) or None}
    return client.call("formats", name=options.study, **given)


def export(client, workspace, options):
    wanted, refused = [options.format], {}
    if options.format == "all":
        there = formats(client, workspace, options)
        wanted = [name for name, one in there.items() if not one["problem"]]
        refused = {name: one["problem"] for name, one in there.items() if one["problem"]}
    files: dict[Path, bytes] = {}
    for format in wanted:
        folder = options.out / format if options.format == "all" else options.out
        made = client.call(
            "export",
            name=options.study,
            format=format,
            candidate=options.candidate,
            tokens=options.tokens,
            paths=pairs(options.path) or None,
            tokens_per_document=numbers(options.tokens_per_document) or None,
        )
        files |= {folder / name: text.encode() for name, text in made["files"].items()}
        files |= {folder / name: base64.b64decode(text) for name, text in made["binary"].items()}
    write(files, options.force)
    told = {"written": [str(path) for path in files]}
    return told | ({"refused": refused} if refused else {})


def write(files: dict[Path, bytes], force: bool) -> None:
    """Write all files, or none if one exists. Raises Problem."""
    taken = [path for path in files if path.exists()]
    if taken and not force:
        raise Problem(f"Cannot write {taken[0]}: it exists. Choose another --out, or add --force.")
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
