"""Commands about corpora: build one, list them."""

from pathlib import Path

from engine.cli.numbers import number_given, whole_given
from engine.cli.waiting import beside, waited
from engine.cli.words import pairs, plain
from engine.core.errors import Problem
from engine.core.files import given_path
from engine.core.system import UNREADABLE, read_fault
from engine.corpus.fields import TEMPLATE
from engine.corpus.rules import RULES, USUAL
from engine.corpus.templates import TEMPLATES
from engine.corpus.token_formats import FORMATS
from engine.corpus.token_formats.base import WIDTHS


def add(command) -> None:
    command("corpora", plain("list_corpora"), "list the corpora and their sizes")
    corpus_options(command("corpus", corpus_build, "build a corpus: text -> token shards", wait=True, makes=True))
    one = command("mark-corpus", corpus_mark, "make a corpus private from now on: none of its text is shown")
    one.add_argument("name", metavar="CORPUS", help="`corpora` lists them")
    one.add_argument("--public", action="store_true", help="take that back")


def corpus_mark(client, workspace, options):
    return client.call("mark_corpus", name=options.name, private=not options.public)


def corpus_options(one) -> None:
    """Where the text comes from, and how it is tokenised."""
    one.add_argument("--name", default="default", help="name of the corpus (default: %(default)s)")
    source = one.add_mutually_exclusive_group()
    source.add_argument("--folder", type=given_path, help="a folder that holds one folder or file per domain")
    source.add_argument("--file", action="append", metavar="DOMAIN=PATH", help="a domain from a file; repeat")
    source.add_argument(
        "--huggingface", action="append", metavar="DOMAIN=DATASET", help="a domain from the hub; repeat"
    )
    said = "the files are pre-tokenised, and stay where they lie: a random sample of their tokens is copied"
    one.add_argument("--tokens", choices=list(FORMATS), metavar="FORMAT", help=f"{said} ({', '.join(FORMATS)})")
    one.add_argument("--dtype", choices=list(WIDTHS), help="of tokens in files that do not say it")
    one.add_argument(
        "--end-token", type=whole_given, metavar="ID", help="what ends a document, where only that divides it"
    )
    one.add_argument("--column", help="that holds the tokens (mds, arrow; default: tokens or input_ids)")
    one.add_argument("--seed", type=whole_given, help="of the sample (default: 0)")
    one.add_argument(
        "--without", action="append", metavar="DOMAIN", help="a domain of the folder that stays out; repeat"
    )
    levels = "2: the folder's sub-folders are sources, and what is in each its topics"
    one.add_argument("--levels", type=whole_given, choices=(1, 2), help=levels)
    said = "a column of the records that says their domain; twice for two levels, such as source and topic"
    one.add_argument("--domain-column", action="append", metavar="COLUMN", help=said)
    one.add_argument("--text-column", help="the text column of records and tables (default: text)")
    one.add_argument(
        "--template",
        metavar="NAME|FILE",
        help=f"how conversations are written out: {', '.join(TEMPLATES)}, or a file of jinja (default: {TEMPLATE})",
    )
    one.add_argument(
        "--tokenizer",
        help=f"bytes (default), bpe, a rule ({', '.join(RULES)}), or the path of a tokenizer.json; with --tokens that "
        "of the tokens, without which losses are in nats per token",
    )
    one.add_argument(
        "--vocabulary",
        type=whole_given,
        help=f"size of a bpe tokenizer (default: 2048) or a rule's ({USUAL})",
    )
    one.add_argument("--cap-mb", type=number_given, help="at most this many MB of text per domain")
    one.add_argument("--private", action="store_true", help="show none of its text, on pages, in files or in answers")


def corpus_build(client, workspace, options):
    result = client.call("build_corpus", name=options.name, spec=corpus_spec(options))
    if not options.wait:
        return result
    ended = waited(client, workspace, [result["job"]])
    built = next(one for one in client.call("list_corpora") if one["corpus"] == options.name)
    return beside(result, {**ended, "report": built["report"]})


def template_of(given: str) -> str:
    """The name of one of our templates, or the text of a file. Raises Problem if that cannot be read."""
    if given in TEMPLATES:
        return given
    try:
        return given_path(given).read_text("utf-8")
    except UNREADABLE as error:
        why = read_fault(error, f"Give one of {', '.join(TEMPLATES)}, or the path of a file.")
        raise Problem(f"Cannot read the template {given}: {why}") from error


def source_of(options) -> dict:
    """Where the text comes from, as the command line says."""
    named = pairs(options.file or options.huggingface or ())
    if options.file and (piped := [name for name, path in named.items() if Path(path).expanduser().is_fifo()]):
        raise Problem(
            f"Cannot read {piped[0]!r} from a pipe: a corpus is built by a job, later and perhaps more than once. "
            "Write the text into a file first."
        )
    if options.tokens:
        return tokens_of(options, named)
    if wrong := [name for name in ("dtype", "end_token", "column", "seed") if getattr(options, name) is not None]:
        raise Problem(f"Cannot use --{wrong[0].replace('_', '-')} here: it goes with --tokens.")
    column = {"text": options.text_column} if options.text_column else {}
    if options.template:
        column["template"] = template_of(options.template)
    if options.domain_column:
        column["domain"] = options.domain_column
        if not (options.folder or options.file):
            raise Problem("Cannot tell domains apart by a column here: name a folder or files.")
    if options.levels == 2 and not options.folder:
        raise Problem("Cannot read two levels of files or data sets that are named: give a folder.")
    if options.without and not options.folder:
        raise Problem("Cannot leave out domains of files or data sets that are named: name only those that are wanted.")
    if options.folder:
        without = {"without": options.without} if options.without else {}
        without |= {"levels": options.levels} if options.levels == 2 else {}
        return {"type": "folder", "path": str(options.folder.resolve()), **column, **without}
    if options.file:
        return {
            "type": "files",
            "files": {name: str(Path(path).expanduser().resolve()) for name, path in named.items()},
            **column,
        }
    if options.huggingface:
        return {
            "type": "huggingface",
            "datasets": {name: {"name": value, **column} for name, value in named.items()},
        }
    return {"type": "default"}


def tokens_of(options, named: dict[str, str]) -> dict:
    """Pre-tokenised files, as the command line says: of each domain a path, pattern or folder, several by commas."""
    other = [
        name for name in ("text_column", "template", "domain_column", "levels", "without") if getattr(options, name)
    ]
    if not options.file or other:
        what = f"--{other[0].replace('_', '-')}" if other else "a folder or data sets"
        raise Problem(f"Cannot use {what} with --tokens: name the files of each domain, --file web=/data/web.")
    files = {
        name: [str(Path(one).expanduser().absolute()) for one in paths.split(",")] for name, paths in named.items()
    }
    said = {"dtype": options.dtype, "end": options.end_token, "column": options.column, "seed": options.seed}
    known = {name: value for name, value in said.items() if value is not None}
    return {"type": "tokens", "format": options.tokens, "files": files, **known}


def corpus_spec(options) -> dict:
    """The corpus that the command line describes, as engine.corpus.spec reads it."""
    spec: dict = {"source": source_of(options)}
    size = {} if options.vocabulary is None else {"vocabulary": options.vocabulary}
    if options.tokens and options.tokenizer is None:
        spec["tokenizer"] = {"type": "ids", **size}
    elif options.tokenizer == "bpe":
        spec["tokenizer"] = {"type": "bpe", "vocabulary": options.vocabulary or 2048}
    elif options.tokenizer in RULES:
        spec["tokenizer"] = {"type": "rule", "rule": options.tokenizer, **size}
    elif options.tokenizer not in (None, "bytes"):
        spec["tokenizer"] = {"type": "file", "path": str(Path(options.tokenizer).expanduser().resolve())}
    if options.private:
        spec["private"] = True
    if options.cap_mb is not None:
        spec["cap_mb"] = options.cap_mb
    return spec
