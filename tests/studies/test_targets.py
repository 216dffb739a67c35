"""Another target: where the surrogate learnt what repetition does, predictions and the best mixture move with it."""

import json

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.jobs.spool import Job
from engine.league import run as run_league
from engine.spec.fidelity import PRESETS
from engine.spec.study import StudySpec
from engine.studies import advance
from engine.studies.fits import fit_of
from engine.studies.measured import aggregate_of, frame_of_study
from engine.studies.targets import best_at, fit_at, frame_at
from store import studies
from store.database import Store
from tests.studies.test_doses import finished

DOMAINS, TOKENS, BUDGET = ["scarce", "plenty"], np.array([1e7, 1e9]), 1e8
POOLS = [{"domain": d, "tokens": t, "source": "given", "sample": t} for d, t in zip(DOMAINS, TOKENS, strict=True)]


def loss(shares: np.ndarray, budget: float = BUDGET) -> float:
    """The scarce text teaches more, and harms when it was read too often."""
    passes = shares * budget / TOKENS
    return float(
        2 + np.exp(0.4 - 0.8 * (1 - np.exp(-passes[0] / 2)) + 0.1 * np.log1p(passes[0]) ** 2 - 0.2 * shares[1])
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(Workspace.open(tmp_path_factory.mktemp("targets") / "workspace"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def study(store: Store) -> studies.Study:
    """A fitted study of two domains, whose proxies saw the real run's repetition."""
    spec = StudySpec(
        "Targets", PRESETS["demo"], target_tokens=BUDGET, epoch_cap=50.0, surrogates=("power_law", "epochs")
    )
    store.write(StudyCreated(study="targets", name="Targets", spec=spec.to_dict()))
    shares = [[x, 1 - x] for x in np.linspace(0.01, 0.99, 30).tolist()]
    rows = [
        {"id": f"targets-{n}", "number": n, "role": "design", "weights": w, "seed": n, "job": "targets-train"}
        for n, w in enumerate(shares, 1)
    ]
    job = {"job": "targets-train", "spec": {"kind": "train"}}
    store.write(StudyPlanned("targets", DOMAINS, {"domains": {}, "pools": POOLS}, rows, [job]))
    store.spool.submit({"kind": "train"}, "targets-train")
    with open(store.spool.find("targets-train") / "events.jsonl", "ab") as journal:
        for n, w in enumerate(shares, 1):
            journal.write(finished(f"targets-{n}", loss(np.array(w)), DOMAINS))
    store.ingest()
    found = studies.get(store, "targets")
    folder = store.spool.find(advance.queue_fit(store, found))
    run_league(Job(folder, store.workspace.root, json.loads((folder / "spec.json").read_text())))
    store.ingest()
    return found


def test_the_best_mixture_moves_with_the_target(store, study):
    frame, fit = frame_of_study(study), fit_of(store, study, "epochs")
    aggregate = aggregate_of(store, study)
    here, more = best_at(frame, fit, aggregate), fit_at(study, frame, fit, 5 * BUDGET)
    there = best_at(frame_at(study, 5 * BUDGET), more, aggregate)
    grid = np.array([[x, 1 - x] for x in np.linspace(0, 1, 2001)])
    for found, budget in ((here, BUDGET), (there, 5 * BUDGET)):
        wanted = grid[np.argmin([loss(shares, budget) for shares in grid])]
        assert found.shares == pytest.approx(wanted, abs=0.1)
    assert there.shares[0] < 0.5 * here.shares[0]
    assert fit_at(study, frame, fit, BUDGET) is fit


def test_a_surrogate_of_shares_alone_stays_as_it_is(store, study):
    frame, fit = frame_of_study(study), fit_of(store, study, "power_law")
    assert fit_at(study, frame, fit, 5 * BUDGET) is fit


def test_a_target_that_no_mixture_can_keep_to_is_refused(study):
    with pytest.raises(Problem, match="1,000,000,000,000 tokens within 50 epochs"):
        frame_at(study, 1e12)
