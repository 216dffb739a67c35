"""The spaces: what they sample and project stays inside, projections are the nearest, bad bounds are
named.
"""

import json

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.space.box import Box
from engine.space.groups import Group
from engine.space.simplex import Simplex

BOUNDED = Simplex(tuple("abcdef"), [0, 0.1, 0, 0, 0, 0], [0.3, 0.4, 0.5, 0.6, 0.2, 1])
SPACES = {
    "simplex": Simplex(tuple("abc")),
    "bounded": BOUNDED,
    "one point": Simplex(tuple("ab"), [0.4, 0.6], [0.4, 0.6]),
    "one domain": Simplex(("a",)),
    "grouped": Simplex(
        tuple("abcdef"),
        [0, 0.1, 0, 0, 0, 0],
        [0.3, 0.4, 0.5, 0.6, 0.4, 1],
        (Group("web", ("a", "b"), 0.2, 0.5), Group("books", ("d", "e"), 0, 0.7, (2, 1))),
    ),
    "crossed": Simplex(
        ("web/maths", "web/code", "web/news", "books/maths", "books/code", "books/news"),
        [0, 0.02, 0, 0, 0, 0],
        [0.5, 1, 1, 0.3, 1, 0.2],
        (
            Group("web", ("web/maths", "web/code", "web/news"), 0.5, 0.7),
            Group("books", ("books/maths", "books/code", "books/news"), 0.25, 0.6),
            Group("maths", ("web/maths", "books/maths"), 0.3, 0.4),
            Group("code", ("web/code", "books/code"), 0.1, 0.3, (3, 1)),
        ),
    ),
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


def test_no_share_is_below_its_bound_by_rounding(space):
    inside = space.sample(20, np.random.default_rng(0))
    nearly = inside + 1e-10 * np.random.default_rng(1).normal(size=inside.shape)
    found = space.project(np.where(inside <= space.lower + 1e-3, space.lower - 1e-10, nearly))
    assert (found >= space.lower).all() and (found <= space.upper).all()


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
        ([0.6, 0.5], None, "lower bounds: together they take 1.1"),
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


# Groups ------------------------------------------------------------------------------------------------------

SOURCES = (
    Group("web", ("a", "b", "c"), 0.2, 0.5),
    Group("books", ("d", "e"), 0.1, 0.9, ratios=(3, 1)),
)
GROUPED = Simplex(tuple("abcdefg"), [0, 0.05, 0, 0, 0, 0.02, 0], [0.3, 1, 0.2, 0.6, 1, 0.5, 0.4], SOURCES)


def nearest_by_quadratic_programme(space, point):
    """The projection as scipy's SLSQP finds it: a solver that shares nothing with ours."""
    from scipy.optimize import minimize

    equal = [{"type": "eq", "fun": lambda x: x.sum() - 1}]
    for group in space.groups:
        at = [space.names.index(name) for name in group.members]
        equal.append({"type": "ineq", "fun": lambda x, at=at, group=group: x[at].sum() - group.lower})
        equal.append({"type": "ineq", "fun": lambda x, at=at, group=group: group.upper - x[at].sum()})
        if group.ratios:
            ratios = np.array(group.ratios) / sum(group.ratios)
            equal.append({"type": "eq", "fun": lambda x, at=at, r=ratios: (x[at] - x[at].sum() * r)[1:]})
    found = minimize(
        lambda x: ((x - point) ** 2).sum(),
        np.full(len(point), 1 / len(point)),
        jac=lambda x: 2 * (x - point),
        bounds=list(zip(space.lower, space.upper, strict=True)),
        constraints=equal,
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert space.contains(found.x[None], 1e-7).all(), found.message
    return found.x


def test_projection_onto_groups_against_a_quadratic_programme():
    for point in np.random.default_rng(3).normal(0.15, 0.4, size=(40, 7)):
        mine, other = GROUPED.project(point[None])[0], nearest_by_quadratic_programme(GROUPED, point)
        assert np.abs(mine - other).max() < 1e-5
        assert ((mine - point) ** 2).sum() <= ((other - point) ** 2).sum() + 1e-9


def test_the_ends_of_a_group_are_those_of_a_linear_programme():
    """Pushed far along a direction, the projection is the vertex that the linear programme finds."""
    from scipy.optimize import linprog

    web, books = np.isin(GROUPED.names, list("abc")) * 1.0, np.isin(GROUPED.names, list("de")) * 1.0
    ties = np.array([0, 0, 0, 1.0, -3.0, 0, 0])
    for direction in np.random.default_rng(4).normal(size=(20, 7)):
        best = linprog(
            -direction,
            A_ub=[web, -web, books, -books],
            b_ub=[0.5, -0.2, 0.9, -0.1],
            A_eq=[np.ones(7), ties],
            b_eq=[1, 0],
            bounds=list(zip(GROUPED.lower, GROUPED.upper, strict=True)),
        )
        np.testing.assert_allclose(GROUPED.project(1e4 * direction[None])[0], best.x, atol=1e-7)


def test_a_group_that_keeps_its_ratios_acts_as_one_domain():
    points = GROUPED.sample(500, np.random.default_rng(5))
    np.testing.assert_allclose(points[:, 3], 3 * points[:, 4], atol=1e-9)
    assert np.ptp(points[:, 3]) > 0.2
    web = points[:, :3].sum(axis=1)
    assert web.min() >= 0.2 - 1e-9 and web.max() <= 0.5 + 1e-9


def test_a_space_goes_through_json():
    again = Simplex.from_dict(json.loads(json.dumps(GROUPED.to_dict())))
    points = np.random.default_rng(6).normal(size=(20, 7))
    np.testing.assert_array_equal(again.project(points), GROUPED.project(points))


@pytest.mark.parametrize(
    ("groups", "bounds", "said"),
    [
        ([Group("g", ("a", "b"), 0.7, 0.8)], ([0, 0, 0.5], None), "1.2 of the tokens.*group g 0.7, c 0.5"),
        ([Group("g", ("a", "b"), 0, 0.2)], (None, [1, 1, 0.5]), "0.7 of the tokens.*group g 0.2, c 0.5"),
        ([Group("g", ("a", "b"), 0.5, 1)], (None, [0.2, 0.1, 1]), "'g'.*at least 0.5.*group g 0.5.*a 0.2, b 0.1"),
        ([Group("g", ("a", "b"), 0.5, 1, (9, 1))], (None, [0.2, 1, 1]), "keeps its ratios.*0.5.*0.2222.*a 0.2"),
        ([Group("g", ("a", "x"))], (None, None), "no domain 'x'"),
        ([Group("g", ("a",), level="x"), Group("h", ("a",), level="x")], (None, None), "in 'g' already"),
        ([Group("g", ("a", "a"))], (None, None), "'a' twice"),
        ([Group("g", ("a", "b"), 0.9, 0.1)], (None, None), "0.9 to 0.1"),
        ([Group("g", ("a", "b"), ratios=(1,))], (None, None), "ratios"),
        ([Group("g", ())], (None, None), "no domains"),
    ],
)
def test_groups_in_conflict_are_named(groups, bounds, said):
    with pytest.raises(Problem, match=said):
        Simplex(("a", "b", "c"), *bounds, tuple(groups))
