"""Dose runs: planned with a study, trained on less of one domain, and compared with the run that saw all of it."""

import json

import pytest

from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.spec.fidelity import PRESETS
from engine.spec.study import StudySpec
from engine.studies.doses import doses, worth_repeating
from engine.studies.measured import aggregate_of, for_fitting
from store import studies
from store.database import Store
from store.from_journals import rebuild

DOMAINS = ["web", "books"]
POOLS = [
    {"domain": "web", "tokens": 1e9, "source": "given", "sample": 1e6},
    {"domain": "books", "tokens": 1e7, "source": "counted", "sample": 1e7},
]
RUNS = [  # role, weights, doses, loss of both domains
    ("design", [0.9, 0.1], None, 3.0),
    ("design", [0.5, 0.5], None, 3.2),
    ("repeat", [0.9, 0.1], None, 3.01),
    ("repeat", [0.9, 0.1], None, 2.99),
    ("repeat", [0.9, 0.1], None, 3.0),
    ("dose", [0.5, 0.5], [1.0, 0.5], 3.201),
    ("dose", [0.5, 0.5], [1.0, 0.25], 3.6),
    ("dose", [0.5, 0.5], [1.0, 0.125], 3.9),
    ("dose", [0.3, 0.7], [1.0, 0.5], 3.4),  # of a mixture that was not trained
]


@pytest.fixture
def study(store: Store) -> studies.Study:
    """A study whose runs are finished, with losses as above."""
    spec = StudySpec("Doses", PRESETS["demo"], target_tokens=1e8, dose_runs=4)
    store.write(StudyCreated(study="doses", name="Doses", spec=spec.to_dict()))
    rows = [
        {
            "id": f"doses-{n}",
            "number": n,
            "role": role,
            "weights": weights,
            "doses": cut,
            "seed": n,
            "job": "doses-train",
        }
        for n, (role, weights, cut, _) in enumerate(RUNS, 1)
    ]
    job = {"job": "doses-train", "spec": {"kind": "train"}}
    store.write(StudyPlanned("doses", DOMAINS, {"domains": {}, "pools": POOLS}, rows, [job]))
    store.spool.submit({"kind": "train"}, "doses-train")
    with open(store.spool.find("doses-train") / "events.jsonl", "ab") as journal:
        for n, (*_, loss) in enumerate(RUNS, 1):
            journal.write(finished(f"doses-{n}", loss))
    store.ingest()
    return studies.get(store, "doses")


def finished(run: str, loss: float, domains: list[str] = DOMAINS) -> bytes:
    by_domain = dict.fromkeys(domains, loss)
    facts = {"tokens": 9, "seconds": 1.0, "cpu_seconds": 1.0, "device": "cpu", "parameters": 1, "shares": [0.5, 0.5]}
    line = {"kind": "run.finished", "t": 1.0, "run": run, "losses": by_domain, "losses_se": by_domain, **facts}
    return json.dumps(line).encode() + b"\n"


def test_more_repetition_is_compared_with_the_run_that_saw_all(store, study):
    found = doses(store, study, aggregate_of(store, study))
    assert [(one.run, one.uncut) for one in found] == [(f"doses-{n}", "doses-2") for n in (6, 7, 8)]
    assert [round(one.more_epochs, 6) for one in found] == [10, 20, 40] and found[0].epochs == pytest.approx(5)
    assert [round(one.change, 6) for one in found] == [0.001, 0.4, 0.7]
    assert [one.harms for one in found] == [False, True, True]
    (told,) = worth_repeating(found)
    assert (told.domain, round(told.harmless), round(told.harmful)) == ("books", 10, 20)


def test_doses_teach_no_surrogate_of_shares(store, study):
    assert for_fitting(store, study.id).ids == ["doses-1", "doses-2"]
    assert study.roles["dose"] == 4


def test_doses_are_rebuilt_from_the_journals(store, study, workspace, tmp_path):
    asked = "SELECT id, doses FROM runs ORDER BY number"
    rebuild(workspace, tmp_path / "again.duckdb")
    again = Store(workspace, tmp_path / "again.duckdb")
    try:
        assert again.rows(asked) == store.rows(asked) and again.rows(asked)[5][1] == [1.0, 0.5]
    finally:
        again.close()
