"""The runs of all studies that compare with one, as one table over the contents of their text. Uses the store.

Runs compare where they are of one size, recipe and tokenizer, saw their text uncut, and measured a metric on the same
validation text. Then a mixture's contents are its coordinates, whatever its domains are called
(engine/corpus/contents.py). Every other study is named with what is in the way. D domains, C cells.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.analysis.contents import ContentsProcess
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.corpus.contents import CELLS, contents_of, mixed
from engine.corpus.shelf import load, read_manifest
from engine.metrics import measured_by
from engine.spec.repetition import is_matched
from engine.spec.sizes import SAME, own_size, sizes_of
from engine.spec.study import StudySpec
from engine.studies.measured import for_fitting, frame_of_study
from store import corpora, runs, studies
from store.database import Store

Key = tuple[str, str]  # a metric's name, and the hash of the validation text that it was measured on


@dataclass(frozen=True)
class OtherStudy:
    """A study beside the own one. runs: how many of its runs count; metrics: of the own study's, those that it measured
    too; why: what is in the way, where none counts."""

    study: str
    name: str
    runs: int
    metrics: list[str]
    why: str | None = None


@dataclass(frozen=True)
class Table:
    """points (R, C): distributions over cells; losses (R, M) by the own study's metrics, NaN where a study lacks
    one; origin (R,): the place of each run's study in `studies`, 0 the own one; own (D, C): contents of its
    domains; known (K, C), names (K,): of all domains that the runs were trained on, and what they are called; studies:
    all of them, those that do not count too."""

    points: np.ndarray
    losses: np.ndarray
    origin: np.ndarray
    own: np.ndarray
    known: np.ndarray
    names: list[str]
    studies: list[OtherStudy]

    def process(self) -> ContentsProcess:
        """The process over these runs, fitted once for the same ones. Raises Problem where they are too few."""
        arrays = (self.points, self.losses, self.origin.astype(float))
        return _fitted(len(self.points), *(array.tobytes() for array in arrays))


@lru_cache(maxsize=8)
def _fitted(count: int, *contents: bytes) -> ContentsProcess:
    """The process of runs whose arrays have these bytes."""
    points, losses, origin = (np.frombuffer(one).reshape(count, -1) for one in contents)
    return ContentsProcess.of(points, losses, origin[:, 0].astype(int))


def table_of(store: Store, study: studies.Study) -> Table:
    """The runs that compare with those of a study, its own first. Raises Problem where its own contents are unknown."""
    if (why := _unknown(store, study)) is not None:
        raise Problem(f"Cannot tell what text is worth to {study.name!r}: {why}.")
    oldest_first = reversed(studies.all_studies(store))  # so that a run counts where it was trained
    others = [one for one in oldest_first if one.id != study.id and one.kind != "merge"]
    taken: set[str | None] = set()
    parts = [_part(store, study, one, taken) for one in (study, *others)]
    counts = [len(part.points) for part in parts]
    return Table(
        points=np.concatenate([part.points for part in parts]),
        losses=np.concatenate([part.losses for part in parts]),
        origin=np.repeat(np.arange(len(parts)), counts),
        own=contents_of_study(store, study),
        known=np.concatenate([part.known for part in parts]),
        names=[name for part in parts for name in part.names],
        studies=[part.beside for part in parts],
    )


class Part(NamedTuple):
    """What one study gives to a table: its fields there, of its own runs."""

    points: np.ndarray
    losses: np.ndarray
    known: np.ndarray
    names: list[str]
    beside: OtherStudy


def _part(store: Store, study: studies.Study, other: studies.Study, taken: set[str | None]) -> Part:
    """The runs of a study that count for a study. taken: ids of runs that count already; its own are added."""
    keys, theirs, measured = keys_of(study), keys_of(other), for_fitting(store, other.id)
    fresh = [i for i, one in enumerate(measured.ids) if one not in taken and measured.labels[i] not in taken]
    shared = [name for name, key in zip(study.metrics, keys, strict=True) if key in theirs]
    try:
        why = _in_the_way(store, study, other) or _nothing_new(shared, len(fresh), len(measured.ids))
    except Problem as problem:  # sizes in two units, or what is kept of it is damaged
        why = str(problem)
    if why and other.id == study.id:
        raise Problem(f"Cannot tell what text is worth to {study.name!r}: {why}.")
    if why:
        beside = OtherStudy(other.id, other.name, 0, [], why)
        return Part(np.empty((0, CELLS)), np.empty((0, len(keys))), np.empty((0, CELLS)), [], beside)
    measured, contents = measured.take(fresh), contents_of_study(store, other)
    carried = {label for role, label in zip(measured.roles, measured.labels, strict=True) if role == "carried"}
    taken.update(measured.ids, carried)
    used = measured.weights.max(axis=0) > 0
    return Part(
        points=mixed(measured.weights, contents),
        losses=_columns(measured.losses, theirs, keys),
        known=contents[used],
        names=[f"{other.name}: {domain}" for domain, trained in zip(other.domains, used, strict=True) if trained],
        beside=OtherStudy(other.id, other.name, len(fresh), shared),
    )


def contents_of_study(store: Store, study: studies.Study) -> np.ndarray:
    """(D, C) the contents of a study's domains. Raises Problem where its corpus is not there, or damaged."""
    return contents_in(store.workspace.corpus(study.spec["corpus"]), tuple(study.domains))


def contents_in(folder: Path, domains: tuple[str, ...]) -> np.ndarray:
    """(D, C) the contents of some domains of a corpus, read once. Raises Problem where it is not there, or damaged."""
    facts = read_manifest(folder)["domains"]
    if missing := [name for name in domains if name not in facts]:
        raise Problem(f"Cannot read {listed(missing)} of the corpus {folder.name!r}: it has {listed(list(facts))}.")
    return _contents(folder, domains, tuple(facts[name]["sha256"]["train"] for name in domains))


@lru_cache(maxsize=64)
def _contents(folder: Path, domains: tuple[str, ...], text: tuple[str, ...]) -> np.ndarray:
    """The same, where the training text has these hashes."""
    corpus = load(folder)
    return contents_of(corpus)[[corpus.domains.index(name) for name in domains]]


def keys_of(study: studies.Study) -> list[Key]:
    """What each metric of a study measures, in the order of its losses; none where its text is unknown."""
    if study.elsewhere or not study.coordinates or study.corpus is None:
        return []
    facts = [study.corpus["domains"].get(name, {}).get("sha256", {}).get("valid", name) for name in study.domains]
    return [(metric.name, text) for metric in measured_by(study.spec.get("metrics", ())) for text in facts]


def _columns(losses: np.ndarray, theirs: list[Key], wanted: list[Key]) -> np.ndarray:
    """(R, M) losses by the wanted metrics, NaN where they are not among theirs."""
    found = np.full((len(losses), len(wanted)), np.nan)
    for column, key in enumerate(wanted):
        if key in theirs:
            found[:, column] = losses[:, theirs.index(key)]
    return found


def _unknown(store: Store, study: studies.Study) -> str | None:
    """Why a study's contents are not known; None where they are."""
    if study.kind == "merge":
        return "a merge has no text of its own"
    if study.elsewhere:
        return "its runs were trained elsewhere without text, so the contents of its domains are unknown"
    if not study.coordinates or study.corpus is None:
        return "it is not planned yet"
    if _cut(study):
        return "its proxies saw cut text, as the real run repeats it, and contents do not tell repetition"
    name = study.spec["corpus"]
    try:
        here, then = read_manifest(store.workspace.corpus(name))["domains"], study.corpus["domains"]
        if any(here.get(one, {}).get("sha256") != then[one].get("sha256") for one in study.domains):
            return f"the corpus {name!r} is of other text than it was trained on"
        contents_of_study(store, study)
    except Problem as problem:
        return f"its text is not there ({problem})"
    return None


def _cut(study: studies.Study) -> bool:
    """Whether its proxies saw less text than was read."""
    return is_matched(StudySpec.from_dict(study.spec), frame_of_study(study))


def _in_the_way(store: Store, study: studies.Study, other: studies.Study) -> str | None:
    """Why another study's runs do not compare; None where they do."""
    if (why := _unknown(store, other)) is not None:
        return why
    one, two = study.spec["fidelity"], other.spec["fidelity"]
    if changed := [f"{name} {two.get(name)} instead of {own}" for name, own in one.items() if two.get(name) != own]:
        return f"its proxies are others: {listed(changed, 3)}"
    if tokenizer_of(store, study.spec["corpus"]) != tokenizer_of(store, other.spec["corpus"]):
        return "its corpus has another tokenizer"
    own, theirs = _size(store, study), _size(store, other)
    same = own is None or theirs is None or (np.abs(np.log(theirs / own)) <= SAME).all()
    return None if same else "most of its runs are of another size"


def tokenizer_of(store: Store, corpus: str) -> dict[str, Any]:
    """What a built corpus' manifest says of its tokenizer."""
    found: dict[str, Any] = (corpora.manifest(store, corpus) or {"tokenizer": {}})["tokenizer"]
    return {**found, "corpus": corpus} if found.get("type") == "ids" else found  # nothing says whose ids they are


def _size(store: Store, study: studies.Study) -> np.ndarray | None:
    """(2,) weights and tokens of the runs that surrogates of shares take, 1 where untold; None where no run tells."""
    sizes = sizes_of(runs.own_fidelity(store, study.id))[0]
    return np.array([x or 1.0 for x in sizes[own_size(sizes)].place]) if sizes else None


def _nothing_new(shared: list[str], fresh: int, done: int) -> str | None:
    if not shared:
        return "it measured nothing on the same validation text"
    if not fresh:
        return "its runs are carried over, and count already" if done else "none of its runs is done"
    return None
