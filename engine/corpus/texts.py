"""The source of every domain's text: one table over the types of source."""

from collections.abc import Callable, Iterator
from functools import partial

from engine.core.errors import Problem
from engine.core.workspace import checked_name
from engine.corpus import layouts, readers, sources
from engine.corpus.document import Document, Tally
from engine.corpus.hub import of_dataset
from engine.corpus.spec import CorpusSpec

Source = Callable[[], tuple[Iterator[Document], Tally]]
FEWEST_DOMAINS = 2


def sources_of(spec: CorpusSpec) -> dict[str, Source]:
    """For each domain, in the corpus' order, a function that begins to read it. Raises Problem."""
    options = spec.source
    if options["type"] == "default":
        return {domain: partial(begin, partial(sources.documents, domain)) for domain in sources.DOMAINS}
    if options["type"] == "huggingface":
        found = {domain: partial(of_dataset, choice) for domain, choice in checked_dict(options["datasets"]).items()}
    else:
        if options["type"] == "folder":
            files = layouts.of_folder(options["path"])
        else:
            files = layouts.of_files(checked_dict(options["files"]))
        found = {
            domain: partial(readers.documents, domain, chosen, options.get("text", readers.TEXT))
            for domain, chosen in files.items()
        }
    if len(found) < FEWEST_DOMAINS:
        raise Problem(
            f"Cannot make a mixture of {len(found)} domain ({', '.join(found) or 'none'}): it needs at least "
            f"{FEWEST_DOMAINS}. Give a folder with a sub-folder, or a file, for each domain."
        )
    return {checked_name(domain, "domain"): partial(begin, read) for domain, read in found.items()}


def cap_of(spec: CorpusSpec, domain: str) -> int:
    """Bytes of text to read for a domain at most: the corpus' cap, or the default domain's part of it."""
    part = sources.DOMAINS[domain].part if spec.source["type"] == "default" else 1.0
    return int(spec.cap_bytes * part)


def begin(read: Callable[[Tally], Iterator[Document]]) -> tuple[Iterator[Document], Tally]:
    """Start reading: the documents to come, and the tally that grows with them."""
    tally = Tally()
    return read(tally), tally


def checked_dict(value) -> dict:
    """A dict of domains. Raises Problem for anything else."""
    if not isinstance(value, dict):
        raise Problem(f"Cannot take {value!r} for domains. Give an object with a name and a place for each domain.")
    return value
