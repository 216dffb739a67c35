"""Whatever draws, proposes or looks for mixtures keeps crossed groups: every design, method and proposer of its table,
and the questions around them."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.search import Price, search
from engine.search.acquisition import PROPOSERS
from engine.search.limits import Limits
from engine.search.methods import METHODS, evolve_from
from engine.search.pool import front, meet_targets
from engine.space.design import DESIGNS
from engine.space.domain_change import Change, reuse
from engine.space.groups import Group
from engine.space.simplex import Simplex, space_from
from engine.spec.fidelity import PRESETS
from engine.spec.frame import frame_of
from engine.spec.study import StudySpec, plan_runs
from engine.studies.domain_changes import Succession, opened
from engine.surrogates import SURROGATES

NAMES = tuple(f"{source}/{topic}" for source in ("web", "books", "forum") for topic in ("maths", "code"))
GROUPS = (
    Group("web", ("web/maths", "web/code"), 0.3, 0.5, level="source"),
    Group("books", ("books/maths", "books/code"), 0.1, 0.4, (1, 3), "source"),
    Group("maths", ("web/maths", "books/maths", "forum/maths"), 0.2, 0.35, level="topic"),
)
SPACE = Simplex(NAMES, [0, 0, 0, 0, 0.02, 0], [1, 0.4, 1, 1, 1, 0.3], GROUPS)
PRIOR = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])  # outside of them
WEIGHTS = np.array([0.5, 0.5])


def kept(points: np.ndarray) -> bool:
    return bool(SPACE.contains(np.atleast_2d(points), 1e-6).all())


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(6), 40)
    return weights, np.exp(-3 * weights[:, [0, 5]]) + 0.003 * rng.normal(size=(40, 2))


@pytest.fixture(scope="module")
def surrogate(runs):
    return SURROGATES["log_linear"].fit(*runs)


def test_a_space_of_crossed_groups_goes_through_a_job(runs):
    again = space_from(SPACE.to_dict())
    np.testing.assert_array_equal(again.project(runs[0]), SPACE.project(runs[0]))


@pytest.mark.parametrize("design", DESIGNS)
def test_every_design(design):
    points = DESIGNS[design].points(SPACE, PRIOR, 24, 0)
    assert points.shape == (24, 6) and kept(points)
    assert np.ptp(points[:, 0]) > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_every_method(method, surrogate):
    price = Price(np.arange(6.0), np.full(6, 1e9), 1e9)
    found, pool = search(surrogate, SPACE, PRIOR, WEIGHTS, method=method, n=2000, price=price)
    near = found.near_optimal
    for shares in (found.found.shares, found.best.shares, near.nearest_prior.shares, near.cheapest.shares):
        assert kept(shares)
    assert kept(pool.points[front(pool, [0, 1], np.ones(2))]) and kept(pool.points)


def test_limits_and_targets(surrogate):
    limits = Limits(np.array([0.9, np.nan]), np.ones(2))
    found, pool = search(surrogate, SPACE, PRIOR, WEIGHTS, n=2000, limits=limits)
    assert kept(found.found.shares) and kept(pool.points[meet_targets(pool, surrogate, limits).rows])


@pytest.mark.parametrize("proposer", PROPOSERS)
def test_every_proposer(proposer, surrogate, runs):
    rng = np.random.default_rng(0)
    pool = np.concatenate([SPACE.draw(PRIOR, 1000, rng), SPACE.sample(1000, rng)])
    more = {"losses": runs[1]} if proposer == "sources" else {}
    points = PROPOSERS[proposer](surrogate, SPACE, WEIGHTS, pool, runs[0], 4, 0, **more).points
    assert len(points) == 4 and kept(points)


def test_the_best_at_another_size_or_budget(surrogate):
    """As engine/studies/targets.py and size_moves.py look for it."""
    rng = np.random.default_rng(0)
    assert kept(evolve_from(lambda x: surrogate.mean(x) @ WEIGHTS, SPACE, SPACE.draw(PRIOR, 500, rng), rng))


CORPUS = {"domains": {name: {"train_tokens": tokens} for name, tokens in zip(NAMES, 1e8 * PRIOR, strict=True)}}


def spec(**settings) -> StudySpec:
    groups = (
        {"name": "web", "domains": ["web/*"], "share": [0.3, 0.5], "level": "source"},
        {"name": "maths", "domains": ["*/maths"], "share": [0.2, 0.35], "ratios": "prior"},
    )
    return StudySpec(name="x", fidelity=PRESETS["demo"], **({"groups": groups, "runs": 20} | settings))


def test_a_study_of_crossed_groups_by_patterns():
    frame = frame_of(spec(), list(NAMES), CORPUS)
    assert frame.space.groups[0].members == ("web/maths", "web/code") and frame.space.groups[0].level == "source"
    assert frame.space.groups[1].ratios == pytest.approx((0.5, 0.1, 0.1))
    planned = plan_runs(spec(), "s", frame)
    design = np.array([run["weights"] for run in planned if run["role"] == "design"])
    assert frame.design_space.contains(design, 1e-9).all()


def test_an_epoch_cap_that_clashes_with_groups_is_named():
    groups = (
        {"name": "books", "domains": ["books/*"], "share": [0.2, 1]},
        {"name": "maths", "domains": ["*/maths"], "share": [0, 0.5]},
    )
    said = r"web/code at most 0\.1333.*books/code at most.*maths at most 0\.5.*by 0\.025.*cap of 4 at 300,000,000"
    with pytest.raises(Problem, match=said):
        frame_of(spec(groups=groups, target_tokens=3e8), list(NAMES), CORPUS)


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"name": "x", "domains": ["*/latin"]}, r"no domain fits '\*/latin'"),
        ({"name": "x", "domains": ["latin"]}, "no domain 'latin'"),
    ],
)
def test_a_pattern_that_fits_nothing_is_named(group, said):
    with pytest.raises(Problem, match=said):
        frame_of(spec(groups=(group,)), list(NAMES), CORPUS)


@pytest.mark.parametrize("design", DESIGNS)
def test_runs_of_a_changed_domain_keep_groups_and_the_ratios_of_what_stays(design):
    """One domain is added to six; those stay in the best mixture's ratios, which cross both groups."""
    new, best = (*NAMES, "wiki/maths"), np.array([0.3, 0.2, 0.1, 0.15, 0.05, 0.2])
    change = Change(NAMES, new, {name: {name: 1.0} for name in NAMES})
    settings = spec(groups=({"name": "maths", "domains": ["*/maths"], "share": [0.5, 0.6]},), design=design)
    kept = reuse(change, best[None], best)
    plan = Succession(settings, change, kept, [], np.empty((0, 7)), np.zeros(7, bool), 8, {})
    corpus = {"domains": CORPUS["domains"] | {"wiki/maths": {"train_tokens": 1e7}}}
    frame = frame_of(settings, list(new), corpus)
    points = opened(plan, frame)
    assert points.shape == (8, 7) and frame.space.contains(points).all()
    np.testing.assert_allclose(
        points[:, :6] / points[:, :6].sum(axis=1, keepdims=True), np.tile(best, (8, 1)), atol=1e-6
    )
    assert np.ptp(points[:, 6]) > 0.05
