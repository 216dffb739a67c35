"""Builds a corpus: read every domain, drop duplicates, split, tokenise, write shards, measure leaks. What comes of it
is told by the manifest (engine/corpus/manifest.py).
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.core.files import write_json
from engine.core.workspace import Workspace
from engine.corpus import contents, dedup
from engine.corpus.alphabets import alphabets_of
from engine.corpus.gather import gather, refuse
from engine.corpus.leak import leaks
from engine.corpus.manifest import Domain, domain_facts, examples, make_manifest, predicted_of, texts_of
from engine.corpus.parts import SIDES, Part, read_part
from engine.corpus.report import left_out
from engine.corpus.rules import train_rule
from engine.corpus.shards import write_shard
from engine.corpus.shelf import load, read_manifest
from engine.corpus.spec import CorpusSpec
from engine.corpus.splits import split, why_little
from engine.corpus.texts import FEWEST_DOMAINS, cap_of, scan_of, size_of, sources_of
from engine.corpus.token_formats.base import WIDE
from engine.corpus.tokenizers import BytePairs, Bytes, Ids, from_file, only_ids, raw_bytes, train_bpe
from engine.jobs.spool import Job
from engine.spec.kinds.corpus import CorpusBuilt, CorpusTask

PROCESSES = 2
LITTLE = 4_000_000  # bytes of files that one process has read by the time that others have started
READING, WRITING = 0.8, 0.95  # fractions of the work at which reading, and writing, end

Progress = Callable[[float, float, str], None]


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
