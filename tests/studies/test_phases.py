"""Phases of a study: planned in both orders, judged once they are measured, predicted, searched and exported."""

import numpy as np
import pytest
import yaml

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyMetric
from engine.review.evidence import of_candidate
from engine.spec.objectives import BITS
from engine.spec.phases import furthest, order_of, phases_at, random_order
from engine.studies.measured import for_fitting
from engine.studies.schedules import ONE_MIXTURE
from store import studies
from store.confirm_runs import Confirmed
from store.database import Store
from store.from_journals import rebuild
from tests.support.measured_study import fit, measured_study

FRACTIONS = np.array([0.8, 0.2])
PHASES = ({"fraction": 0.8}, {"fraction": 0.2})
METRICS = [StudyMetric(metric=f"d{k}", unit=BITS, higher_is_better=False, domain=f"d{k}") for k in range(3)]
NOISE = 0.005


def made(store: Store, name: str, late: float, pairs: int = 12, done: int | None = None) -> studies.Study:
    """A study whose first loss falls by `late` x what of d0 is read late; done: how many of its pairs are measured."""
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(3), 30).round(6)
    weights[:, 2] = 1 - weights[:, :2].sum(axis=1)
    phases: list[np.ndarray | None] = [None] * len(weights)
    for one in weights[: pairs if done is None else done]:
        direction = random_order(one, rng)
        order = furthest(one, direction, FRACTIONS) * direction
        phases += [np.maximum(0, phases_at(one, sign * order, FRACTIONS)) for sign in (1, -1)]
    totals = np.array([*weights, *(FRACTIONS @ one for one in phases if one is not None)])
    losses = 1 + (totals + 0.1) ** -0.3 + NOISE * rng.standard_normal(totals.shape)
    for row, one in enumerate(phases):
        losses[row, 0] += 0.0 if one is None else late * order_of(one, FRACTIONS)[0]
    roles = ["design"] * len(weights) + ["phased"] * (len(phases) - len(weights))
    spec = {"phases": PHASES, "order_triples": pairs, "surrogates": ("log_linear",), "runs": 30}
    study = measured_study(store, name, totals, losses, METRICS, roles, in_phases=phases, **spec)
    fit(store, study)
    return studies.get(store, name)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(Workspace.open(tmp_path_factory.mktemp("phases") / "workspace"))
    with as_person(SYSTEM):
        made(opened, "late", 0.3)
        made(opened, "same", 0.0)
        made(opened, "few", 0.3, done=3)
        yield opened
    opened.close()


def asked(store: Store, name: str, **more) -> dict:
    return COMMANDS["phases"](store, name, **more)


@pytest.mark.slow
def test_an_order_that_pays_is_found_and_searched(store):
    found = asked(store, "late")
    assert found["matters"] and found["verdict"].startswith("Order matters for the mean"), found["verdict"]
    assert found["comparisons"] == {"measured": 12, "planned": 12, "exact": True} and found["fractions"] == [0.8, 0.2]
    used = {row["of"]: row["used"] for row in found["laws"]}
    assert used["d0"] and not used["d1"] and not used["d2"]
    best = found["best"]
    assert best["phases"][1]["d0"] > best["phases"][0]["d0"] + 0.1, "late, where it helps"
    assert best["change"] + 1.96 * best["change_std"] < 0
    for name in ("d0", "d1", "d2"):
        total = sum(part * phase[name] for part, phase in zip((0.8, 0.2), best["phases"], strict=True))
        assert total == pytest.approx(best["total"][name], abs=1e-9)


def test_runs_of_phases_stand_beside_what_was_predicted_of_them(store):
    rows = asked(store, "late")["measured"]
    assert len(rows) == 24 and rows == sorted(rows, key=lambda one: one["measured"])
    off = {key: np.std([row["measured"] - row[key] for row in rows]) for key in ("one", "ordered")}
    assert off["ordered"] < 0.5 * off["one"], "what the order adds explains them"


def test_an_order_that_does_nothing_leaves_one_mixture(store):
    found = asked(store, "same")
    assert found["matters"] is False
    assert found["verdict"] == "Order adds nothing to the mean loss beyond noise: keep one mixture."
    assert found["best"]["phases"][0] == found["best"]["phases"][1] and found["best"]["change"] == 0


def test_a_schedule_of_ones_own_is_predicted_as_a_whole(store):
    early, late = {"d0": 0.2, "d1": 0.4, "d2": 0.4}, {"d0": 0.6, "d1": 0.2, "d2": 0.2}
    one, other = (asked(store, "late", schedule=both)["asked"] for both in ([early, late], [late, early]))
    assert one["total"]["d0"] == pytest.approx(0.28) and one["change"] < 0 < other["change"]
    (row,) = (row for row in one["metrics"] if row["metric"] == "d0")
    truth = 1 + 0.38**-0.3 + 0.3 * order_of(np.array([list(early.values()), list(late.values())]), FRACTIONS)[0]
    assert abs(row["mean"] - truth) < 3 * row["std"]
    for wrong, words in (
        ([early], "has 2. Give the shares of each"),
        ([early, {"web": 1.0}], "phase 2: it names 'web'; there are d0, d1, d2"),
        ([early, {"d0": 0.5}], "shares are from 0 to 1, and sum to 1"),
    ):
        with pytest.raises(Problem, match=words):
            asked(store, "late", schedule=wrong)


def test_too_few_comparisons_are_no_verdict(store):
    found = asked(store, "few")
    assert found["matters"] is None and found["verdict"].startswith("Not known yet: 3 of 12 comparisons")
    assert found["best"]["change"] == 0 and not found["laws"]


def test_phased_runs_teach_no_surrogate_of_shares(store):
    study = studies.get(store, "late")
    assert study.roles["phased"] == 24 and len(for_fitting(store, study.id).ids) == 30
    rows = [row for row in COMMANDS["list_runs"](store, "late") if row["role"] == "phased"]
    assert len(rows) == 24 and set(rows[0]["phases"][1]) == {"d0", "d1", "d2"}


def test_the_best_schedule_leaves_as_stages_and_what_knows_none_says_so(store):
    files = COMMANDS["export"](store, "late", "nanotron", candidate="best schedule", tokens=1e11)["files"]
    stages = yaml.safe_load(files["draft_data_stages.yaml"])["data_stages"]
    best = asked(store, "late")["best"]["phases"]
    for stage, phase in zip(stages, best, strict=True):
        dataset = stage["data"]["dataset"]
        told = dict(zip(dataset["dataset_folder"], dataset["dataset_weights"], strict=True))
        assert told == pytest.approx({name: share for name, share in phase.items() if share > 1e-9}, abs=1e-6)
    notes = COMMANDS["formats"](store, "late", candidate="best schedule")
    assert any("the order is lost" in note for note in notes["csv"]["notes"])
    with pytest.raises(Problem, match="keep one mixture"):
        COMMANDS["export"](store, "same", "csv", candidate="best schedule")
    one = COMMANDS["export"](store, "late", "json", candidate="late-00031")["files"]["draft_mixture.json"]
    assert '"phases"' in one and "Order matters" in one


def test_a_schedule_is_a_candidate(store):
    """Frozen with its phases, predicted with what their order adds, and held against one mixture of its totals."""
    best = asked(store, "late")["best"]
    made = COMMANDS["nominate"](store, "late", "Late d0", "it pays", candidate="best schedule")["candidate"]
    frozen = COMMANDS["dossier"](store, made)["frozen"]
    wanted = [list(phase.values()) for phase in best["phases"]]
    np.testing.assert_allclose(frozen["schedule"]["phases"], wanted, atol=1e-9)
    assert frozen["point"] == pytest.approx(list(best["total"].values()))
    assert frozen["predicted"]["aggregate"] == pytest.approx(best["aggregate"])
    first, against = next(iter(frozen["baselines"].items()))
    assert first == ONE_MIXTURE and against["point"] == pytest.approx(frozen["point"])
    assert against["difference"]["aggregate"] == pytest.approx(best["change"]), "the totals' own losses cancel"
    assert any("schedule of 2 phases" in one for one in frozen["caveats"])
    own = COMMANDS["nominate"](store, "late", "Own", "x", schedule=[{"d0": 1.0}, {"d1": 0.5, "d2": 0.5}])["candidate"]
    row = COMMANDS["compare_candidates"](store, [made, own], made)["rows"][1]
    assert row["schedule"]["phases"] == [[1, 0, 0], [0, 0.5, 0.5]] and row["difference"]["aggregate"] > 0
    files = COMMANDS["export"](store, "late", "nanotron", candidate="Late d0", tokens=1e9)["files"]
    assert len(yaml.safe_load(next(iter(files.values())))["data_stages"]) == 2


def test_schedules_that_are_none_are_no_candidates(store):
    for wrong, why in (
        ({"schedule": [{"d0": 1.0}]}, "'late' has 2"),
        ({"schedule": [{"d0": 1.0}, {"d0": 0.5}]}, "sum to 1"),
        ({"candidate": "natural", "schedule": [{"d0": 1.0}, {"d0": 1.0}]}, "give one of"),
    ):
        with pytest.raises(Problem, match=why):
            COMMANDS["nominate"](store, "late", "Wrong", "x", **wrong)
    with pytest.raises(Problem, match="Cannot use 'best schedule' of 'same'"):
        COMMANDS["nominate"](store, "same", "None", "x", candidate="best schedule")


def test_a_run_of_one_mixture_is_no_evidence_of_a_schedule_with_its_totals():
    """Nor the other way round."""
    totals = np.array([0.5, 0.5])
    runs = [Confirmed("a", "x", "done", totals, phases, 1, {}, totals) for phases in (None, np.eye(2))]
    schedule = {"point": [0.5, 0.5], "schedule": {"phases": [[1, 0], [0, 1]]}}
    assert of_candidate(runs, schedule) == runs[1:] and of_candidate(runs, {"point": [0.5, 0.5]}) == runs[:1]
    assert of_candidate(runs, {"point": [0.5, 0.5], "schedule": {"phases": [[0, 1], [1, 0]]}}) == []


def test_studies_without_phases_say_what_to_do(store):
    rng = np.random.default_rng(0)
    measured_study(store, "plain", rng.dirichlet(np.ones(3), 9), rng.random((9, 3)), METRICS)
    with pytest.raises(Problem, match="it has none"):
        asked(store, "plain")


def test_phases_are_rebuilt_from_the_journals(store, tmp_path):
    asked = "SELECT id, phases, trunk FROM runs ORDER BY id"
    rebuild(store.workspace, tmp_path / "again.duckdb")
    again = Store(store.workspace, tmp_path / "again.duckdb")
    try:
        assert again.rows(asked) == store.rows(asked)
    finally:
        again.close()
