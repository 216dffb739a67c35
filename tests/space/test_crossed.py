"""Groups that share domains: the nearest mixture that keeps them all, conflicts by name, and levels."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.space.groups import Group
from engine.space.levels import levels_of
from engine.space.simplex import Simplex
from tests.space.test_space import nearest_by_quadratic_programme


def grid(sources: int, topics: int, width: float = 0.1, seed: int = 0) -> Simplex:
    """Sources x topics, all groups bounded around one mixture, which keeps them. width: how far, in shares."""
    rng = np.random.default_rng(seed)
    names = tuple(f"s{i}/t{j}" for i in range(sources) for j in range(topics))
    inner = rng.dirichlet(np.ones(len(names)))
    groups = []
    for mark, level in (("s", "source"), ("t", "topic")):
        for i in range(sources if mark == "s" else topics):
            own = [f"{mark}{i}" in name.split("/") for name in names]
            total, members = inner[own].sum(), tuple(np.array(names)[own].tolist())
            low, high = max(0.0, total - width * rng.random()), min(1.0, total + width * rng.random())
            groups.append(Group(f"{mark}{i}", members, low, high, level=level))
    return Simplex(names, upper=np.minimum(1, inner + width), groups=tuple(groups))


@pytest.mark.parametrize("width", [0.3, 0.02, 0.0], ids=["wide", "narrow", "one point"])
def test_the_nearest_mixture_against_a_quadratic_programme(width):
    space = grid(3, 3, width)
    for point in np.random.default_rng(3).normal(0.1, 0.3, size=(15, 9)):
        mine, other = space.project(point[None])[0], nearest_by_quadratic_programme(space, point)
        assert np.abs(mine - other).max() < 1e-5
        assert space.contains(mine[None], 1e-9)[0]


def test_a_group_inside_another_one_is_crossed_too():
    """Nested groups: a source, and part of it."""
    groups = (Group("web", ("a", "b", "c"), 0.2, 0.6), Group("maths", ("a", "b"), 0.1, 0.15))
    space = Simplex(tuple("abcd"), groups=groups)
    found = space.project(np.array([[1.0, 1.0, 0, 0]]))[0]
    np.testing.assert_allclose(found, nearest_by_quadratic_programme(space, np.array([1.0, 1, 0, 0])), atol=1e-6)


def test_disjoint_groups_are_projected_alike_by_either_way():
    """One domain more in a group without bounds makes groups crossed; the answer stays."""
    groups = (Group("web", ("a", "b"), 0.3, 0.5), Group("books", ("c", "d"), 0.1, 0.2, (2, 1)))
    points = np.random.default_rng(0).normal(size=(50, 5))
    crossed = Simplex(tuple("abcde"), groups=(*groups, Group("all", ("a", "c"))))
    assert crossed.crossed
    np.testing.assert_allclose(
        crossed.project(points), Simplex(tuple("abcde"), groups=groups).project(points), atol=1e-8
    )


def test_far_points_and_many_domains():
    space = grid(8, 8)
    points = 1e4 * np.random.default_rng(1).normal(size=(20, 64))
    nearest = space.project(points)
    assert space.contains(nearest, 1e-8).all()
    members = space.project(np.random.default_rng(2).dirichlet(np.ones(64), 20))
    behind = np.einsum("nd,nmd->nm", points - nearest, members[None] - nearest[:, None])
    assert behind.max() < 1e-8 * 1e4 * 64


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (
            [Group("web", ("a", "b"), 0.6), Group("maths", ("b", "c"), 0.7), Group("rest", ("b", "d"), 0, 0.2)],
            "group web at least 0.6, group maths at least 0.7, group rest at most 0.2. Each .* give way by 0.033",
        ),
        ([Group("web", ("a", "b"), 0.6), Group("maths", ("b", "c")), Group("x", ("c", "d"), 0.5)], "way by 0.05 of"),
        (
            [Group("x", tuple("abcd"), ratios=(0, 1, 1, 1)), Group("y", tuple("abcd"), ratios=(1, 0, 0, 0))],
            "the ratios of all groups",
        ),
    ],
)
def test_bounds_that_clash_are_named_with_numbers(groups, said):
    with pytest.raises(Problem, match=said):
        Simplex(tuple("abcd"), groups=tuple(groups))


def test_bounds_that_meet_in_one_point_are_kept():
    """Their sums differ from one by rounding only."""
    groups = [Group("p", ("a", "b"), 0.1, 0.1), Group("q", ("c",), 0.2, 0.2), Group("r", ("d", "e"), 0.7, 0.7)]
    space = Simplex(tuple("abcde"), groups=(*groups, Group("s", ("a", "d"), 0.3, 0.3)))
    assert space.contains(space.sample(20, np.random.default_rng(0)), 1e-9).all()


# Levels ------------------------------------------------------------------------------------------------------


def told(names, groups=()):
    return {
        level.name: {part: names_at(names, at) for part, at in level.parts.items()}
        for level in levels_of(names, groups)
    }


def names_at(names, places):
    return "".join(str(names.index(names[place])) for place in places)


def test_levels_of_names():
    names = ["cc/maths", "cc/news", "books/maths", "wiki"]
    assert told(names) == {
        "source": {"cc": "01", "books": "2", "wiki": "3"},
        "topic": {"maths": "02", "news": "1", "wiki": "3"},
    }
    assert told(["cc.maths", "cc.news"]) == {}, "one source, and every topic once"
    assert told(["web", "code"]) == {}
    assert list(told(["c4.en", "c4.de", "wiki"])) == ["source"]


def test_levels_of_groups():
    names = ["a", "b", "c", "d"]
    groups = [Group("x", ("a", "b")), Group("low", ("a",), level="quality"), Group("y", ("b", "c")), Group("z", ("c",))]
    assert told(names, groups) == {
        "quality": {"low": "0", "other": "123"},
        "group": {"x": "01", "z": "2", "other": "3"},
        "group 2": {"y": "12", "other": "03"},
    }
    both = [Group("CC", ("cc/a", "cc/b")), Group("W", ("w/a", "w/b"))]
    assert list(told(["cc/a", "cc/b", "w/a", "w/b"], both)) == ["group", "topic"], "sources are said once"


def test_totals_of_a_level():
    level = levels_of(["cc/a", "cc/b", "w/a"], ())[0]
    np.testing.assert_allclose(level.totals([[0.1, 0.2, 0.7], [0, 0, 1]]), [[0.3, 0.7], [0, 1]])
