"""Two studies side by side: what compares, what does not and why, and no difference where there is none."""

from dataclasses import replace

import numpy as np
import pytest

from engine.spec.objectives import Objective, aggregate
from engine.studies.moments import Moment
from engine.studies.side_by_side import Answer, Gap, Row, Value, barrier, side_by_side, total
from store import studies
from store.database import Store
from store.runs import Measured
from store.studies import Study

SIZE = {"width": 16, "layers": 1, "tokens": 4096, "context": 32, "eval_tokens": 2048}
LOSSES = [Objective("web", domain="web"), Objective("code", domain="code")]


def study(name: str, text: str | None = "abc", size: dict | None = None, **changes) -> Study:
    """A study of two domains, of which the validation text of `web` has this hash."""
    facts = {"web": {"sha256": {"valid": text}} if text else {}, "code": {"sha256": {"valid": "same"}}}
    spec = {"corpus": "none", "fidelity": {**SIZE, **(size or {})}}
    whole = Study(name, name, spec, ["web", "code"], LOSSES, {"domains": facts}, None, "active", None, 0.0)
    return replace(whole, **changes)


@pytest.mark.parametrize(
    ("other", "theirs", "why"),
    [
        (study("b"), LOSSES[0], ""),
        (study("b"), Objective("web", unit="nats per token", domain="web"), "another unit: bits per byte, and nats"),
        (study("b"), replace(LOSSES[0], higher_is_better=True), "another direction"),
        (study("b"), replace(LOSSES[0], domain="code"), "another domain"),
        (study("b", text="xyz"), LOSSES[0], "other validation text"),
        (study("b", text=None), LOSSES[0], "it is unknown whether the validation text is the same"),
        (study("b", corpus=None), LOSSES[0], "it is unknown whether the validation text is the same"),
        (study("b", size={"eval_tokens": 4096}), LOSSES[0], "other windows of the validation text"),
        (study("b", size={"width": 32}), LOSSES[0], "models of another size or budget"),
        (study("b", size={"tokens": 8192}), LOSSES[0], "models of another size or budget"),
    ],
)
def test_a_metric_compares_only_where_everything_else_is_the_same(store, other, theirs, why):
    found = barrier(store, study("a"), other, LOSSES[0], theirs)
    assert found.startswith(why) and bool(found) == bool(why)


def answered(of: Study, priorities: dict[str, float]) -> Answer:
    by = aggregate(of.objectives, np.ones((2, 2)), priorities)
    moment = Moment(of, by, Measured([], [], [], np.array([]), np.array([])), (), None, None, {}, None, 0)
    return Answer(moment, np.array([0.5, 0.5]), "run-1", None, None, (Value(2.0, 0.1), None))


def test_the_mean_compares_where_it_is_of_the_same_metrics_and_each_of_them_does():
    of, rows = (
        (study("a"), study("b")),
        [Row(name, "bits per byte", "", (None, None), (None, None)) for name in ("web", "code")],
    )
    same = answered(of[0], {}), answered(of[1], {})
    assert total(same, rows, of).why == ""
    assert total(same, [replace(rows[0], why="other validation text"), rows[1]], of).why == "web: other validation text"
    assert total((same[0], answered(of[1], {"web": 2.0})), rows, of).why == "its metrics are weighed otherwise"
    assert total((same[0], answered(of[1], {"web": 0.0})), rows, of).why == "it is of other metrics"


def test_no_difference_within_noise_and_none_without_noise():
    row = Row("web", "bits per byte", "", (Value(2.0, 0.03), Value(2.1, 0.04)), (Value(2.0, 0.001), None))
    assert row.gap(row.predicted) == Gap(pytest.approx(0.1), pytest.approx(1.96 * 0.05))
    assert row.gap(row.predicted).verdict == "beyond noise (95%)"
    assert Gap(0.09, 0.098).verdict == "within noise" and Gap(0.5, float("nan")).verdict == "noise unknown"
    assert row.gap(row.measured) is None and replace(row, why="another unit").gap(row.predicted) is None


def test_a_mixture_study_and_its_merge_study(merged):
    from engine.core.workspace import Workspace

    store = Store(Workspace.open(merged))
    try:
        found = {one.name: one for one in studies.all_studies(store)}
        both = side_by_side(store, found["Small"], found["Small merge"])
    finally:
        store.close()
    assert [row.why for row in both.rows] == [""] * 4 and both.alone == ([], [])
    for one in both.answers:
        assert one.point is not None and one.run and all(np.isfinite(value.std) for value in one.measured)
    assert both.rows[0].name == "mean loss" and both.rows[0].gap(both.rows[0].measured) is not None
