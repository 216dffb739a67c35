"""Builds a corpus: read every domain, drop duplicates, split, tokenise, write shards, measure leaks.

The manifest (`manifest.json`, and the `manifest` of the event `corpus.built`) is a plain dict:

    version       of the format
    spec          the settings (CorpusSpec.to_dict), and its `fingerprint`
    tokenizer     {"type", "vocabulary": V, "end": how documents end}
    domains       {domain: {
        documents, train_documents, valid_documents      after duplicates were dropped
        train_tokens, valid_tokens, train_bytes, valid_bytes   one byte for each document's end
        available_bytes   of text without the cap (estimate by file sizes); null: unknown
        available_tokens  of pre-tokenised files: what there is, by their headers; missing for text
        whole             whether the cap was not reached: the tokens are all there are (manifests of before lack it)
        duplicates        {"exact", "near"}: documents dropped; {"blocks"}: repeated blocks dropped in others
        leak              {"own", "any"}: fraction of 48-byte validation windows in its own, any training text
        examples          beginnings of three validation documents
        filtered, cut     files that were no clean text; documents cut in pieces of 1 MB
        skipped_count     files, and kinds of bad lines in files, that could not be read
        files             of own data: {"found", "read", "beyond_cap": not reached, "paths": of at most 100 read}
        sha256            {"train", "valid"} of the shards
        conversations     of domains that hold some: how many a template wrote; and their
        answers           {"train", "valid"}: bytes that are predicted
        alphabets         {script or alphabet: its part of the letters} of what is predicted; empty: too few letters,
                          null: tokens of which nothing is known (manifests of before lack it)
    }}
    skipped       [{"domain", "path", "reason", "lines"}], at most 100 per domain; lines: how many of them, if not all
    noticed       [{"domain", "path", "reason"}] of files that are read all the same, at most 100 per domain
    left_out      [{"path", "reason", "domain"}] of own data that was not tried, at most 100, and left_out_count
    packages      [{"name", "version", "licence"}] that the default corpus was taken from; else empty
    missing       packages of the default corpus that are not installed, and domains that stayed too small
    seconds       how long the build took, in the attempt that finished it
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.core.files import write_json
from engine.core.workspace import Workspace
from engine.corpus import contents, dedup, packages, sources
from engine.corpus.alphabets import alphabets_of
from engine.corpus.gather import gather, refuse
from engine.corpus.leak import leaks
from engine.corpus.parts import SIDES, Part, read_part
from engine.corpus.report import left_out
from engine.corpus.rules import seen, train_rule
from engine.corpus.shards import write_shard
from engine.corpus.shelf import load, read_manifest
from engine.corpus.spec import VERSION, CorpusSpec
from engine.corpus.splits import split, why_little
from engine.corpus.texts import FEWEST_DOMAINS, cap_of, scan_of, size_of, sources_of
from engine.corpus.token_formats.base import WIDE
from engine.corpus.tokenizers import BytePairs, Bytes, Ids, from_file, only_ids, raw_bytes, train_bpe
from engine.jobs.spool import Job
from engine.spec.kinds.corpus import CorpusBuilt, CorpusTask

PROCESSES = 2
LITTLE = 4_000_000  # bytes of files that one process has read by the time that others have started
EXAMPLES, EXAMPLE_CHARACTERS = 3, 300
BPE_BYTES = 2_000_000  # of each domain's training text that the BPE learns from
READING, WRITING = 0.8, 0.95  # fractions of the work at which reading, and writing, end

Progress = Callable[[float, float, str], None]


@dataclass
class Domain:
    """A domain between reading and writing: its part, its duplicates, the documents (N,) of each side."""

    name: str
    part: Part
    exact: int
    near: int
    train: np.ndarray
    valid: np.ndarray


def run(job: Job) -> None:
    """The background job of a CorpusTask."""
    task = job.task(CorpusTask)
    asked = {name: value for name, value in task.to_dict().items() if name != "corpus" and value is not None}
    out = Workspace(job.workspace).corpus(task.corpus)
    manifest = build(CorpusSpec.from_dict(asked), out, job.progress, job.folder / "parts")
    job.emit(CorpusBuilt(task.corpus, manifest))
    shutil.rmtree(job.folder / "parts", ignore_errors=True)


def build(
    spec: CorpusSpec,
    out: Path,
    progress: Progress = lambda done, total, note: None,
    scratch: Path | None = None,
    processes: int | None = None,
) -> dict:
    """Build a corpus into the folder `out`, atomically, and return its manifest.

    progress(done, total, note): called often; what it raises (Stopped) ends the build, and the next one with
    the same `scratch` folder (default: beside `out`) does not read finished domains again. A corpus that is
    there with the same spec is left as it is. processes: readers at once, 1 to read here; by how much there is, if
    None. Raises Problem for one with another spec, and for bad data.
    """
    if out.exists():
        return same_corpus(spec, out)
    began = time.monotonic()
    own_scratch = scratch is None
    scratch = (scratch or out.with_name(f".{out.name}.parts")) / spec.fingerprint
    domains = list(sources_of(spec))
    if processes is None:
        processes = 1 if size_of(spec) < LITTLE else PROCESSES
    gather(spec, domains, scratch, processes, reading_progress(spec, domains, progress))
    progress(READING, 1.0, "dropping duplicates")
    ready, missing = prepare({name: read_part(scratch / name) for name in domains}, spec)
    building = out.with_name(f".{out.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    tokenizer = make_tokenizer(spec, ready, progress)
    facts = write_domains(building, ready, tokenizer, progress)
    if tokenizer.json is not None:
        (building / "tokenizer.json").write_text(tokenizer.json, "utf-8")
    manifest = {**make_manifest(spec, ready, facts, tokenizer, missing), **left_out(scan_of(spec).left)}
    manifest["seconds"] = round(time.monotonic() - began, 2)
    write_json(building / "manifest.json", manifest)
    contents.keep(building)
    building.rename(out)
    if own_scratch:
        shutil.rmtree(scratch.parent, ignore_errors=True)
    progress(1.0, 1.0, "built")
    return manifest


def same_corpus(spec: CorpusSpec, out: Path) -> dict:
    """The manifest of the corpus that is already there. Raises Problem if its spec was another one."""
    manifest = read_manifest(out)
    if manifest["fingerprint"] != spec.fingerprint:
        raise Problem(
            f"Cannot build the corpus {out.name!r}: there is one with other settings, and studies may "
            "rest on it. Choose another name."
        )
    load(out)
    return manifest


def reading_progress(spec: CorpusSpec, domains: list[str], progress: Progress) -> Callable[[str, int], None]:
    """Progress while domains are read: bytes of each so far -> fraction of the whole work."""
    sizes, caps = dict.fromkeys(domains, 0), {domain: cap_of(spec, domain) for domain in domains}

    def report(domain: str, size: int) -> None:
        sizes[domain] = size
        fraction = min(1.0, sum(sizes.values()) / sum(caps.values()))
        progress(READING * fraction, 1.0, f"reading {domain}: {size / 1e6:.1f} MB of {caps[domain] / 1e6:g}")

    return report


def prepare(parts: dict[str, Part], spec: CorpusSpec) -> tuple[list[Domain], list[str]]:
    """Drop duplicates over all domains and split each. Returns the domains, and the names of those left out.

    Of the default corpus, a domain whose packages are not there is left out. Raises Problem for own data, naming every
    domain that does not do.
    """
    default = spec.source["type"] == "default"
    edges = np.cumsum([len(part.ends) for part in parts.values()])[:-1]
    exact = dedup.exact_duplicates(np.concatenate([part.hashes for part in parts.values()]))
    signatures = [part.signatures.reshape(-1, dedup.PERMUTATIONS) for part in parts.values()]
    near = dedup.near_duplicates(np.concatenate(signatures)) & ~exact
    ready, faults = [], {}
    for (name, part), same, alike in zip(parts.items(), np.split(exact, edges), np.split(near, edges), strict=True):
        try:
            train, valid = split(name, part, kept := ~(same | alike))
        except Problem as problem:
            faults[name] = " ".join(filter(None, [str(problem), why_little(part, kept)]))
            continue
        ready.append(Domain(name, part, int(same.sum()), int(alike.sum()), train, valid))
    if not default:
        refuse(faults, spec)
    tell_unsplit(ready)
    missing = [f"{name}: {why}" for name, why in faults.items()]
    if len(ready) < FEWEST_DOMAINS:
        raise Problem(
            f"Cannot make a mixture of {len(ready)} domain: it needs at least {FEWEST_DOMAINS}. "
            f"Left out: {' '.join(missing)} Raise cap_mb, or install requirements.txt."
        )
    return ready, missing


def tell_unsplit(domains: list[Domain]) -> None:
    """Note the domains of which no text came as validation, where some did of others: their own text validates."""
    came = [bool((domain.part.sides == SIDES["valid"]).any()) for domain in domains]
    for domain, has_own in zip(domains, came, strict=True):
        if any(came) and not has_own:
            part = domain.part.sizes[domain.valid].sum() / domain.part.sizes[domain.train | domain.valid].sum()
            domain.part.tally.notice(
                domain.name, f"no text of it came as validation, as that of others: {part:.0%} of its own validates"
            )


def make_tokenizer(spec: CorpusSpec, domains: list[Domain], progress: Progress) -> Bytes | BytePairs | Ids:
    """The spec's tokenizer; a BPE or a rule learns from the training text."""
    if spec.tokenizer["type"] == "ids":
        largest = max(int(domain.part.text.view(WIDE).max()) for domain in domains)
        return only_ids(spec.tokenizer.get("vocabulary") or largest + 1)
    if spec.tokenizer["type"] == "bytes":
        return raw_bytes()
    if spec.tokenizer["type"] == "file":
        return from_file(Path(spec.tokenizer["path"]).expanduser())

    def texts() -> Iterator[str]:
        for domain in domains:
            for text in texts_of(domain):
                progress(READING, 1.0, f"learning tokens from {domain.name}")
                yield text

    if spec.tokenizer["type"] == "rule":
        return train_rule(texts(), spec.tokenizer["rule"], spec.tokenizer.get("vocabulary"))
    return train_bpe(texts(), spec.tokenizer["vocabulary"])


def write_domains(
    folder: Path, domains: list[Domain], tokenizer: Bytes | BytePairs | Ids, progress: Progress
) -> list[dict]:
    """Write the shards of every domain and measure leaks. Returns each domain's manifest entry."""
    total, done, facts = sum(int(domain.part.sizes.sum()) for domain in domains), 0, []

    for domain in domains:

        def tell(size: int, name: str = domain.name) -> None:
            nonlocal done
            done += size
            progress(READING + (WRITING - READING) * done / total, 1.0, f"writing {name}")

        (folder / domain.name).mkdir()
        shards = {
            side: write_shard(folder / domain.name / f"{side}.bin", domain.part, chosen, tokenizer, tell)
            for side, chosen in (("train", domain.train), ("valid", domain.valid))
        }
        facts.append(
            {
                **domain_facts(domain, shards),
                "examples": examples(domain, tokenizer),
                "alphabets": None if isinstance(tokenizer, Ids) else alphabets_of(predicted_of(domain, tokenizer)),
            }
        )
    progress(WRITING, 1.0, "measuring leaks")
    found = leaks(*([getattr(domain, what) for domain in domains] for what in ("part", "train", "valid")))
    return [{**fact, "leak": leak} for fact, leak in zip(facts, found, strict=True)]


def domain_facts(domain: Domain, shards: dict[str, dict]) -> dict:
    """A domain's manifest entry, except its leak and its examples."""
    part = domain.part
    train, valid = int(domain.train.sum()), int(domain.valid.sum())
    return {
        "documents": train + valid,
        "train_documents": train,
        "valid_documents": valid,
        **{f"{side}_{what}": shards[side][what] for what in ("tokens", "bytes") for side in shards},
        "available_bytes": part.available,
        **({"available_tokens": part.tally.available_tokens} if part.is_tokens else {}),
        "whole": part.tally.whole,
        "duplicates": {"exact": domain.exact, "near": domain.near, "blocks": part.tally.repeated_blocks},
        "filtered": part.tally.filtered,
        "cut": part.tally.cut,
        "skipped_count": part.tally.skipped_count,
        "files": {
            "found": part.tally.files,
            "read": part.tally.files_with_text,
            "beyond_cap": part.tally.files - part.tally.files_begun,
            "paths": part.tally.files_read,
        },
        "sha256": {side: shards[side]["sha256"] for side in shards},
        **answers_of(part, shards),
    }


def ending_of(spec: CorpusSpec, tokenizer: Bytes | BytePairs | Ids) -> str | int | None:
    """How documents end, for the manifest; None where nothing says it."""
    if isinstance(tokenizer, BytePairs):
        return int(tokenizer.end)
    return "newline" if isinstance(tokenizer, Bytes) else spec.source.get("end")


def answers_of(part: Part, shards: dict[str, dict]) -> dict:
    """What a manifest says of a domain of which only answers are predicted; nothing of others."""
    if not len(part.context):
        return {}
    answers = {side: shards[side]["answers"] for side in shards}
    return {"conversations": part.tally.conversations, "answers": answers}


def unknown_of(domain: Domain, spec: CorpusSpec) -> dict:
    """What a manifest says of symbols in a domain that the field of the corpus' rule does not write."""
    if spec.tokenizer["type"] != "rule":
        return {}
    return {"unknown_letters": seen(texts_of(domain), spec.tokenizer["rule"]).facts(spec.private)}


def texts_of(domain: Domain) -> Iterator[str]:
    """The first training text of a domain, as much as tokens are learned from."""
    chosen = np.flatnonzero(domain.train)
    for index in chosen[np.cumsum(domain.part.sizes[chosen]) <= BPE_BYTES]:
        yield domain.part.document(index).decode("utf-8", "replace")


def predicted_of(domain: Domain, tokenizer: Bytes | BytePairs | Ids) -> Iterator[str]:
    """The training text of a domain that counts, document by document: of conversations the answers."""
    part = domain.part
    for index in np.flatnonzero(domain.train):
        if part.is_tokens:
            yield tokenizer.decode(np.frombuffer(part.document(index), WIDE))
            continue
        data = bytearray(part.document(index))
        for first, last in part.context_of(index):
            data[first:last] = b"\n" * (last - first)
        yield data.decode("utf-8", "replace")


def examples(domain: Domain, tokenizer: Bytes | BytePairs | Ids) -> list[str]:
    """The beginnings of three validation documents, drawn at random."""
    chosen = np.flatnonzero(domain.valid)
    drawn = np.random.default_rng(0).choice(chosen, min(EXAMPLES, len(chosen)), replace=False)
    begins = [domain.part.document(index)[: 4 * EXAMPLE_CHARACTERS] for index in drawn]
    if domain.part.is_tokens:
        return [tokenizer.decode(np.frombuffer(begin, WIDE))[:EXAMPLE_CHARACTERS] for begin in begins]
    return [begin.decode("utf-8", "ignore")[:EXAMPLE_CHARACTERS] for begin in begins]


def make_manifest(
    spec: CorpusSpec,
    domains: list[Domain],
    facts: list[dict],
    tokenizer: Bytes | BytePairs | Ids,
    missing: list[str],
) -> dict:
    """The manifest: see the top of this file."""
    used, absent = [], []
    if spec.source["type"] == "default":
        absent = [name for name in sources.PACKAGES if packages.files_of(name) is None]
        used = [packages.describe(name) for name in sources.PACKAGES if name not in absent]
    return {
        "version": VERSION,
        "fingerprint": spec.fingerprint,
        "spec": spec.to_dict(),
        "tokenizer": {
            "type": spec.tokenizer["type"],
            "vocabulary": len(tokenizer.token_bytes),
            "end": ending_of(spec, tokenizer),
        },
        "domains": {
            domain.name: {**fact, "examples": [] if spec.private else fact["examples"], **unknown_of(domain, spec)}
            for domain, fact in zip(domains, facts, strict=True)
        },
        "skipped": [{"domain": domain.name, **skip} for domain in domains for skip in domain.part.tally.skipped],
        "noticed": [{"domain": domain.name, **one} for domain in domains for one in domain.part.tally.noticed],
        "packages": used,
        "missing": absent + missing,
    }
