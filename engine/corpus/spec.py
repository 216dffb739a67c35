"""A corpus' spec: the source of its text, how much of it, and the tokenizer."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from engine.core.checks import is_number, is_whole
from engine.core.errors import Problem
from engine.corpus.rules import check_rule
from engine.corpus.templates import check_template

GIVEN = ("file", "ids")  # the tokenizers of pre-tokenised text
MOST_IDS = 1 << 24  # no vocabulary is larger
VERSION = 1  # of the corpus folder and its manifest; part of the fingerprint, so a new layout is a new corpus

# Required and optional fields of each kind of source and tokenizer, besides its "type".
SOURCES = {
    "default": ((), ()),
    "folder": (("path",), ("text", "template", "without", "domain", "levels")),
    "files": (("files",), ("text", "template", "domain")),
    "huggingface": (("datasets",), ()),
    "tokens": (("format", "files"), ("dtype", "end", "column", "seed")),
}
TOKENIZERS = {
    "bytes": ((), ()),
    "bpe": (("vocabulary",), ()),
    "rule": (("rule",), ("vocabulary",)),
    "file": (("path",), ()),
    "ids": ((), ("vocabulary",)),
}


@dataclass(frozen=True)
class CorpusSpec:
    """A corpus' settings. Raises Problem if one is invalid.

    source: {"type": "default"}
        | {"type": "folder", "path": folder, "text": column, "template": name or jinja, "without": [domain]}
          a sub-folder, or a file, per domain; without: domains that stay out, as those must that cannot be read;
          domain: a column of the records that says their domain, or two (engine/corpus/domain_columns.py);
          levels: 2 where sub-folders are sources, and what is in them topics: source.topic;
          template: by which records that hold a conversation are written out (engine/corpus/templates.py)
        | {"type": "files", "files": {domain: path or [paths]}, "text": column, "template": name or jinja}
        | {"type": "huggingface", "datasets": {domain: {"name", "config", "split", "text", "template"}}}
        | {"type": "tokens", "format": of engine/corpus/token_formats/, "files": {domain: path or [paths]}, "dtype",
          "end", "column": what files do not say, "seed": of the sample}: pre-tokenised text, which stays where it lies
    cap_mb: megabytes (10^6 bytes) of text to read for each domain; the default corpus' smaller domains take a part
    of it (sources.DOMAINS).
    private: none of its text is shown, on pages, in files or in answers.
    tokenizer: "bytes" | {"type": "bpe", "vocabulary": tokens} | {"type": "file", "path": tokenizer.json}
        | {"type": "rule", "rule": one of engine.corpus.rules.RULES, "vocabulary": tokens at most}
        | {"type": "ids", "vocabulary": tokens}: of pre-tokenised text, where nothing but the numbers is known; None:
          one more than the largest of the sample
    """

    source: dict[str, Any] = field(default_factory=lambda: {"type": "default"})
    cap_mb: float = 8.0
    tokenizer: dict[str, Any] | str = "bytes"
    private: bool = False

    def __post_init__(self):
        if isinstance(self.tokenizer, str):
            object.__setattr__(self, "tokenizer", {"type": self.tokenizer})
        check_choice(self.source, SOURCES, "source")
        check_choice(self.tokenizer, TOKENIZERS, "tokenizer")
        check_templates(self.source)
        check_columns(self.source.get("domain"))
        check_tokens(self.source, self.tokenizer)
        if self.source.get("levels", 1) not in (1, 2):
            raise Problem(f"Cannot read {self.source['levels']!r:.80} levels of folders: there are 1, or 2.")
        if self.tokenizer["type"] == "rule":
            check_rule(self.tokenizer["rule"])
        without = self.source.get("without", [])
        if not isinstance(without, list) or not all(isinstance(name, str) for name in without):
            raise Problem(f"Cannot leave out {without!r}. Give without as a list of the domains' names.")
        if not isinstance(self.private, bool):
            raise Problem(f"Cannot read private = {self.private!r}: it is true or false.")
        if not (is_number(self.cap_mb) and self.cap_mb > 0):
            raise Problem(
                f"Cannot cap a domain at {self.cap_mb!r} MB: a cap is a positive number. "
                "Give cap_mb as megabytes, such as 8."
            )

    @classmethod
    def from_dict(cls, values: dict) -> "CorpusSpec":
        """The spec in a dict (a job's spec, a manifest's); unknown keys are a Problem."""
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise Problem(
                f"Cannot build a corpus from {', '.join(map(repr, unknown))}: a corpus has "
                f"{', '.join(sorted(known))}. Remove the rest, or fix its spelling."
            )
        return cls(**values)

    def to_dict(self) -> dict:
        """The spec as JSON-able values, with all defaults filled in; private only where it is, as older specs do
        not have it."""
        return {name: value for name, value in asdict(self).items() if value or name != "private"}

    @property
    def fingerprint(self) -> str:
        """The same for the same settings and corpus format: 16 hexadecimal digits."""
        canonical = json.dumps([VERSION, self.to_dict()], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def cap_bytes(self) -> int:
        """The cap in bytes."""
        return int(self.cap_mb * 1e6)


def check_tokens(source: dict[str, Any], tokenizer: dict[str, Any]) -> None:
    """Raise Problem unless pre-tokenised text has settings that can be, and a tokenizer that goes with it."""
    for what, value, most in (
        ("end token", source.get("end"), MOST_IDS),
        ("seed", source.get("seed"), 2**32),
        ("vocabulary", tokenizer.get("vocabulary") if tokenizer["type"] == "ids" else None, MOST_IDS),
    ):
        if value is not None and not is_whole(value, 0, most - 1):
            raise Problem(f"Cannot use {value!r:.80} as the {what} of a corpus: give a whole number below {most:,}.")
    if source["type"] == "tokens" and tokenizer["type"] not in GIVEN:
        raise Problem(
            f"Cannot read tokens by the tokenizer {tokenizer['type']!r}: they were made by another. Give its "
            "tokenizer.json, or ids where it is not at hand."
        )
    if source["type"] != "tokens" and tokenizer["type"] == "ids":
        raise Problem(f"Cannot make tokens of text without a tokenizer. Choose one of {', '.join(TOKENIZERS)}.")


def check_columns(domain: Any) -> None:
    """Raise Problem unless the columns that say the domain are one or two names."""
    names = [domain] if isinstance(domain, str) else domain
    fine = isinstance(names, list) and all(isinstance(one, str) and one for one in names)
    if domain is not None and not (fine and 1 <= len(names) <= 2 and len(set(names)) == len(names)):
        raise Problem(f"Cannot tell domains apart by {domain!r:.80}: give the name of a column of the records, or two.")


def check_templates(source: dict[str, Any]) -> None:
    """Raise Problem for a template that cannot be used."""
    datasets = source.get("datasets")
    given = [source, *(datasets.values() if isinstance(datasets, dict) else ())]
    for one in given:
        if isinstance(one, dict) and "template" in one:
            if not isinstance(one["template"], str):
                raise Problem(f"Cannot use {one['template']!r:.80} as a template: it is a name or the text of one.")
            check_template(one["template"])


def check_choice(value: Any, kinds: dict[str, tuple[tuple, tuple]], what: str) -> None:
    """Raise Problem unless `value` is {"type": one of `kinds`, ...} with just the fields of that kind."""
    kind = value.get("type") if isinstance(value, dict) else value
    if not isinstance(value, dict) or not isinstance(kind, str) or kind not in kinds:
        raise Problem(f"Cannot use {kind!r} as the {what} of a corpus. Choose one of {', '.join(kinds)}.")
    must, may = kinds[kind]
    missing, unknown = set(must) - set(value), set(value) - {"type", *must, *may}
    if missing or unknown:
        faults = [f"lacks {name!r}" for name in sorted(missing)]
        faults += [f"has an unknown {name!r}" for name in sorted(unknown)]
        raise Problem(
            f"Cannot use this {kind} {what}: it {' and '.join(faults)}. "
            f"It takes {', '.join((*must, *may)) or 'nothing else'}."
        )
