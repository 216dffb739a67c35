"""What every surrogate of the table promises, on laws whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.surrogates import SURROGATES, load, save
from engine.surrogates.prediction import predict, predict_beside

DOMAINS, METRICS, NOISE = 4, 3, 0.02
PULL = np.array([[2.5, 0.5, 0.2, 0.0], [0.3, 2.0, 0.1, 0.4], [0.2, 0.3, 3.0, 0.1]])


def law(weights):
    """(N, M): each metric is a log-linear law of the shares."""
    return 1.0 + np.exp(1.2 - np.asarray(weights) @ PULL.T)


def runs(count, seed, noise=NOISE):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(DOMAINS, 0.7), count)
    return weights, law(weights) + noise * rng.normal(size=(count, METRICS))


WEIGHTS, LOSSES = runs(48, 0)
TEST, _ = runs(200, 1)


SLOW = [pytest.param(name, marks=[pytest.mark.slow] * one.slow) for name, one in SURROGATES.items()]


@pytest.fixture(scope="module", params=SLOW)
def kind(request):
    return SURROGATES[request.param]


@pytest.fixture(scope="module")
def fitted(kind):
    return kind.fit(WEIGHTS, LOSSES)


@pytest.fixture(scope="module")
def again(kind):
    """Fitted once more, to the same runs in another order."""
    order = np.random.default_rng(3).permutation(len(WEIGHTS))
    return kind.fit(WEIGHTS[order], LOSSES[order])


@pytest.fixture(scope="module")
def flat(kind):
    """Fitted where the second metric is always 2, and the third always 0."""
    return kind.fit(WEIGHTS, LOSSES * [1, 0, 0] + [0, 2.0, 0])


def test_it_is_described_for_the_page(kind):
    assert kind.title
    assert kind.summary.endswith(".")
    assert "\n" not in kind.summary


def test_shapes_and_finite(fitted):
    for points in (TEST, TEST[:1], TEST[:0]):
        mean, std = fitted.predict(points)
        assert mean.shape == std.shape == fitted.mean(points).shape == (len(points), METRICS)
        assert np.isfinite(mean).all()
        assert (std > 0).all()


def test_corners_are_finite(fitted):
    mean, std = fitted.predict(np.eye(DOMAINS))
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()


def test_mean_and_moments_agree(fitted):
    np.testing.assert_allclose(fitted.mean(TEST), fitted.predict(TEST)[0], rtol=1e-9)


def test_a_bulk_scores_as_its_parts(fitted):
    points = np.random.default_rng(2).dirichlet(np.ones(DOMAINS), 5000)
    parts = np.concatenate([fitted.mean(part) for part in np.array_split(points, 5)])
    assert (np.abs(fitted.mean(points) - parts) < 5e-3 * LOSSES.std(axis=0)).all()


def test_covariance_has_the_variances_on_its_diagonal(fitted):
    covariance, (mean, same) = fitted.covariance(TEST[:5]), fitted.joint(TEST[:5])
    np.testing.assert_allclose(mean, fitted.mean(TEST[:5]), rtol=1e-9)
    np.testing.assert_array_equal(same, covariance)
    even = np.ones(mean.shape[1])
    here, alone = predict_beside(fitted, TEST[0], TEST[1], even)[0], predict(fitted, TEST[0], even)
    np.testing.assert_allclose([*here.mean, *here.std], [*alone.mean, *alone.std], rtol=1e-6)
    np.testing.assert_allclose(np.einsum("maa->am", covariance), fitted.moments(TEST[:5])[1], rtol=1e-6, atol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9
    np.testing.assert_allclose(covariance, covariance.transpose(0, 2, 1), atol=1e-12)


def test_reproducible(fitted, again):
    for one, other in zip(again.predict(TEST), fitted.predict(TEST), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_order_of_runs_plays_no_part(fitted, again):
    np.testing.assert_array_equal(again.covariance(TEST[:5]), fitted.covariance(TEST[:5]))


def test_saved_and_loaded_is_the_same(fitted, tmp_path):
    kept = fitted.calibrated(np.arange(1.0, METRICS + 1), np.eye(METRICS))
    save(kept, tmp_path / "deep" / "one.npz")
    again = load(tmp_path / "deep" / "one.npz")
    assert type(again) is type(fitted)
    for one, other in zip(again.predict(TEST), kept.predict(TEST), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["one.npz"]


@pytest.mark.parametrize("name", ["gp", "returns", "stack", "ridge"])
@pytest.mark.slow
def test_again_learns_other_runs_as_well_as_a_fit(name, tmp_path):
    """What keeps its hyperparameters (through a file, too) comes as near to the law as what looks for them anew."""
    weights, losses = runs(48, 7)
    losses[3, 0] = np.nan
    save(SURROGATES[name].fit(WEIGHTS, LOSSES), tmp_path / "one.npz")
    kept, new = load(tmp_path / "one.npz").again(weights, losses), SURROGATES[name].fit(weights, losses)
    errors = [np.sqrt(np.mean((one.mean(TEST) - law(TEST)) ** 2)) for one in (kept, new)]
    assert errors[0] < 1.5 * errors[1]
    assert 0.5 < (kept.predict(TEST)[1] / new.predict(TEST)[1]).mean() < 2


def test_calibration_stretches_the_std_alone(fitted):
    stretched = fitted.calibrated(np.array([1.0, 2.0, 3.0]), np.eye(METRICS))
    np.testing.assert_array_equal(stretched.predict(TEST)[0], fitted.predict(TEST)[0])
    np.testing.assert_allclose(stretched.predict(TEST)[1], fitted.predict(TEST)[1] * [1, 2, 3])


def test_it_beats_the_mean(fitted):
    error = np.sqrt(((fitted.mean(TEST) - law(TEST)) ** 2).mean(axis=0))
    assert (error < 0.8 * law(TEST).std(axis=0)).all()


def test_the_intervals_hold(kind):
    weights, losses = runs(96, 4, 0.1)
    test, measured = runs(300, 5, 0.1)
    mean, std = kind.fit(weights, losses).predict(test)
    inside = (np.abs(measured - mean) < 1.96 * std).mean()
    assert 0.85 <= inside <= 1.0


def test_a_constant_metric(flat):
    mean, std = flat.predict(TEST)
    np.testing.assert_allclose(mean[:, 1], 2.0, atol=1e-3)
    assert (std > 0).all()
    assert std[:, 1].max() < 0.02


def test_runs_that_lack_a_metric(kind, fitted):
    losses = LOSSES.copy()
    losses[:12, 1] = np.nan
    partial, whole = kind.fit(WEIGHTS, losses), fitted.mean(TEST)
    rtol = 5e-3 if kind is SURROGATES["stack"] else 1e-4  # its weights are shared by the metrics
    np.testing.assert_allclose(partial.mean(TEST)[:, [0, 2]], whole[:, [0, 2]], rtol=rtol)
    only = kind.fit(WEIGHTS[12:], LOSSES[12:])
    error = np.abs(partial.mean(TEST)[:, 1] - only.mean(TEST)[:, 1]).mean()
    assert error < 0.2 * law(TEST)[:, 1].std()


def test_duplicated_runs(kind):
    mean, std = kind.fit(np.repeat(WEIGHTS, 2, axis=0), np.repeat(LOSSES[:, :1], 2, axis=0)).predict(TEST)
    assert np.isfinite(mean).all()
    assert (std > 0).all()


def test_a_domain_that_no_run_holds(kind):
    wider = np.insert(WEIGHTS, 2, 0.0, axis=1)
    points = np.concatenate([np.insert(TEST, 2, 0.0, axis=1), np.eye(DOMAINS + 1)])
    mean, std = kind.fit(wider, LOSSES[:, :1]).predict(points)
    assert np.isfinite(mean).all()
    assert (std > 0).all()
    assert np.corrcoef(mean[: len(TEST), 0], law(TEST)[:, 0])[0, 1] > 0.7


def test_fewer_runs_than_domains(kind):
    mean, std = kind.fit(WEIGHTS[:3], LOSSES[:3]).predict(TEST)
    assert np.isfinite(mean).all()
    assert (std > 0).all()


def test_one_domain(kind):
    """All there is to learn is the mean."""
    losses = 3.0 + 0.1 * np.random.default_rng(8).normal(size=(30, 1))
    mean, std = kind.fit(np.ones((30, 1)), losses).predict(np.ones((1, 1)))
    assert abs(mean[0, 0] - losses.mean()) < 0.1
    assert 0.05 < std[0, 0] < 0.3


def test_a_hundred_domains(kind):
    rng = np.random.default_rng(9)
    weights = rng.dirichlet(np.full(100, 0.3), 40)
    losses = 2.0 - weights[:, :1] + 0.01 * rng.normal(size=(40, 1))
    mean, std = kind.fit(weights, losses).predict(rng.dirichlet(np.full(100, 0.3), 20))
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
    assert (std > 0).all()
    assert (np.abs(mean - losses.mean(axis=0)) < 10 * np.ptp(losses, axis=0)).all()


def test_metrics_of_wildly_different_scales(kind, fitted):
    """Each is fitted as if it were alone: in millions or in millionths."""
    factor = np.array([1e6, 1.0, 1e-6])
    mean, std = kind.fit(WEIGHTS, LOSSES * factor).predict(TEST)
    wanted_mean, wanted_std = fitted.predict(TEST)
    spread = LOSSES.std(axis=0)
    assert (np.abs(mean / factor - wanted_mean).mean(axis=0) < 0.1 * spread).all()
    np.testing.assert_allclose(np.median(std / factor, axis=0), np.median(wanted_std, axis=0), rtol=0.3)


def test_a_metric_that_is_always_zero(flat):
    mean, std = flat.predict(TEST)
    np.testing.assert_allclose(mean[:, 2], 0, atol=1e-4)
    assert np.isfinite(std).all()


def test_too_little_is_refused(kind):
    losses = LOSSES.copy()
    losses[2:, 1] = np.nan
    with pytest.raises(Problem, match="metric 2 was measured in 2 runs"):
        kind.fit(WEIGHTS, losses)
    with pytest.raises(Problem, match="every weight must be a number"):
        kind.fit(np.full((5, 2), np.nan), np.ones((5, 2)))


def test_the_log_linear_law_is_recovered():
    fitted = SURROGATES["log_linear"].fit(*runs(60, 6, 0.0))
    np.testing.assert_allclose(fitted.mean(TEST), law(TEST), atol=2e-3)


def test_a_line_is_recovered():
    slopes = np.array([[1.0, 2.0], [3.0, 1.0], [0.0, 2.0], [1.0, 1.0]])
    fitted = SURROGATES["linear"].fit(WEIGHTS, WEIGHTS @ slopes)
    np.testing.assert_allclose(fitted.mean(TEST), TEST @ slopes, atol=1e-3)


def test_own_share_looks_at_the_metrics_own_domain():
    assert SURROGATES["own_share"].fit(WEIGHTS, LOSSES).domain.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["gp", "gp_rational"])
def test_gp_gradients(name):
    """The analytic gradient of the misfit against central differences."""
    _misfit = SURROGATES[name]._misfit

    rng = np.random.default_rng(7)
    z, lines, targets = rng.normal(size=(15, 3)), rng.normal(size=(15, 6)), rng.normal(size=15)
    theta, rest = np.array([0.3, 0.8, 1.2, 0.2, -1.5, -0.4, 0.3]), (z, lines, targets)
    rest += (np.zeros(7), np.ones(7), rng.uniform(0.5, 2.0, 15))
    numeric = [(_misfit(theta + step, *rest)[0] - _misfit(theta - step, *rest)[0]) / 2e-5 for step in np.eye(7) * 1e-5]
    np.testing.assert_allclose(_misfit(theta, *rest)[1], numeric, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["gp", "gp_rational"])
def test_gp_goes_on_by_the_law_beyond_its_runs(name):
    """Where no run has more than a third of any domain, a line in log shares tells what a pure domain measures."""
    rng = np.random.default_rng(3)
    runs = rng.dirichlet(np.full(DOMAINS, 1.0), 2000)
    runs = runs[runs.max(axis=1) < 1 / 3 + 0.25][:60]

    def exponential(points):
        return 1 + np.exp(points @ np.linspace(-2, 1, DOMAINS))[:, None]

    fitted = SURROGATES[name].fit(runs, exponential(runs) + 0.002 * rng.normal(size=(len(runs), 1)))
    alone = replace(fitted, theta=fitted.theta[:, :, :-2])  # as saved before there were lines
    corner = np.eye(DOMAINS)[:1]
    missed = abs(fitted.mean(corner) - exponential(corner))[0, 0]
    assert missed < 0.5 * abs(alone.mean(corner) - exponential(corner))[0, 0]
    np.testing.assert_allclose(fitted.moments(runs)[0], fitted.mean(runs), rtol=1e-9)
    np.testing.assert_allclose(
        fitted.covariance(runs[:5])[0].diagonal(), fitted.moments(runs[:5])[1][:, 0], rtol=1e-6, atol=1e-12
    )


def test_gp_doubts_more_far_from_the_runs():
    near = WEIGHTS[(WEIGHTS[:, 0] < 0.5)]
    fitted = SURROGATES["gp"].fit(near, law(near))
    assert fitted.predict(np.eye(DOMAINS)[:1])[1][0, 0] > 3 * fitted.predict(near)[1][:, 0].mean()


@pytest.mark.parametrize("text", [b"", b"PK\x03\x04 broken", b"not a file of ours"])
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "gp.npz").write_bytes(text)
    with pytest.raises(Problem, match="Fit it again"):
        load(tmp_path / "gp.npz")


def test_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "gp.npz", _surrogate=np.array([{}], dtype=object), _version=1)
    with pytest.raises(Problem, match="Fit it again"):
        load(tmp_path / "gp.npz")
