"""The spaces: what they sample and project stays inside, projections are the nearest, bad bounds are
named.
"""

import numpy as np
import pytest

from engine.errors import Problem
from engine.space import Box, Simplex

BOUNDED = Simplex(tuple("abcdef"), [0, 0.1, 0, 0, 0, 0], [0.3, 0.4, 0.5, 0.6, 0.2, 1])
SPACES = {
    "simplex": Simplex(tuple("abc")),
    "bounded": BOUNDED,
    "one point": Simplex(tuple("ab"), [0.4, 0.6], [0.4, 0.6]),
    "one domain": Simplex(("a",)),
    "box": Box(tuple("abc"), [-1, 0, 0.5], [1, 2, 0.5]),
}


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


def test_samples_are_inside(space):
    points = space.sample(500, np.random.default_rng(0))
    assert points.shape == (500, len(space.names))
    assert space.contains(points, 1e-9).all()


def test_projection_is_inside_and_leaves_inside_points_alone(space):
    rng = np.random.default_rng(1)
    assert space.contains(space.project(rng.normal(size=(500, len(space.names)))), 1e-9).all()
    inside = space.sample(100, rng)
    np.testing.assert_allclose(space.project(inside), inside, atol=1e-9)


def test_projection_is_the_nearest_point(space):
    """Kolmogorov's criterion: every member of a convex set lies behind the projection's tangent plane."""
    rng = np.random.default_rng(2)
    outside, members = rng.normal(size=(100, len(space.names))), space.sample(300, rng)
    nearest = space.project(outside)
    behind = np.einsum("nd,nmd->nm", outside - nearest, members[None] - nearest[:, None])
    assert behind.max() < 1e-8


def test_projection_known_answer():
    np.testing.assert_allclose(Simplex(tuple("abc")).project([[1.0, 0.5, -1.0]]), [[0.75, 0.25, 0.0]], atol=1e-12)


def test_projection_keeps_rows_in_order():
    points = np.array([[2.0, 0, 0], [0.2, 0.3, 0.5], [0, 0, 5.0], [1, 0, 0]])
    expected = [[1, 0, 0], [0.2, 0.3, 0.5], [0, 0, 1], [1, 0, 0]]
    np.testing.assert_allclose(Simplex(tuple("abc")).project(points), expected, atol=1e-12)


def test_contains_says_no():
    points = [[0.3, 0.4, 0.3, 0, 0, 0], [0.4, 0.3, 0.3, 0, 0, 0], [0.3, 0.4, 0.2, 0, 0, 0]]
    assert BOUNDED.contains(points).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("lower", "upper", "said"),
    [
        ([0.6, 0.5], None, "lower bounds: together they ask for 1.1"),
        (None, [0.3, 0.3], "upper bounds: together they allow 0.6"),
        ([0.5, 0], [0.4, 1], "code 0.5 to 0.4"),
        ([-0.1, 0], None, "at least 0"),
        (None, [1.5, 1], "no share is more than 1"),
        ([0.1], None, "2 finite numbers"),
        ([np.nan, 0], None, "finite"),
    ],
)
def test_bad_bounds_are_named(lower, upper, said):
    with pytest.raises(Problem, match=said):
        Simplex(("code", "web"), lower, upper)


def test_names_must_differ():
    with pytest.raises(Problem, match="only once"):
        Simplex(("a", "a"))
