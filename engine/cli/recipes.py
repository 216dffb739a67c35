"""Commands about recipes: which formats there are for a mixture, its files, and those of a whole design."""

import base64
import json
from pathlib import Path

from engine.cli.files import new_output
from engine.cli.numbers import number_given
from engine.cli.words import numbers, pairs
from engine.core.errors import Problem
from engine.core.files import given_path, refuse_below, replacing


def add(command) -> None:
    from engine.recipes import FORMATS, MERGE_FORMATS

    one = command("export", export, "write a mixture in a loader's format", study=True)
    choices = ("all", *dict.fromkeys([*FORMATS, *MERGE_FORMATS]))
    one.add_argument(
        "--format", choices=choices, required=True, help="all: every format that can hold it, one folder each"
    )
    point_of(one)
    one.add_argument("--tokens", type=number_given, help="budget of the real training run (default: the study's)")
    one.add_argument("--path", action="append", default=[], metavar="NAME=PATH", help="data path of a domain; repeat")
    one.add_argument(
        "--out", type=given_path, default=Path("recipe"), help="folder to write into (default: %(default)s)"
    )
    one.add_argument("--force", action="store_true", help="overwrite existing files")
    said = "write the planned runs of an external trainer's study in a loader's format, with a manifest"
    design_options(command("export-design", export_design, said, study=True), FORMATS)
    rehearse_options(
        command("rehearse", rehearse, "what a format's loader would make of a mixture", study=True), FORMATS
    )
    point_of(command("formats", formats, "what each format counts, and what it cannot express", study=True))


def point_of(one) -> None:
    one.add_argument(
        "--candidate",
        default="best",
        help="a candidate's name or id, best (predicted, by the study's own priorities), natural, uniform, unimax, "
        "or a run's id",
    )
    lengths_of(one)


def lengths_of(one) -> None:
    lengths = "mean length, for formats that count rows (default: the corpus'); repeat"
    one.add_argument("--tokens-per-document", action="append", default=[], metavar="NAME=NUMBER", help=lengths)


def design_options(one, formats) -> None:
    one.add_argument("--format", choices=tuple(formats), required=True, help="of every run's recipe")
    said = "only this run; repeat (default: all that await results)"
    one.add_argument("--run", dest="planned", action="append", default=[], metavar="ID", help=said)
    one.add_argument("--path", action="append", default=[], metavar="NAME=PATH", help="data path of a domain; repeat")
    one.add_argument(
        "--out", type=given_path, default=Path("design"), help="folder to write into (default: %(default)s)"
    )
    one.add_argument("--force", action="store_true", help="overwrite existing files")
    lengths_of(one)


def rehearse_options(one, formats) -> None:
    one.add_argument("--format", choices=tuple(formats), required=True, help="by whose rule")
    one.add_argument("--context", type=int, default=4096, help="tokens of a sample (default: %(default)s)")
    one.add_argument("--tokens", type=number_given, help="budget of the real training run (default: the study's)")
    said = "JSON of {domain: [tokens of each document]} (default: those of the corpus)"
    one.add_argument("--lengths", type=given_path, metavar="FILE", help=said)
    one.add_argument("--seed", type=int, default=0, help="of what is drawn by chance (default: %(default)s)")
    point_of(one)


def rehearse(client, workspace, options):
    """What a loader would do, as the command's answer."""
    return client.call(
        "rehearse",
        name=options.study,
        format=options.format,
        context=options.context,
        candidate=options.candidate,
        tokens=options.tokens,
        tokens_per_document=numbers(options.tokens_per_document) or None,
        lengths=None if options.lengths is None else lengths_in(options.lengths),
        seed=options.seed,
    )


def lengths_in(path: Path) -> dict[str, list[float]]:
    """The lengths of documents in a file, by domain. Raises Problem for a file that holds none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Problem(f"Cannot read lengths from {str(path)!r}: {error}.") from error
    if not isinstance(told, dict) or not all(isinstance(one, list) for one in told.values()):
        raise Problem(f"Cannot read lengths from {str(path)!r}: it must be {{domain: [tokens of each document]}}.")
    return told


def formats(client, workspace, options):
    given = {"candidate": options.candidate, "tokens_per_document": numbers(options.tokens_per_document) or None}
    return client.call("formats", name=options.study, **given)


def export(client, workspace, options):
    refuse_below(options.out)
    if options.format == "all":
        files, refused = files_of_all(client, workspace, options)
    else:
        files, refused = files_in(client, options, options.format, options.out), {}
    write(files, options.out, options.force)
    result = {"written": [str(path) for path in files]}
    return result | ({"refused": refused} if refused else {})


def files_of_all(client, workspace, options) -> tuple[dict[Path, bytes], dict[str, str]]:
    """The files of every format that can hold the recipe, a folder each, and why the others cannot. Raises Problem if
    none can."""
    there = formats(client, workspace, options)
    refused = {name: one["problem"] for name, one in there.items() if one["problem"]}
    files: dict[Path, bytes] = {}
    for name in [name for name in there if name not in refused]:
        try:
            files |= files_in(client, options, name, options.out / name)
        except Problem as problem:
            refused[name] = str(problem)
    if not files:
        raise Problem(list(refused.values())[-1])
    return files, refused


def files_in(client, options, format: str, folder: Path) -> dict[Path, bytes]:
    """The files of one format."""
    made = client.call(
        "export",
        name=options.study,
        format=format,
        candidate=options.candidate,
        tokens=options.tokens,
        paths=pairs(options.path) or None,
        tokens_per_document=numbers(options.tokens_per_document) or None,
    )
    return placed(made, folder)


def export_design(client, workspace, options):
    """Write the planned runs of a study into a folder."""
    refuse_below(options.out)
    made = client.call(
        "export_design",
        name=options.study,
        format=options.format,
        runs=options.planned or None,
        paths=pairs(options.path) or None,
        tokens_per_document=numbers(options.tokens_per_document) or None,
    )
    files = placed(made, options.out)
    write(files, options.out, options.force)
    runs = len({path.parent for path in files if path.parent.parent.name == "runs"})
    return {
        "folder": str(options.out),
        "manifest": str(options.out / "manifest.json"),
        "runs": runs,
        "files": len(files),
    }


def placed(made: dict, folder: Path) -> dict[Path, bytes]:
    """The files of an answer, in a folder."""
    files = {folder / name: text.encode() for name, text in made["files"].items()}
    return files | {folder / name: base64.b64decode(text) for name, text in made["binary"].items()}


def write(files: dict[Path, bytes], folder: Path, force: bool) -> None:
    """Write all files into a folder, which is made, or none if one exists. Raises Problem."""
    for path in files:
        new_output(path, force, folder)
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_bytes(content)
