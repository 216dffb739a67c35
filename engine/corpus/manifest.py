"""The manifest of a corpus: what was built, of what, and what of it is known, domain by domain.

It lies in `manifest.json`, stands in the event `corpus.built`, and is a plain dict:

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

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.corpus import packages, sources
from engine.corpus.parts import Part
from engine.corpus.rules import seen
from engine.corpus.spec import VERSION, CorpusSpec
from engine.corpus.token_formats.base import WIDE
from engine.corpus.tokenizers import BytePairs, Bytes, Ids

EXAMPLES, EXAMPLE_CHARACTERS = 3, 300
BPE_BYTES = 2_000_000  # of each domain's training text that a tokenizer learns from


@dataclass
class Domain:
    """A domain between reading and writing: its part, its duplicates, the documents (N,) of each side."""

    name: str
    part: Part
    exact: int
    near: int
    train: np.ndarray
    valid: np.ndarray


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
