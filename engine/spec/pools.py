"""How much text there is of each domain, and how that is known: apart from the sample that proxies read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.checks import is_number, or_null
from engine.core.errors import Problem
from engine.core.short_names import listed

GIVEN, COUNTED, HEADERS, SAMPLE, UNKNOWN = "given", "counted", "headers", "sample", "unknown"
CAP_SLACK = 1 + 1e-4  # of a cap on epochs: shares are told with five digits, so a mixture at the cap may seem above it

SOURCES = {
    GIVEN: "given",
    COUNTED: "counted: all of it was read",
    HEADERS: "counted in the files' headers",
    SAMPLE: "only a sample of it was read",
    UNKNOWN: "not given",
}
MOST_READ = 1e6  # times what was read: a larger budget is worth a second look


@dataclass(frozen=True)
class Pools:
    """The text of D domains.

    tokens (D,): what the real run can draw on, NaN where unknown; sources: how each is known, of SOURCES; sample (D,):
    training tokens that proxies read, None in a study that trains nothing.
    """

    names: tuple[str, ...]
    tokens: np.ndarray
    sources: tuple[str, ...]
    sample: np.ndarray | None

    @property
    def known(self) -> bool:
        """Whether it is known of every domain."""
        return bool(np.isfinite(self.tokens).all())

    @property
    def unknown(self) -> list[str]:
        """The domains of which it is not known how much there is."""
        return [name for name, tokens in zip(self.names, self.tokens, strict=True) if not np.isfinite(tokens)]

    @property
    def total(self) -> float:
        """Tokens of all domains together, 0 where one is unknown."""
        return float(self.tokens.sum()) if self.known else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """One per domain, as JSON-able values: {"domain", "tokens", "source", "sample"}, null where unknown."""
        samples = [None] * len(self.names) if self.sample is None else [float(x) for x in self.sample]
        return [
            {"domain": name, "tokens": tokens, "source": source, "sample": sample}
            for name, tokens, source, sample in zip(self.names, self.plain, self.sources, samples, strict=True)
        ]

    @property
    def plain(self) -> list[float | None]:
        """The tokens as JSON holds them: null where unknown."""
        return or_null(self.tokens)

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> "Pools":
        """The inverse of `rows`."""
        names, tokens, sources, samples = (
            [row[key] for row in rows] for key in ("domain", "tokens", "source", "sample")
        )
        sample = None if None in samples else np.array(samples, float)
        return cls(tuple(names), np.array(tokens, float), tuple(sources), sample)


def pools_of(
    domains: Sequence[str], corpus: Mapping[str, Any], given: Mapping[str, float] | None = None, budget: float = 0.0
) -> Pools:
    """The text of a study's domains.

    corpus: a manifest, or what a study keeps of one (store.studies.Study.corpus); given: tokens by domain, which win;
    budget: of the real run as given, 0 where not. A sample stands for the text only where neither is given: such a
    study is about its sample. So it is in studies of before counts could be given, which keep no `pools`.
    """
    if "pools" in corpus:
        return Pools.of_rows(corpus["pools"])
    given, facts = given or {}, [corpus["domains"][name] for name in domains]
    read = np.array([fact["train_tokens"] for fact in facts], float)
    built = ["train_documents" in fact for fact in facts]  # others are counts that came with imported runs
    sources = [
        GIVEN
        if name in given or not own
        else HEADERS
        if fact.get("available_tokens")
        else COUNTED
        if fact.get("whole")
        else SAMPLE
        for name, own, fact in zip(domains, built, facts, strict=True)
    ]
    planned = "fingerprint" not in corpus and any(built)
    itself = planned or not (given or budget)
    tokens = [
        given.get(name, np.nan if source == SAMPLE and not itself else fact.get("available_tokens") or count)
        for name, source, count, fact in zip(domains, sources, read, facts, strict=True)
    ]
    return Pools(tuple(domains), np.array(tokens, float), tuple(sources), read if all(built) else None)


def check_counts(given: object, domains: Sequence[str] | None = None) -> None:
    """Raise Problem unless these are tokens by domain: numbers of at least 1, of `domains` where these are known."""
    if not isinstance(given, Mapping):
        raise Problem(f"Cannot use {given!r} as available tokens: give a table of a number for each domain.")
    for name, count in given.items():
        if not is_number(count, 1):
            raise Problem(
                f"Cannot use {count!r} as the available tokens of {name!r}: give a number of at least 1, or leave the "
                "domain out of the table where it is not known."
            )
        if domains is not None and name not in domains:
            raise Problem(f"Cannot use the available tokens of {name!r}: the domains are {', '.join(domains)}.")


def notes_on(pools: Pools, budget: float) -> list[str]:
    """What has to be known of these counts, in sentences. budget: tokens of the real run, 0 where unknown."""
    found = []
    if pools.unknown and pools.sample is None:
        found.append(
            f"How much text there is of {listed(pools.unknown)} is unknown. Epochs and the epoch cap leave it out. Give"
            " its tokens."
        )
    elif pools.unknown:
        found.append(
            f"How much text there is of {listed(pools.unknown)} is unknown: only a sample was read. Epochs and the "
            "epoch cap leave it out. Give its tokens, or raise the corpus' limit until all of it is read."
        )
    sampled = [name for name, source in zip(pools.names, pools.sources, strict=True) if source == SAMPLE]
    if sampled and not pools.unknown:
        found.append(
            f"Of {listed(sampled)} only a sample was read, and here that sample counts as all there is: the natural "
            "mixture, epochs and caps are its own. Give the real tokens and the target budget for the real run's."
        )
    if pools.sample is None:
        return found
    smaller = pools.tokens < pools.sample
    found += [
        f"{name} is given {tokens:,.0f} tokens, and {read:,.0f} were read of it. Counts are tokens, not millions."
        for name, tokens, read, less in zip(pools.names, pools.tokens, pools.sample, smaller, strict=True)
        if less
    ]
    read = float(pools.sample.sum())
    if 0 < budget < min(read, pools.total or read):
        found.append(f"The target budget of {budget:,.0f} tokens is less than the {read:,.0f} that were read.")
    if budget > MOST_READ * read:
        found.append(f"The target budget of {budget:,.0f} tokens is {budget / read:,.0f} times what was read.")
    return found
