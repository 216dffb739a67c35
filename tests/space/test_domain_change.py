"""When domains change: which runs still count, what is opened again, and what it costs."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.space.domain_change import Change, reuse

OLD = ("web", "code", "books")
RUNS = np.array([[0.5, 0.3, 0.2], [0.6, 0.4, 0.0], [0.2, 0.79, 0.01], [1.0, 0.0, 0.0]])
BEST = np.array([0.6, 0.3, 0.1])
KEEP = {name: {name: 1.0} for name in OLD}


def test_an_added_domain_keeps_every_run():
    found = reuse(Change(OLD, (*OLD, "math"), KEEP), RUNS, BEST)
    assert found.rows.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found.weights, np.c_[RUNS, np.zeros(4)])
    assert found.names == ["math", "unchanged: web, code, books"]
    np.testing.assert_allclose(found.virtual, [[0, 0, 0, 1], [0.6, 0.3, 0.1, 0]])
    assert found.needed == 9 < found.from_scratch == 15


def test_a_removed_domain_keeps_the_runs_without_it():
    found = reuse(Change(OLD, ("web", "code"), KEEP | {"books": {}}), RUNS, BEST)
    assert found.rows.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.weights.sum(axis=1), 1)
    np.testing.assert_allclose(found.weights[1], [0.2 / 0.99, 0.79 / 0.99])
    assert found.needed == 0, "nothing new has to be learnt"


def test_a_split_domain_keeps_its_ratio():
    parts = KEEP | {"web": {"blogs": 0.7, "news": 0.3}}
    found = reuse(Change(OLD, ("blogs", "news", "code", "books"), parts), RUNS, BEST)
    np.testing.assert_allclose(found.weights[0], [0.35, 0.15, 0.3, 0.2])
    assert found.names == ["blogs", "news", "unchanged: code, books"]
    np.testing.assert_allclose(found.virtual[-1], [0, 0, 0.75, 0.25])


def test_a_replaced_domain_is_removed_and_added():
    found = reuse(Change(OLD, ("web", "code", "papers"), KEEP | {"books": {}}), RUNS, BEST)
    assert found.rows.tolist() == [1, 2, 3] and found.names[0] == "papers"


@pytest.mark.parametrize(
    ("new", "parts", "said"),
    [
        (OLD, KEEP, "nothing changes"),
        (OLD, {"web": {"web": 1.0}}, "'code' is missing"),
        (("web", "code"), KEEP | {"books": {"web": 0.4}}, "sum to 1"),
        (("web", "code"), KEEP | {"books": {"novels": 1.0}}, "novels"),
    ],
)
def test_what_cannot_be_changed(new, parts, said):
    with pytest.raises(Problem, match=said):
        reuse(Change(OLD, new, parts), RUNS, BEST)
