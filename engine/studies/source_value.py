"""What a source of text is worth to a study before a proxy has seen it. Uses the store."""

from dataclasses import dataclass

import numpy as np

from engine.analysis.contents import Change, ContentsProcess, change, nearest
from engine.core.checks import check, is_number
from engine.core.errors import Problem
from engine.corpus.contents import mixed
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ordered
from engine.studies.contents import OtherStudy, contents_in, table_of, tokenizer_of
from engine.studies.measured import frame_of_study
from engine.studies.points import point_of
from store import corpora, studies
from store.database import Store

SHARE = 0.05  # of the source, by default
ENOUGH_SETTLED = 0.5  # of what a change could be
LIKE = 0.05  # share of a known domain in the nearest mixture, from which on it is named


@dataclass(frozen=True)
class Value:
    """What a share of a source, taken from all domains of a mixture in proportion, is predicted to change: the mean
    over seeds of the aggregate, better below 0.

    text: the hash of its training text; candidate, at: the mixture; low, high: 95%, std of the change, noise: standard
    deviation of one run's aggregate; verdict: "better", "worse" or "cannot tell", why; metrics: name ->
    {"change", "std"}; settled: the part of what such a change could be that the runs settle, from 0 to 1; distance:
    Hellinger's from the nearest mixture of known text (0 the same, 1 nothing in common), like: the known domains of
    that mixture, {"domain", "share"}; runs: how many stand behind it; studies: each with the rank correlation by which
    the others' runs order its own, None where that is not known; notes: what else has to be known.
    """

    source: str
    text: str
    share: float
    candidate: str
    at: dict[str, float]
    change: float
    low: float
    high: float
    std: float
    noise: float
    unit: str
    verdict: str
    why: str
    metrics: dict[str, dict[str, float]]
    distance: float
    settled: float
    like: list[dict[str, float | str]]
    runs: int
    studies: list[tuple[OtherStudy, float | None]]
    notes: list[str]


def value_source(
    store: Store,
    study: studies.Study,
    corpus: str,
    domain: str,
    by: Aggregate,
    share: float = SHARE,
    candidate: str | None = None,
) -> Value:
    """Price a domain of a built corpus for a study. candidate: the mixture it joins, as point_of takes it; None: the
    first baseline.

    Raises Problem where the source is not there, contents are unknown, or too few runs compare.
    """
    check(is_number(share) and 0 < share < 1, share, "the share of a source", "a number between 0 and 1")
    text, source = text_and_contents(store, corpus, domain)
    table = table_of(store, study)
    process, candidate = table.process(), candidate or next(iter(frame_of_study(study).baselines))
    at = point_of(store, study, candidate)
    base = mixed(at[None], table.own)[0]
    found = mixed(np.array([[1 - share, share]]), np.stack([at @ table.own, source]))[0]
    moved = change(process, base, found, by.weights)
    shares, distance = nearest(source, table.known)
    ranks, (verdict, why) = process.ranks(by.weights), verdict_on(moved)
    named = zip(study.metrics, moved.mean, moved.std, strict=True)
    return Value(
        source=f"{domain} of {corpus}",
        text=text,
        share=share,
        candidate=candidate,
        at=dict(zip(study.domains, map(float, at), strict=True)),
        change=moved.aggregate,
        low=moved.aggregate - moved.half,
        high=moved.aggregate + moved.half,
        std=moved.aggregate_std,
        noise=moved.noise,
        unit=by.unit,
        verdict=verdict,
        why=why,
        metrics={name: {"change": float(mean), "std": float(std)} for name, mean, std in named},
        distance=distance,
        settled=moved.settled,
        like=_like(shares, table.names),
        runs=len(table.points),
        studies=[(one, ranks.get(place)) for place, one in enumerate(table.studies)],
        notes=_notes(store, study, corpus, process),
    )


def text_and_contents(store: Store, corpus: str, domain: str) -> tuple[str, np.ndarray]:
    """The hash of the training text of a domain of a built corpus, and its contents (C,). Raises Problem where it is
    not there."""
    manifest = corpora.manifest(store, corpus)
    if manifest is None:
        built = ", ".join(name for name in corpora.names(store) if corpora.manifest(store, name)) or "none"
        raise Problem(f"Cannot read the corpus {corpus!r}: it is not built. Corpora here: {built}.")
    if domain not in manifest["domains"]:
        raise Problem(f"Cannot price {domain!r}: the corpus {corpus!r} has {', '.join(manifest['domains'])}.")
    return manifest["domains"][domain]["sha256"]["train"], contents_in(store.workspace.corpus(corpus), (domain,))[0]


def verdict_on(moved: Change) -> tuple[str, str]:
    """What may be said of a change, and why."""
    if moved.settled < ENOUGH_SETTLED:
        return "cannot tell", (
            f"the runs settle {moved.settled:.0%} of what such text could change: too little of it resembles theirs. "
            "Train a few runs with it."
        )
    if abs(moved.aggregate) <= moved.half:
        return "cannot tell", "the interval includes 0."
    return (
        ("better", "the whole interval is on the better side of 0.")
        if moved.aggregate < 0
        else ("worse", "the whole interval is on the worse side of 0.")
    )


def _like(shares: np.ndarray, names: list[str]) -> list[dict[str, float | str]]:
    """The largest known parts of the nearest mixture."""
    order = [k for k in ordered(-shares) if shares[k] >= LIKE]
    return [{"domain": names[k], "share": float(shares[k])} for k in order]


def _notes(store: Store, study: studies.Study, corpus: str, process: ContentsProcess) -> list[str]:
    """What else has to be known of a value."""
    found = []
    if tokenizer_of(store, study.spec["corpus"]) != tokenizer_of(store, corpus):
        found.append("The two corpora have different tokenizers: the share is counted in this source's own tokens.")
    if not process.judged:
        found.append(
            "This rests on the runs of this study alone, or on too few of others: how well contents carry over to "
            "other domains was not checked."
        )
    return found
