"""Another target: where the surrogate learnt what repetition does, predictions and the best mixture move with it."""

import json

import numpy as np
import pytest

from engine.commands.rounds import repetition
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.jobs.spool import Job
from engine.league import run as run_league
from engine.spec.fidelity import PRESETS
from engine.spec.study import StudySpec
from engine.studies import fits
from engine.studies.fits import fit_of
from engine.studies.measured import aggregate_of, frame_of_study
from engine.studies.repeating import KNOWN, UNSEEN, UNSURE, Seen, beyond, curves, epochs_read, worth_of
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
    folder = store.spool.find(fits.queue_fit(store, found))
    run_league(Job(folder, store.workspace.root, json.loads((folder / "spec.json").read_text()) | {"repeats": 1}))
    store.ingest()
    return found


@pytest.mark.slow
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


def curves_of(store, study, tokens=BUDGET, at=(0.05, 0.95), name="epochs"):
    frame, aggregate = frame_of_study(study), aggregate_of(store, study)
    fit = fit_at(study, frame, fit_of(store, study, name), tokens)
    return curves(store, study, frame, fit, aggregate, np.array(at), tokens)


@pytest.mark.parametrize("tokens", [BUDGET, 4 * BUDGET])
def test_benefit_and_harm_over_epochs(store, study, tokens):
    """A domain is worth repeating up to where the law that made the losses turns, at the study's budget and another."""
    scarce, plenty = curves_of(store, study, tokens)
    assert (scarce.domain, len(scarce.read), scarce.dosed) == ("scarce", 30, [])
    assert scarce.here == pytest.approx(0.05 * tokens / TOKENS[0]) and scarce.most == pytest.approx(9.9)
    change, low, high = (np.array(one) for one in (scarce.change, scarce.low, scarce.high))
    own = scarce.epochs.index(scarce.here)
    assert change[own] == low[own] == high[own] == 0 and (low <= high).all()
    assert (np.array(scarce.fresh)[own:] <= change[own:] + 1e-9).all()
    grid = np.linspace(0, 9, 2001)
    wanted = grid[
        np.argmin([loss(np.array([e, 0]) * TOKENS / tokens + [0, 1 - e * TOKENS[0] / tokens], tokens) for e in grid])
    ]
    assert scarce.worth.low <= wanted * 1.2 and wanted * 0.8 <= scarce.worth.high
    assert plenty.epochs[-1] <= tokens / TOKENS[1] + 1e-9  # its text never repeats: all of the run is read once


@pytest.mark.parametrize("tokens", [1.0, 1e3, 1e14])
def test_absurd_targets_get_finite_curves(store, study, tokens):
    for curve in curves_of(store, study, tokens):
        assert np.isfinite([curve.change, curve.low, curve.high, curve.fresh]).all()
        assert np.abs(curve.change).max() < 100


def test_who_knows_shares_alone_says_so(store, study):
    with pytest.raises(Problem, match="Power law knows shares alone"):
        curves_of(store, study, name="power_law")


def test_a_mixture_beyond_the_runs_is_called_extrapolated(store, study):
    found = epochs_read(store, study, frame_of_study(study))
    assert beyond(DOMAINS, np.array([9.0, 0.1]), found) is None
    told = beyond(DOMAINS, np.array([200.0, 0.1]), found)
    assert "scarce is read 200 times, and no run read it more than 9.9" in told and "plenty" not in told
    many = beyond([f"d{i}" for i in range(9)], np.full(9, 40.0), Seen(np.full((4, 9), 2.0), []))
    assert "d2 is read 40 times" in many and "d3" not in many and "and 6 more" in many


def test_the_command_tells_the_same(store, study):
    told = repetition(store, study.id, 4 * BUDGET)
    assert told["tokens"] == 4 * BUDGET and json.loads(json.dumps(told)) == told
    if told["unknown"] is None:
        assert [one["domain"] for one in told["domains"]] == DOMAINS
    with pytest.raises(Problem, match="at least 1"):
        repetition(store, study.id, 0.0)


@pytest.mark.parametrize(
    ("mean", "verdict"), [([3, 1, 2, 3, 4], KNOWN), ([3, 2.9, 2, 1, 0], UNSEEN), ([1, 1, 1, 1, 1], UNSURE)]
)
def test_how_often_is_worth_it(mean, verdict):
    """The grid is 0, 2, ..., 8 epochs, and runs read up to 5."""
    grid, mean = 2.0 * np.arange(5), np.array(mean, float)
    drawn = mean + 0.1 * np.random.default_rng(0).normal(size=(200, 5))
    assert worth_of(grid, mean, drawn, 5.0).verdict == verdict
