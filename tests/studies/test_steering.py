"""What counts and cannot be steered is warned of, in commands too; scores over a loss and over size, with a check."""

import numpy as np
import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyMetric
from engine.spec.objectives import BITS
from engine.spec.study import StudySpec
from engine.studies import score_forecasts, steering
from engine.studies.measured import aggregate_of
from engine.tasks import shelf
from engine.tasks.task import EvalTask, Item
from store import runs, studies
from store.database import Store
from tests.support.measured_study import in_training, measured_study
from tests.support.nasty import tell

MIXTURES, REPEATED, TIMES, ITEMS = 40, 6, 5, 400
METRICS = [
    *(StudyMetric(metric=f"d{k}", unit=BITS, higher_is_better=False, domain=f"d{k}") for k in range(3)),
    StudyMetric(metric="good accuracy", unit="accuracy", higher_is_better=True, task="good", chance=0.25, items=ITEMS),
    StudyMetric(
        metric="noise accuracy", unit="accuracy", higher_is_better=True, task="noise", chance=0.25, items=ITEMS
    ),
]


def task(name: str) -> EvalTask:
    item = Item("?", choices=["a", "b", "c", "d"], scores=[1.0, 0.0, 0.0, 0.0])
    return EvalTask(name, ["accuracy"], [item] * ITEMS, "by hand")


def values_at(weights: np.ndarray, rng: np.random.Generator, level: float = 0.0) -> np.ndarray:
    """Losses that fall with a domain's share; a score that follows the first; one that is noise."""
    losses = 1.0 + level - 0.4 * np.log(weights + 0.05) * 0.5 + 0.005 * rng.standard_normal(weights.shape)
    expected = 0.25 + 0.7 / (1 + np.exp(-5 * (1.5 - losses[:, 0])))
    good, noise = rng.binomial(ITEMS, expected) / ITEMS, rng.binomial(ITEMS, 0.25, len(weights)) / ITEMS
    return np.column_stack([losses, good, noise])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(Workspace.open(tmp_path_factory.mktemp("steering") / "w"))
    for name in ("good", "noise"):
        shelf.save(opened.workspace.root, task(name))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def study(store):
    rng = np.random.default_rng(0)
    points = rng.dirichlet(np.ones(3), MIXTURES)
    weights = np.vstack([points, np.repeat(points[:REPEATED], TIMES - 1, axis=0)])
    roles = ["baseline", *["design"] * (MIXTURES - 1), *["repeat"] * (REPEATED * (TIMES - 1))]
    return measured_study(store, "steered", weights, values_at(weights, rng), METRICS, roles, tasks=("good", "noise"))


def test_noise_that_counts_is_warned_of_and_what_does_not_count_is_not(store, study):
    own = aggregate_of(store, study)
    assert steering.warnings(store, study, own) == [], "tasks count only where somebody says so"
    noisy = aggregate_of(store, study, {"noise accuracy": 1.0, "good accuracy": 1.0})
    (said,) = steering.warnings(store, study, noisy)
    assert said.startswith("noise accuracy counts, but the mixture does not steer it: at least 0.00")
    assert "24 repeats" in said and "Set its priority to 0" in said
    (said,) = steering.warnings(store, study, own, {"noise accuracy"})
    assert "has a limit" in said and "Lift the limit" in said


def test_without_repeats_a_task_that_counts_is_not_known_to_be_steered(store):
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(3), 20)
    few = measured_study(store, "few", weights, values_at(weights, rng), METRICS, tasks=("good", "noise"))
    (said,) = steering.warnings(store, few, aggregate_of(store, few, {"good accuracy": 1.0}))
    assert "not known: 20 more repeats, of several mixtures, would tell" in said


def test_runs_without_a_score_that_counts_are_said_with_the_reason(store):
    """Two of 22 could not be scored; what does not count is not warned of, and what has a value is not named."""
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(3), 20)
    study = measured_study(store, "lost", weights, values_at(weights, rng), METRICS, tasks=("good", "noise"))
    why = "No score of the task 'good'. Cannot score answers by the verifier 'mine': it ended with 3."
    ids = in_training(store, study, weights[:2], {})
    known = {"d0": 1.0, "d1": 1.1, "d2": 1.2, "noise accuracy": 0.25}
    told = {"losses": known, "losses_se": dict.fromkeys(known, 0.01), "shares": weights[0].tolist(), "device": "cpu"}
    spent = {"tokens": 1000, "parameters": 5000, "seconds": 1.0, "cpu_seconds": 1.0, "message": why}
    tell(store, "lost-more", *({"kind": "run.finished", "run": run, **told, **spent} for run in ids))
    own = aggregate_of(store, study, {"good accuracy": 1.0, "noise accuracy": 1.0})
    said = [one for one in steering.warnings(store, studies.get(store, "lost"), own) if "lack it" in one]
    assert said == [f"good accuracy counts, and 2 finished runs of 22 lack it. {why}"]
    assert not any("lack it" in one for one in steering.warnings(store, study, aggregate_of(store, study)))
    losses = runs.measured(store, "lost").losses
    assert np.isnan(losses[20:, 3]).all() and np.isfinite(losses[20:, [0, 1, 2, 4]]).all()


def test_scores_that_came_from_elsewhere_are_warned_of_as_ours_are(store):
    """Those of a harness count as they are imported; losses without a domain are none of them."""
    more = {"higher_is_better": True, "chance": 0.25, "items": ITEMS}
    brought = [
        *METRICS[:2],
        StudyMetric(metric="loss on books", unit="loss", higher_is_better=False),
        StudyMetric(metric="arc acc", unit="score", **more),
        StudyMetric(metric="wikitext perplexity", unit="score", higher_is_better=False),
    ]
    rng = np.random.default_rng(4)
    weights = rng.dirichlet(np.ones(3), 20)
    few = measured_study(store, "brought", weights, values_at(weights, rng), brought)
    (said,) = steering.warnings(store, few, aggregate_of(store, few))
    assert said == (
        "arc acc, wikitext perplexity count, and whether the mixture steers them is not known: 20 more repeats, of "
        "several mixtures, would tell."
    )
    (said,) = steering.warnings(
        store, few, aggregate_of(store, few, dict.fromkeys(("arc acc", "wikitext perplexity"), 0.0)), {"arc acc"}
    )
    assert said.startswith("arc acc has a limit, and whether the mixture steers it is not known")


def test_too_few_repeats_are_said_before_a_study_starts():
    asked = {"name": "x", "tasks": ["good"], "priorities": {"good accuracy": 1.0, "d0": 2.0}}
    (said,) = steering.before_it_starts(StudySpec.from_dict(asked))
    assert said.startswith("good accuracy will count") and "20 repeats, of several mixtures, and 4 are planned" in said
    assert steering.before_it_starts(StudySpec.from_dict({**asked, "repeats": 20})) == []
    assert steering.before_it_starts(StudySpec.from_dict({**asked, "priorities": {"d0": 2.0}})) == []
    measures = [{"metric": "web"}, {"metric": "mmlu", "unit": "accuracy", "higher_is_better": True}]
    size = {"parameters": 1e8, "tokens": 1e9}
    elsewhere = {"name": "x", "trainer": "external", "domains": ["web", "code"], "measures": measures, "size": size}
    (said,) = steering.before_it_starts(StudySpec.from_dict(elsewhere))
    assert said.startswith("mmlu will count, and whether")
    assert steering.before_it_starts(StudySpec.from_dict({**elsewhere, "priorities": {"web": 1.0, "mmlu": 0.0}})) == []


def test_commands_tell_of_it(store, study):
    told = COMMANDS["task_readiness"](store, study.id)
    verdicts = {one["metric"]: one["verdict"] for one in told["metrics"]}
    assert verdicts["good accuracy"] == "can be steered" and verdicts["noise accuracy"] == "cannot be steered"
    assert {one["held_out_rank"] for one in told["metrics"]} == {None}, "nothing is fitted yet"
    links = {one["metric"]: one for one in told["links"]}
    assert links["good accuracy"]["linked"] and links["good accuracy"]["loss"] == "d0"
    assert not links["noise accuracy"]["linked"]
    assert len(told["components"]["metrics"]) == 2 and told["components"]["runs"] == MIXTURES + 24
    assert COMMANDS["show"](store, study.id)["warnings"] == []


def test_a_score_is_extrapolated_over_size_only_with_its_check(store, study):
    with pytest.raises(Problem, match="that takes runs of 3 sizes, 4 of them at the largest"):
        score_forecasts.forecast(store, study, 3, np.ones(3) / 3, 4.0)
    rng, parts = np.random.default_rng(2), []
    sizes = {(1e6, 1e7): (24, 0.3), (4e6, 4e7): (10, 0.15), (1.6e7, 1.6e8): (8, 0.07)}
    for place, (count, level) in sizes.items():
        weights = rng.dirichlet(np.ones(3), count)
        parts.append((weights, values_at(weights, rng, level), np.tile(place, (count, 1))))
    weights, values, places = (np.concatenate(one) for one in zip(*parts, strict=True))
    several = measured_study(store, "sizes", weights, values, METRICS, None, places, tasks=("good", "noise"))
    assert score_forecasts.has_sizes(store, several) and not score_forecasts.has_sizes(store, study)
    found = score_forecasts.forecast(store, several, 3, np.ones(3) / 3, 4.0)
    assert (found.sizes, len(found.held)) == (3, 8) and found.inside >= 6
    truth = 0.25 + 0.7 / (1 + np.exp(-5 * (1.5 - (1.0 + 0.033 - 0.2 * np.log(1 / 3 + 0.05)))))
    assert abs(found.mean - truth) < 2.5 * found.target_std
    told = COMMANDS["extrapolate_score"](store, several.id, "good accuracy", 4.0, runs.ids(store, several.id)[0])
    assert told["check"]["runs"] == 8 and told["half"] > 0
    with pytest.raises(Problem, match="a number from 1 to 1,000"):
        COMMANDS["extrapolate_score"](store, several.id, "good accuracy", 0.5)
    with pytest.raises(Problem, match="Cannot use 'poems'"):
        COMMANDS["extrapolate_score"](store, several.id, "poems")
