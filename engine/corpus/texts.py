"""The source of every domain's text: one table over the types of source."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.core.workspace import NAME
from engine.corpus import layouts, readers, sources, token_samples
from engine.corpus.document import Document, Tally, printable
from engine.corpus.domain_columns import apart
from engine.corpus.fields import TEMPLATE, TEXT, Fields
from engine.corpus.hub import of_dataset
from engine.corpus.layouts import Scan
from engine.corpus.spec import CorpusSpec
from engine.corpus.token_formats import files_of as token_files

Source = Callable[[], tuple[Iterator[Document], Tally]]
FEWEST_DOMAINS = 2
NAMED = 5  # of the domains that cannot be read, so many stand in a message


class WholeDomainsLeft(Problem):
    """Domains of a folder that cannot be read, and were not said to stay out. domains: their names."""

    def __init__(self, message: str, domains: list[str]):
        super().__init__(message)
        self.domains = domains


def sources_of(spec: CorpusSpec) -> dict[str, Source]:
    """For each domain, in the corpus' order, a function that begins to read it. Raises Problem."""
    options = spec.source
    if options["type"] == "default":
        return {domain: partial(begin, partial(sources.documents, domain)) for domain in sources.DOMAINS}
    if options["type"] == "tokens":
        found = token_samples.of_domains(checked_dict(options["files"]), options, spec.tokenizer, spec.cap_bytes)
    elif options["type"] == "huggingface":
        found = {domain: partial(of_dataset, choice) for domain, choice in checked_dict(options["datasets"]).items()}
    else:
        found = {
            domain: partial(readers.documents, domain, chosen, fields_of(options))
            for domain, chosen in scan_of(spec).domains.items()
        }
    if len(found) < FEWEST_DOMAINS:
        raise Problem(
            f"Cannot make a mixture of {len(found)} domain ({', '.join(found) or 'none'}): it needs at least "
            f"{FEWEST_DOMAINS}. {inner_folder(options, found)}Give a folder with a sub-folder, or a file, for each "
            "domain; or name the field of the records that says it (`domain`)."
        )
    if odd := [domain for domain in found if not NAME.fullmatch(domain)]:
        raise Problem(
            printable(
                f"Cannot use {listed(list(map(repr, odd)), NAMED)} as the name of a domain: use 1 to 64 letters, "
                "digits, '.', '_' or '-', beginning with a letter or digit. Rename that file or folder, or give each "
                "domain a name with the files that belong to it."
            )
        )
    return {domain: partial(begin, read) for domain, read in found.items()}


def fields_of(options: dict) -> Fields:
    """What a source says to read of records."""
    return Fields(options.get("text", TEXT), options.get("template", TEMPLATE), columns_of(options))


def columns_of(options: dict) -> list[str]:
    """The columns in which records say their domain; none where files do."""
    columns = options.get("domain", [])
    return [columns] if isinstance(columns, str) else list(columns)


def inner_folder(options: dict, domains: Iterable[str]) -> str:
    """What to say where the one domain of a folder is a folder that holds several; else ""."""
    for folder in (
        [Path(options["path"]).expanduser() / name for name in domains] if options["type"] == "folder" else ()
    ):
        inside = (
            sorted(place.name for place in folder.iterdir() if layouts.real_folder(place)) if folder.is_dir() else []
        )
        if len(inside) >= FEWEST_DOMAINS:
            return f"{folder} holds {listed(inside, NAMED)}: give that if these are the domains. "
    return ""


def scan_of(spec: CorpusSpec) -> Scan:
    """What there is of own data, without the domains that are to stay out; nothing for other sources.

    Raises WholeDomainsLeft if a domain cannot be read and is not said to stay out, and Problem for a name that is not
    there.
    """
    options = spec.source
    scan = own_files(options)
    scan = apart(scan, columns_of(options)) if columns_of(options) else scan
    if options["type"] != "folder":
        return scan
    without = set(options.get("without", ()))
    if unknown := sorted(without - {*scan.domains, *scan.lost}):
        raise Problem(
            f"Cannot leave out {', '.join(map(repr, unknown))}: {options['path']} has no domain of that name. It has "
            f"{', '.join((*scan.domains, *scan.lost))}."
        )
    if lost := {name: left for name, left in scan.lost.items() if name not in without}:
        raise lost_domains(lost)
    for name in without & set(scan.domains):
        scan.left += [layouts.Left(file.name, "its domain was left out, as asked", name) for file in scan.domains[name]]
        del scan.domains[name]
    return scan


def own_files(options: dict) -> Scan:
    """The files of own data, before records are asked for their domain; nothing for other sources."""
    if options["type"] == "files":
        return layouts.of_files(checked_dict(options["files"]))
    if options["type"] != "folder":
        return Scan()
    return (layouts.of_levels if options.get("levels") == 2 else layouts.of_folder)(options["path"])


def paths_of(spec: CorpusSpec, domains: Iterable[str]) -> dict[str, list[Path]]:
    """The files from which each domain is read; where records say their domain, all files; none for other sources."""
    options = spec.source
    if options["type"] == "tokens":
        files = checked_dict(options["files"])
        return {one: token_files(options["format"], token_samples.patterns_of(files[one])) for one in domains}
    found = {name: [file.path for file in files] for name, files in own_files(options).domains.items()}
    if columns_of(options):
        everything = [path for files in found.values() for path in files]
        return {one: everything for one in domains}
    return {one: found.get(one, []) for one in domains}


def lost_domains(lost: dict[str, layouts.Left]) -> WholeDomainsLeft:
    """The error for domains of which nothing can be read."""
    names = listed([f"{name} ({left.path}: {left.reason})" for name, left in lost.items()], NAMED)
    return WholeDomainsLeft(
        printable(
            f"Cannot build a corpus of all that is there: nothing can be read of {names}. Put text in its "
            f"place, or name what may stay out (without: {listed(list(lost), NAMED)}). Formats: {layouts.READ}."
        ),
        list(lost),
    )


def cap_of(spec: CorpusSpec, domain: str) -> int:
    """Bytes of text to read for a domain at most: the corpus' cap, or the default domain's part of it."""
    part = sources.DOMAINS[domain].part if spec.source["type"] == "default" else 1.0
    return int(spec.cap_bytes * part)


def size_of(spec: CorpusSpec) -> float:
    """Bytes of the files of own data, of pre-tokenised text those of its sample at most; infinite for other sources,
    whose size nobody knows before they are read."""
    if spec.source["type"] == "tokens":
        return spec.cap_bytes * len(checked_dict(spec.source["files"]))
    if spec.source["type"] not in ("files", "folder"):
        return math.inf
    return sum(file.size for files in scan_of(spec).domains.values() for file in files)


def begin(read: Callable[[Tally], Iterator[Document]]) -> tuple[Iterator[Document], Tally]:
    """Start reading: the documents to come, and the tally that grows with them."""
    tally = Tally()
    return read(tally), tally


def checked_dict(value) -> dict:
    """A dict of domains. Raises Problem for anything else."""
    if not isinstance(value, dict):
        raise Problem(f"Cannot take {value!r} for domains. Give an object with a name and a place for each domain.")
    return value
