"""Designs and baselines: inside the bounds, all different, the same for the same seed, and as published."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.space.baselines import baselines, epoch_caps, epochs, unimax
from engine.space.design import DESIGNS, Around, regmix
from engine.space.dirichlet import dirichlet
from engine.space.groups import Group
from engine.space.simplex import Simplex
from engine.spec.fidelity import PRESETS
from engine.spec.frame import frame_of
from engine.spec.repetition import kept_fractions
from engine.spec.study import StudySpec, plan_runs

PRIOR = np.array([0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
SPACE = Simplex(tuple("abcdef"))
CAPPED = Simplex(tuple("abcdef"), [0, 0.05, 0, 0, 0, 0], [0.5, 0.5, 0.3, 0.3, 0.1, 0.05])


@pytest.mark.parametrize("design", [design.points for design in DESIGNS.values()], ids=DESIGNS)
@pytest.mark.parametrize("space", [SPACE, CAPPED], ids=["free", "capped"])
def test_a_design(design, space):
    points = design(space, PRIOR, 64, 3)
    assert points.shape == (64, 6)
    assert space.contains(points, 1e-9).all()
    assert len(np.unique(points.round(6), axis=0)) == 64
    np.testing.assert_array_equal(points, design(space, PRIOR, 64, 3))
    assert not np.array_equal(points, design(space, PRIOR, 64, 4))


@pytest.mark.parametrize("design", [design.points for design in DESIGNS.values()], ids=DESIGNS)
def test_a_space_of_one_point_has_no_design(design):
    with pytest.raises(Problem, match="Widen the bounds"):
        design(Simplex(("a", "b"), [0.5, 0.5], [0.5, 0.5]), np.ones(2), 5, 0)


def test_regmix_limits():
    points = regmix(SPACE, PRIOR, 512, 0)
    assert (points <= 15 * PRIOR + 1e-9).all()
    assert not ((points > 0) & (points < 2e-4)).any()
    assert (points.max(axis=1) > 0.95).any(), "some mixtures are nearly one domain"
    assert (points.max(axis=1) < 0.5).any(), "some lie near the prior"


def test_regmix_flattens_the_prior():
    flat, steep = (
        regmix(SPACE, PRIOR, 400, 0, Around(max_ratio=1e9)),
        regmix(SPACE, PRIOR, 400, 0, Around(max_ratio=1e9, temperature=1)),
    )
    assert flat[:, 0].mean() < steep[:, 0].mean() - 0.02


def test_dirichlet_has_its_moments():
    """Dirichlet(s p): mean p, variance p (1 - p) / (s + 1)."""
    draws = dirichlet(PRIOR, 200_000, np.random.default_rng(0), (2.0, 2.0))
    np.testing.assert_allclose(draws.mean(axis=0), PRIOR, atol=4e-3)
    np.testing.assert_allclose(draws.var(axis=0), PRIOR * (1 - PRIOR) / 3, atol=3e-3)


def test_dirichlet_of_tiny_strength_does_not_underflow():
    draws = dirichlet(np.array([0.5, 0.5, 0.0]), 2000, np.random.default_rng(0), (1e-4, 1e-4))
    np.testing.assert_allclose(draws.sum(axis=1), 1)
    assert abs(draws[:, 0].mean() - 0.5) < 0.05
    assert (draws[:, 2] == 0).all()


@pytest.mark.parametrize("prior", [[1, -1], [0, 0], [np.nan, 1]])
def test_bad_priors(prior):
    with pytest.raises(Problem, match="as a prior"):
        regmix(Simplex(("a", "b")), prior, 8, 0)


def test_unimax_known_answer():
    """1M tokens at 4 epochs fill 0.1 of 40M; the other two share the rest evenly."""
    np.testing.assert_allclose(unimax([1e6, 5e7, 9e7], 4e7, 4), [0.1, 0.45, 0.45], atol=1e-9)


def test_baselines_and_epochs():
    available = np.array([1e6, 3e6, 6e6])
    found = baselines(available, 1e7, 4)
    assert list(found) == ["natural", "uniform", "unimax"]
    np.testing.assert_allclose(epochs(found["natural"], available, 1e7), 1)
    assert (epochs(found["unimax"], available, 1e7) <= 4 + 1e-9).all()


def test_text_that_does_not_last():
    with pytest.raises(Problem, match="Allow 5 epochs"):
        epoch_caps([1e6, 1e6], 1e7, 4)


def information(points: np.ndarray) -> float:
    """Log determinant of a quadratic law's information on log shares, with a weak prior."""
    logs = np.log(points + 1e-3)
    features = np.concatenate([np.ones((len(logs), 1)), logs, logs**2], axis=1)
    return np.linalg.slogdet(features.T @ features + 1e-3 * np.eye(features.shape[1]))[1]


def test_d_optimal_points_tell_more_than_random_ones():
    chosen = information(DESIGNS["d_optimal"].points(SPACE, PRIOR, 32, 0))
    random = [information(regmix(SPACE, PRIOR, 32, seed)) for seed in range(10)]
    assert chosen > max(random) + 1


def test_by_level_is_dense_above_and_sparse_below():
    """Four sources of eight topics: nearly every source is in each mixture, and of its topics a few."""
    names = tuple(f"{source}/{topic}" for source in "abcd" for topic in range(8))

    def of(design: str) -> tuple[float, float]:
        points = DESIGNS[design].points(Simplex(names), np.ones(32), 200, 0).reshape(200, 4, 8)
        there = points.sum(axis=2) > 0.01
        inside = points[there] / points[there].sum(axis=1, keepdims=True)
        return there.mean(), (inside > 0.02).sum(axis=1).mean()

    (dense, few), (less, more) = of("by_level"), of("regmix")
    assert dense > 0.96 > less and few < 2.2 < more


def test_corners():
    points = DESIGNS["corners"].points(SPACE, PRIOR, 20, 0)
    np.testing.assert_allclose(points[:6][np.argsort(-points[:6].argmax(axis=1))][::-1], np.eye(6), atol=1e-12)
    without = points[6:12]
    assert (without == 0).sum() == 6
    np.testing.assert_allclose(without[0, 1:], PRIOR[1:] / PRIOR[1:].sum())
    with pytest.raises(Problem, match="they are 12"):
        DESIGNS["corners"].points(SPACE, PRIOR, 11, 0)


@pytest.mark.parametrize("design", [design.points for design in DESIGNS.values()], ids=DESIGNS)
def test_designs_keep_groups(design):
    groups = (Group("web", ("a", "b"), 0.3, 0.6), Group("rest", ("c", "d"), 0.1, 0.5, (3, 1)))
    space = Simplex(tuple("abcdef"), [0, 0, 0, 0, 0.02, 0], [1, 1, 1, 1, 0.02, 1], groups)
    points = design(space, PRIOR, 40, 0)
    assert space.contains(points, 1e-9).all() and len(np.unique(points.round(6), axis=0)) == 40
    np.testing.assert_allclose(points[:, 2], 3 * points[:, 3], atol=1e-9)
    assert np.ptp(points[:, 0]) > 0.2


@pytest.mark.parametrize("design", [design.points for design in DESIGNS.values()], ids=DESIGNS)
@pytest.mark.parametrize("domains", [2, 100])
def test_few_and_many_domains(design, domains):
    space = Simplex(tuple(f"d{i}" for i in range(domains)))
    points = design(space, np.arange(1.0, domains + 1), 220, 0)
    assert points.shape == (220, domains) and space.contains(points, 1e-9).all()


def test_a_ratio_to_the_prior_that_cannot_be_kept_is_named():
    with pytest.raises(Problem, match=r"under 1\.05 x its prior.*allow 0\.825 of the tokens.*raise the largest ratio"):
        regmix(Simplex(("a", "b"), None, [0.3, 1]), np.ones(2), 8, 0, Around(max_ratio=1.05))


# The frame ---------------------------------------------------------------------------------------------------

CORPUS = {"domains": {"web": {"train_tokens": 6e6}, "code": {"train_tokens": 3e6}, "news": {"train_tokens": 1e6}}}
DOMAINS = list(CORPUS["domains"])


def spec(**settings) -> StudySpec:
    return StudySpec(name="x", fidelity=PRESETS["demo"], **settings)


def test_one_frame_for_design_and_search():
    group = {"name": "text", "domains": ["web", "news"], "share": [0.3, 0.6], "ratios": "prior"}
    frame = frame_of(spec(bounds={"code": [0.1, 0.5]}, groups=(group,), target_tokens=2e7), DOMAINS, CORPUS)
    assert frame.space.groups[0].ratios == (0.6, 0.1)
    np.testing.assert_allclose(frame.space.upper, [1, 0.5, 0.2])
    np.testing.assert_allclose(frame.design_space.upper, [0.95, 0.5, 0.95])
    assert list(frame.baselines) == ["natural", "uniform", "unimax"] and frame.prior_name == "natural"
    runs = plan_runs(spec(groups=(group,), runs=20), "s", frame)
    design = np.array([run["weights"] for run in runs if run["role"] == "design"])
    assert frame.design_space.contains(design, 1e-9).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"bounds": {"news": 0.5}, "target_tokens": 2e7}, "news at least 0.5, at most 0.2.*epoch cap of 4"),
        ({"bounds": {"web": [0.6, 1], "code": [0.5, 1]}}, "1.1 of the tokens.*web 0.6, code 0.5"),
        ({"bounds": {"web": [0, 0.2], "code": [0, 0.2]}, "target_tokens": 2e7}, "allow 0.6.*epoch cap"),
        ({"groups": ({"name": "g", "domains": ["web", "latin"]},)}, "latin"),
        ({"bounds": {"latin": 0.1}}, "latin"),
    ],
)
def test_constraints_in_conflict_are_named(settings, said):
    with pytest.raises(Problem, match=said):
        frame_of(spec(**settings), DOMAINS, CORPUS)


@pytest.mark.parametrize(
    "settings",
    [
        {"bounds": {"a": [0.5, 0.1]}},
        {"bounds": {"a": "x"}},
        {"bounds": {"a": [1, 2, 3]}},
        {"bounds": 3},
        {"groups": ({"name": "g"},)},
        {"groups": ({"name": "g", "domains": ["a"], "share": 7},)},
        {"groups": ({"name": "g", "domains": ["a"], "ratios": 3},)},
        {"temperature": 0.0},
        {"max_ratio": 0.5},
    ],
)
def test_bad_constraints_are_sentences(settings):
    with pytest.raises(Problem, match="Cannot use"):
        spec(**settings)


def test_simulated_epoching_cuts_by_the_budget():
    def cut(budget: float, **settings):
        made = spec(target_tokens=budget, epoch_cap=1e6, **settings)
        return kept_fractions(made, frame_of(made, DOMAINS, CORPUS))

    np.testing.assert_array_equal(cut(1e8, simulated_epoching=False), 1)
    np.testing.assert_array_equal(cut(524_288 * 4, simulated_epoching=True), 0.25)
    np.testing.assert_array_equal(cut(524_288 * 4), 0.25, "by default, for budget and text are known")
    with pytest.raises(Problem, match="'news' would be cut from 1,000,000 to 5 tokens"):
        cut(1e11, simulated_epoching=True)
