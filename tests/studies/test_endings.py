"""Ends of runs in training, predicted from what finished runs became of the same early losses."""

import numpy as np
import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyMetric
from engine.spec.objectives import BITS
from store.database import Store
from tests.support.measured_study import in_training, measured_study

METRICS = [StudyMetric(metric=f"d{k}", unit=BITS, higher_is_better=False, domain=f"d{k}") for k in range(3)]
METRICS += [StudyMetric(metric="quiz", unit="accuracy", higher_is_better=True, task="quiz", chance=0.25, items=99)]
NOISE = 0.003


def trained(store: Store, name: str, done: int = 30, more: int = 6) -> dict[str, np.ndarray]:
    """A study of `done` finished runs and some that train. Returns what each of these will measure, by its id: the last
    is far worse than all others, the one before it far better."""
    rng = np.random.default_rng(7)
    shares = rng.dirichlet(np.ones(3), done + more)
    early = 2.5 - shares @ [[0.6, 0.1, 0.0], [0.1, 0.5, 0.0], [0.0, 0.0, 0.4]] + 0.05 * rng.random((done + more, 3))
    early[-2:] += [[-0.5], [0.5]]
    finals = 0.3 + 0.7 * early + NOISE * rng.standard_normal(early.shape)
    values = np.column_stack([finals, 0.9 - 0.2 * finals.mean(axis=1)])
    looks = {250: early, 500: early - 0.1}
    first = {tokens: losses[:done] for tokens, losses in looks.items()}
    study = measured_study(store, name, shares[:done], values[:done], METRICS, looks=first)
    asked = in_training(store, study, shares[done:], {250: early[done:]})
    return dict(zip(asked, values[done:], strict=True))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(Workspace.open(tmp_path_factory.mktemp("endings") / "workspace"))
    with as_person(SYSTEM):
        yield opened
    opened.close()


@pytest.fixture(scope="module")
def truth(store):
    return trained(store, "many")


def test_runs_in_training_are_predicted_with_intervals_that_hold(store, truth):
    found = COMMANDS["curves"](store, "many")
    assert [one["run"] for one in found["runs"]] == list(truth) and found["note"] is None
    for one in found["runs"]:
        assert (one["tokens"], one["whole"], one["taught"]) == (250, 1000, 30)
        wanted = truth[one["run"]]
        mean = one["aggregate"]
        assert abs(mean["mean"] - wanted[:3].mean()) < mean["high"] - mean["low"] < 0.2
        assert [row["metric"] for row in one["metrics"]] == ["d0", "d1", "d2", "quiz"]
        for row, value in zip(one["metrics"], wanted, strict=True):
            assert row["low"] < row["high"] and abs(row["mean"] - value) < row["high"] - row["low"]
    assert [one["verdict"] for one in found["runs"]][-2:] == ["better", "worse"]


def test_finished_runs_say_how_far_predictions_hold(store, truth):
    first, second = COMMANDS["curves"](store, "many")["judged"]
    assert (first["tokens"], second["tokens"], first["runs"]) == (250, 500, 30)
    for one in (first, second):
        assert one["error"] < 2 * NOISE < one["spread"] and one["inside"] > 0.8


def test_priorities_say_what_is_predicted(store, truth):
    found = COMMANDS["curves"](store, "many", priorities={"d0": 1.0, "d1": 0.0, "d2": 0.0})
    one = found["runs"][0]
    assert one["aggregate"]["mean"] == pytest.approx(one["metrics"][0]["mean"], abs=1e-9)
    found = COMMANDS["curves"](store, "many", priorities={"quiz": 1.0, "d0": 0.0, "d1": 0.0, "d2": 0.0})
    assert found["unit"] == "accuracy" and found["runs"][-2]["verdict"] == "better", "higher is better"


def test_too_few_finished_runs_predict_nothing_and_say_so(store):
    trained(store, "few", done=5)
    found = COMMANDS["curves"](store, "few")
    assert not found["runs"] and not found["judged"] and found["waiting"] == 6
    assert found["note"].startswith("6 runs in training without a predicted end") and "8 finished runs" in found["note"]


def test_a_study_that_trains_nothing_is_refused(store):
    folder = store.workspace.root / "imports"
    folder.mkdir(exist_ok=True)
    rows = [f"run {n},{n / 20},{1 - n / 20},{2 - n / 20}" for n in range(20)]
    (folder / "runs.csv").write_text("\n".join(["run,w_a,w_b,loss a", *rows]))
    COMMANDS["import_runs"](store, "elsewhere", "flat", "runs.csv", surrogates=["log_linear"])
    with pytest.raises(Problem, match="trained elsewhere"):
        COMMANDS["curves"](store, "elsewhere")
