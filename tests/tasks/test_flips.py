"""Negative flips: counted beyond noise on windows and items whose truth is known; told by a job that reads what runs
kept, and taken whatever the order of journals."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.corpus import windows
from engine.jobs.decisions import StudyMetric
from engine.jobs.spool import Job
from engine.spec.flips import CHANCE, WINDOWS, flips_of, items_of
from engine.spec.kinds.flips import FlipsTask, PlacedRun
from engine.spec.objectives import BITS
from engine.spec.study import StudySpec
from engine.studies.flips import flips_jobs
from engine.tasks import flips, outcomes
from engine.tasks.outcomes import Outcome
from store import runs
from store.database import Store
from tests.support.measured_study import measured_study
from tests.support.nasty import tell

COUNT, NOISE = 1000, 0.1


def losses(rng: np.random.Generator, level: np.ndarray, seeds: int) -> np.ndarray:
    return level + NOISE * rng.standard_normal((seeds, len(level)))


def test_noise_is_that_between_seeds_and_equal_runs_are_worse_as_often_as_chance():
    rng = np.random.default_rng(0)
    level = rng.uniform(1, 3, COUNT)
    reference = losses(rng, level, 5)
    noise = flips.noise_of([reference, losses(rng, level + 1, 1)])
    assert noise == pytest.approx(NOISE, rel=0.05)
    assert flips.noise_of([reference[:1]]) is None
    equal = [flips.worse_windows(losses(rng, level, 1)[0], reference, noise)[0] for _ in range(40)]
    assert np.mean(equal) == pytest.approx(CHANCE, abs=0.006)


def test_what_got_worse_is_counted_and_what_got_better_is_not():
    rng = np.random.default_rng(1)
    level = rng.uniform(1, 3, COUNT)
    reference = losses(rng, level, 5)
    change = np.where(np.arange(COUNT) < 200, 1.0, -1.0)
    share, error = flips.worse_windows(losses(rng, level + change, 1)[0], reference, NOISE)
    assert share == pytest.approx(0.2, abs=0.005) and error == pytest.approx(np.sqrt(0.2 * 0.8 / COUNT), rel=0.05)


def test_items_count_where_every_seed_of_the_reference_does_better():
    reference = np.array([[1, 1, 0, 1, np.nan], [1, 0, 0, 1, 1.0]])
    assert flips.worse_items(np.array([0, 0, 0, 1, 0.0]), reference)[0] == 0.25, "the first alone; the last is unknown"
    assert np.isnan(flips.worse_items(np.full(5, np.nan), reference)).all()


@pytest.fixture
def store(tmp_path):
    opened = Store(Workspace.open(tmp_path / "w"))
    yield opened
    opened.close()


METRICS = [
    StudyMetric(metric="d0", unit=BITS, higher_is_better=False, domain="d0"),
    StudyMetric(metric="d1", unit=BITS, higher_is_better=False, domain="d1"),
    *(StudyMetric(**asdict(one)) for one in flips_of("natural", [("t", 4)])),
]


def task(found, reference: int) -> FlipsTask:
    placed = [PlacedRun(id=run, number=n, weights=found.weights[n - 1].tolist()) for n, run in enumerate(found.ids, 1)]
    return FlipsTask(study="s", runs=placed, asked=found.ids, reference=found.ids[:reference], tasks=["t"])


def kept(store, run: str, level: float, right: list[float], rng: np.random.Generator) -> None:
    root = store.workspace.root
    bits = {name: level + NOISE * rng.standard_normal(400) for name in ("d0", "d1")}
    windows.save(windows.file_of(root, run), 32, 12_800, bits)
    outcomes.save(outcomes.file_of(root, run), {"t": Outcome(np.array(right), [""] * 4)})


@pytest.fixture
def study(store):
    """Three seeds of the reference, a run that is worse in all windows, one that is worse in an item."""
    weights = np.array([[0.5, 0.5]] * 3 + [[0.2, 0.8], [0.9, 0.1]])
    roles, nan = ["baseline", "repeat", "repeat", "design", "design"], [np.nan] * 2
    values = np.array([[1.0, 2.0, *nan]] * 5)
    found = measured_study(store, "s", weights, values, METRICS, roles, tasks=("t",), flips=True)
    rng, ids = np.random.default_rng(0), runs.measured(store, "s").ids
    for run, level, right in zip(ids, (1, 1, 1, 2, 1), ([1, 1, 1, 0],) * 4 + ([0, 1, 1, 0],), strict=True):
        kept(store, run, float(level), list(map(float, right)), rng)
    return found


def queue(store, asked: FlipsTask) -> dict:
    """The job is run, and what it says."""
    store.submit("s-flips", asked.spec(), "s")
    store.ingest()
    folder = store.spool.find("s-flips")
    flips.run(Job(folder, store.workspace.root, json.loads((folder / "spec.json").read_text())))
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return next(line for line in lines if line["kind"] == "runs.compared")


def test_the_job_tells_of_each_run_and_it_lands_beside_what_was_measured(store, study):
    there = runs.measured(store, "s")
    assert np.isnan(there.losses[:, 2:]).all()
    queue(store, task(there, 3))
    store.ingest()
    found = runs.measured(store, "s").losses
    np.testing.assert_array_equal(found[:, :2], there.losses[:, :2])
    assert found[3, 2] > 0.99 and (found[[0, 1, 2, 4], 2] < 0.08).all()
    np.testing.assert_array_equal(found[:, 3], [0, 0, 0, 0, 0.25])
    assert runs.standard_errors(store, "s", 4)[there.ids[4]][3] == pytest.approx(np.sqrt(0.25 * 0.75 / 4))


def test_journals_in_another_order_give_the_same(store, study, tmp_path):
    from store.from_journals import rebuild

    queue(store, task(runs.measured(store, "s"), 3))
    store.ingest()
    found = runs.measured(store, "s").losses
    fresh = tmp_path / "rebuilt.duckdb"
    rebuild(store.workspace, fresh)
    again = Store(store.workspace, fresh)
    np.testing.assert_array_equal(runs.measured(again, "s").losses, found)
    again.close()


def test_runs_that_kept_nothing_are_counted_and_a_reference_of_one_seed_is_refused(store, study):
    there = runs.measured(store, "s")
    windows.file_of(store.workspace.root, there.ids[4]).unlink()
    line = queue(store, task(there, 3))
    assert {one["id"] for one in line["runs"]} == {*there.ids[:4]}
    assert "1 of 5 runs kept no windows" in (store.spool.find("s-flips") / "events.jsonl").read_text()
    with pytest.raises(Problem, match="1 runs of its reference kept their windows"):
        flips.compared(task(there, 1), flips.Kept.load(store.workspace.root, there.ids, ["t"]))


def test_a_job_may_compare_and_change_nothing_else(store, study):
    """A value of another metric, of another study's run, or from a job of another kind is set aside."""
    own = {"id": "s-00004", "number": 4, "losses": {WINDOWS: 0.1}, "losses_se": {WINDOWS: 0.1}}
    wrong = [
        ("flips", {**own, "losses": {"d0": 0.0}}, "is not a comparison of its study"),
        ("flips", {**own, "id": "other-00004"}, "is not an id of its study"),
        ("flips", {**own, "losses_se": {WINDOWS: -1.0}}, "is below 0"),
        ("train", own, "runs.compared"),
    ]
    for place, (kind, told, why) in enumerate(wrong):
        spec = task(runs.measured(store, "s"), 3).spec() if kind == "flips" else {"kind": "train", "study": "s"}
        store.submit(f"job-{place}", spec, "s")
        line = {"kind": "runs.compared", "study": "s", "runs": [told]}
        with pytest.raises(AssertionError):
            tell(store, f"job-{place}", {"kind": "job.started"}, line)
        said = [reason for *_, reason in runs.corrupt_lines(store)]
        assert any(why in reason for reason in said), (why, said)
    assert np.isnan(runs.measured(store, "s").losses[:, 2:]).all()


def test_jobs_wait_for_the_runs_that_they_compare():
    spec = StudySpec.from_dict({"name": "x", "flips": True, "repeats": 2, "tasks": ["t"]})
    rows = [
        {"id": f"x-{n}", "number": n, "weights": [w, 1 - w], "role": role, "job": job}
        for n, (w, role, job) in enumerate(
            [(0.5, "baseline", "a"), (0.5, "repeat", "b"), (0.2, "design", "a"), (0.5, "dose", "c")], 1
        )
    ]
    (made,) = flips_jobs(spec, "x", rows, rows, np.array([0.5, 0.5]))
    assert made["job"] == "x-flips-00001" and made["spec"]["depends_on"] == ["a", "b", "c"]
    assert made["spec"]["reference"] == ["x-1", "x-2"] and len(made["spec"]["asked"]) == 4
    (later,) = flips_jobs(spec, "x", rows[2:3], rows, np.array([0.5, 0.5]))
    assert later["spec"]["asked"] == ["x-3"] and later["spec"]["depends_on"] == ["a", "b"]
    assert flips_jobs(spec, "x", rows, rows, np.array([0.2, 0.8])) == [], "the reference has one seed"
    plain = StudySpec.from_dict({"name": "x"})
    assert flips_jobs(plain, "x", rows, rows, np.array([0.5, 0.5])) == []


def test_flips_count_for_nothing_unless_somebody_says_so_and_need_repeats():
    text, item = flips_of("natural", [("t", 40)])
    assert (text.metric, text.usual, text.priority, text.chance) == (WINDOWS, 0.0, 0.0, CHANCE)
    assert (item.metric, item.items, item.task) == (items_of("t"), 40, None)
    with pytest.raises(Problem, match="at least 1, since flips are beyond noise"):
        StudySpec.from_dict({"name": "x", "flips": True, "repeats": 0})
    with pytest.raises(Problem, match="false for merges"):
        StudySpec.from_dict({"name": "x", "flips": True, "merge": {"of": "demo"}})
