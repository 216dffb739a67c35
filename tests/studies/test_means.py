"""Means over scripts and alphabets are relative to the natural mixture, unless somebody says otherwise."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.people import Person, Refused, as_person
from engine.corpus.build import run as build
from engine.jobs.decisions import StudyCreated
from engine.jobs.spool import Job
from engine.spec.study import StudySpec
from engine.studies import lifecycle
from engine.studies.advance import advance
from engine.studies.corpora import build_corpus
from engine.studies.means import UNKNOWN, WAITING, mean_of
from engine.studies.measured import aggregate_of, aggregate_over, frame_of_study
from store import studies
from store.database import Store
from store.from_journals import rebuild
from store.runs import Measured

ROWS = 250


def words(seed: int, letters: str = "abdefghiklmnoprstu") -> str:
    """About 130 kB of made words, a record on each line."""
    rng = np.random.default_rng(seed)
    drawn = ["".join(rng.choice(list(letters), size)) for size in rng.integers(2, 8, ROWS * 100)]
    return "\n".join(json.dumps({"text": " ".join(drawn[i : i + 100])}) for i in range(0, len(drawn), 100))


def genes(seed: int) -> str:
    rng = np.random.default_rng(seed)
    return "\n".join(json.dumps({"text": "".join(rng.choice(list("ACGT"), 500))}) for _ in range(ROWS))


DOMAINS = {
    "prose": words(1),
    "notes": words(2),
    "russian": words(3, "абдефгиклмнопрсту"),
    "genes": genes(4),
    "sums": words(5, "0123456789"),
}
ASKED = {  # name of a corpus -> its domains, and what is said of them
    "scripts": (("prose", "russian"), "Latin: prose; Cyrillic: russian"),
    "sequences": (("genes", "notes", "prose"), "DNA: genes; Latin: notes, prose"),
    "same": (("prose", "notes", "sums"), None),
}


@pytest.fixture
def made(store: Store, tmp_path: Path):
    """A function that builds a corpus and plans a study of it."""

    def make(name: str, **settings) -> studies.Study:
        for domain in ASKED[name][0]:
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{domain}.jsonl").write_text(DOMAINS[domain])
        job = build_corpus(store, name, {"source": {"type": "folder", "path": str(tmp_path / name)}}).id
        place = store.spool.find(job)
        build(Job(place, store.workspace.root, json.loads((place / "spec.json").read_text())))
        store.ingest()
        return begun(store, name, **settings)

    return make


def begun(store: Store, corpus: str, name: str = "S", **settings) -> studies.Study:
    spec = StudySpec.from_dict({"name": name, "corpus": corpus, "runs": 12, "fidelity": "demo", **settings})
    return studies.get(store, lifecycle.create(store, spec))


def runs_at(study: studies.Study, natural: bool) -> Measured:
    """Two measured runs: the first of the natural mixture, if asked, the other elsewhere."""
    count, size = len(study.coordinates), len(study.metrics)
    points = np.array([frame_of_study(study).prior if natural else np.eye(count)[0], np.eye(count)[1]])
    losses = np.stack([np.linspace(1.0, 4.0, size), np.linspace(2.0, 3.0, size)])
    return Measured(["a", "b"], ["natural", None], ["baseline", "design"], points, losses)


@pytest.mark.parametrize("name", ["scripts", "sequences"])
def test_means_of_several_alphabets_are_relative_by_themselves(store, made, name):
    study = made(name)
    assert study.spec["relative"] is None and mean_of(study).relative
    waiting = aggregate_of(store, study)
    assert waiting.unit == "bits per byte" and waiting.note.endswith(WAITING) and ASKED[name][1] in waiting.note
    assert aggregate_over(study, runs_at(study, natural=False)).unit == "bits per byte"
    by = aggregate_over(study, runs_at(study, natural=True))
    assert by.title == "mean relative loss" and ASKED[name][1] in by.note
    assert by.note.startswith("Means are relative to the natural mixture")
    assert by.of(runs_at(study, natural=True).losses)[0] == pytest.approx(1.0)
    shown = COMMANDS["show"](store, study.id)
    assert shown["aggregate"]["note"] == waiting.note
    alone = aggregate_over(study, runs_at(study, natural=True), dict.fromkeys(study.metrics, 0.0) | {"prose": 1.0})
    assert (alone.unit, alone.note) == ("bits per byte", None), "of one alphabet, if no other counts"


def test_means_of_one_alphabet_stay_plain(store, made):
    by = aggregate_over(study := made("same"), runs_at(study, natural=True))
    assert not mean_of(study).relative and (by.unit, by.note) == ("bits per byte", None)


def test_it_can_be_turned_off_before_and_after(store, workspace, made, tmp_path):
    study = made("scripts")
    for asked in (False, True, None):
        answer = COMMANDS["choose_mean"](store, study.id, asked)
        now = studies.get(store, study.id)
        assert now.spec["relative"] is asked and mean_of(now).relative is (asked is not False)
        assert (answer["aggregate"]["note"] is None) is (asked is False)
    plain = begun(store, "scripts", "Plain", relative=False)
    assert aggregate_over(plain, runs_at(plain, natural=True)).note is None
    rebuild(workspace, tmp_path / "again.duckdb")
    again = Store(workspace, tmp_path / "again.duckdb")
    assert studies.get(again, plain.id).spec["relative"] is False
    assert studies.get(again, study.id).spec == studies.get(store, study.id).spec
    again.close()
    with as_person(Person("r@example.org", "viewer")), pytest.raises(Refused):
        lifecycle.choose_mean(store, study, False)


def test_studies_of_before_stay_as_they_were(store, made):
    study = made("scripts")
    spec = {name: value for name, value in study.spec.items() if name != "relative"}
    for old in (spec, spec | {"relative": False}):
        store.write(StudyCreated(f"old-{len(old)}", f"Old {len(old)}", old))
    advance(store)
    for one in studies.all_studies(store):
        if one.id.startswith("old"):
            assert aggregate_of(store, one).note is None and not mean_of(one).relative


def test_merges_of_several_alphabets_say_that_their_mean_is_plain(store, made):
    made("scripts")
    study = begun(store, "scripts", "Merges", merge={"method": "task_arithmetic"})
    by = aggregate_of(store, study)
    assert by.unit == "bits per byte" and "plain mean is mostly that of" in by.note and ASKED["scripts"][1] in by.note
    with pytest.raises(Problem, match="study of merges"):
        lifecycle.choose_mean(store, study, True)


def test_what_is_not_known_is_said(store):
    spec = {"name": "Lab", "trainer": "external", "size": {"parameters": 1e9, "tokens": 1e10}, "domains": ["a", "b"]}
    lab = studies.get(store, lifecycle.create(store, StudySpec.from_dict(spec)))
    assert aggregate_of(store, lab).note == UNKNOWN and not mean_of(lab).relative
    COMMANDS["choose_mean"](store, lab.id, False)
    assert aggregate_of(store, studies.get(store, lab.id)).note is None
