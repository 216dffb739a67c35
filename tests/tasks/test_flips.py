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
from engine.studies import advance
from engine.studies.flips import count_flips_if_due, flips_due, flips_to_come
from engine.studies.measured import frame_of_study
from engine.tasks import flips, outcomes
from engine.tasks.outcomes import Outcome
from store import runs, studies
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


def test_merges_are_judged_by_the_tokens_of_a_window():
    """Tokens of a window differ by noise: equal models are worse on as many windows as chance has it, whose losses are
    higher on 200 of 1,000 on those."""
    rng = np.random.default_rng(2)
    base = rng.exponential(1.0, (COUNT, 64))
    base[:, 60:] = np.nan  # tokens that are never predicted
    equal = base + 0.3 * rng.standard_normal(base.shape)
    assert flips.worse_by_tokens(equal, base)[0] == pytest.approx(CHANCE, abs=0.015)
    assert flips.worse_by_tokens(base, base)[0] == flips.worse_by_tokens(base + 1e-9, base)[0] == 0
    changed = equal + np.where(np.arange(COUNT) < 200, 1.0, -1.0)[:, None]
    share, error = flips.worse_by_tokens(changed, base)
    assert share == 0.2 and error == pytest.approx(np.sqrt(0.2 * 0.8 / COUNT), rel=0.05)
    single = np.full((2, 64), np.nan)
    single[:, 0] = 1.0
    assert flips.worse_by_tokens(single + 1, single)[0] == 0, "one token tells nothing"


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
    assert runs.standard_errors(store, "s", 4)[there.ids[4]][3] == pytest.approx(np.sqrt(3 / 8 * 5 / 8 / 8))


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


def due(store, *more) -> list[dict]:
    return [spec for _, spec in flips_due(store, studies.get(store, "due"))]


def test_flips_are_due_once_all_runs_of_a_size_have_ended_and_once(store):
    prior = frame_of_study(measured_study(store, "plan", np.full((2, 2), 0.5), np.ones((2, 4)), METRICS)).prior
    weights = np.array([prior, prior, [0.2, 0.8], prior, [0.3, 0.7]])
    roles, values = ["baseline", "repeat", "design", "dose", "proposed"], np.tile([1.0, 2.0, np.nan, np.nan], (5, 1))
    asked = measured_study(store, "due", weights, values, METRICS, roles, tasks=("t",), flips=True, repeats=1)
    (spec,) = due(store)
    ids = runs.measured(store, "due").ids
    assert (
        spec["reference"] == ids[:2]
        and len(spec["asked"]) == 5
        and [one["number"] for one in spec["runs"]] == [1, 2, 3, 5]
    )
    assert flips_to_come(store, asked) and not advance.fit_is_due(store, asked)
    count_flips_if_due(store, asked)
    assert due(store) == [] and flips_to_come(store, asked), "the job waits"
    plain = measured_study(store, "plain", weights, values, METRICS, roles)
    assert flips_due(store, plain) == [] and not flips_to_come(store, plain)


def test_a_reference_of_one_seed_is_said_before_anything_is_fitted(store):
    weights, values = np.array([[0.2, 0.8]] * 6), np.tile([1.0, 2.0, np.nan, np.nan], (6, 1))
    one = measured_study(store, "one", weights, values, METRICS, flips=True, tasks=("t",))
    with pytest.raises(Problem, match="0 runs of the prior mixture ended well"):
        flips_due(store, one)
    advance.advance(store)
    assert studies.get(store, "one").state == "failed"


def test_flips_count_for_nothing_unless_somebody_says_so_and_need_repeats():
    text, item = flips_of("natural", [("t", 40)])
    assert (text.metric, text.usual, text.priority, text.chance) == (WINDOWS, 0.0, 0.0, CHANCE)
    assert (item.metric, item.items, item.task) == (items_of("t"), 40, None)
    with pytest.raises(Problem, match="at least 1, since flips are beyond noise"):
        StudySpec.from_dict({"name": "x", "flips": True, "repeats": 0})
    assert StudySpec.from_dict({"name": "x", "flips": True, "repeats": 0, "merge": {"of": "demo"}}).flips
