"""Surrogates in the browser predict what Python predicts, within 1e-6: every portable one, on runs of many kinds."""

import json
from pathlib import Path

import numpy as np
import pytest

import dashboard.report
from engine.space.box import Box
from engine.surrogates import SURROGATES
from engine.surrogates.around_law import AroundLaw
from engine.surrogates.conditions import Conditions
from engine.surrogates.on_box import OnBox
from engine.surrogates.portable import most_like, portable
from engine.surrogates.stack import Stack

SCRIPT = (Path(dashboard.report.__file__).parent / "predict.js").read_text().replace("export function", "function")
ASK = """([data, points]) => {
  const one = predictor(data), { mean, std } = one.predict(points), { cov } = one.joint(points);
  return { mean, std, cov, alone: points.map(one.mean), gap: one.difference(points[0], points[1]) };
}"""


def world(runs: int, domains: int, metrics: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Runs of a law with noise; some shares are zero, some metrics missing."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(domains, 0.6), runs)
    weights[: runs // 8, 0] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    losses = 2 + np.exp(weights @ rng.normal(-1, 1, (domains, metrics))) + rng.normal(0, 0.02, (runs, metrics))
    losses[3, 0] = np.nan
    return weights, losses


@pytest.fixture(scope="module")
def tab(browser):
    page = browser.new_page()
    page.add_script_tag(content=SCRIPT)
    yield page
    page.close()


def same(tab, surrogate, points: np.ndarray) -> None:
    data = json.loads(json.dumps(portable(surrogate), allow_nan=False))
    found = tab.evaluate(ASK, [data, points.tolist()])
    mean, std = surrogate.predict(points)
    close = {"rtol": 1e-6, "atol": 1e-8}
    np.testing.assert_allclose(found["mean"], mean, **close)
    np.testing.assert_allclose(found["alone"], mean, **close)
    np.testing.assert_allclose(found["std"], std, **close)
    np.testing.assert_allclose(found["cov"], surrogate.covariance(points), rtol=1e-5, atol=1e-9)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["log_linear", "power_law", "gp", "gp_rational", "returns", "epochs", "around_law"])
@pytest.mark.parametrize("size", [(24, 3, 2), (40, 7, 3)])
def test_it_predicts_what_python_predicts(tab, name, size):
    weights, losses = world(*size)
    rng = np.random.default_rng(1)
    fitted = SURROGATES[name].fit(weights, losses)
    fitted = fitted.calibrated(np.linspace(0.8, 1.3, size[2]), 0.7 * np.eye(size[2]) + 0.3)
    points = np.vstack([rng.dirichlet(np.ones(size[1]), 6), np.eye(size[1])[:2], weights[:2]])
    same(tab, fitted, points)


@pytest.mark.browser
@pytest.mark.parametrize("passes", [1, 30])
def test_repetition_harms_in_the_browser_as_in_python(tab, passes):
    """At the runs' budget, and so far beyond it that harm goes on as a line; the text of one domain is unknown."""
    weights, losses = world(40, 4, 2)
    repeats = np.array([0.5, np.nan, 4.0, 20.0])
    harmed = losses + 0.3 * np.log1p(weights[:, 3:] * 20) ** 2
    fitted = SURROGATES["epochs"].fit(weights, harmed, 0, Conditions(repeats, np.ones_like(weights)))
    assert fitted.harmed.max() > 0
    same(tab, fitted.at(passes * repeats), np.vstack([weights[:4], np.eye(4)]))


@pytest.mark.browser
def test_the_mean_of_a_law_and_a_process(tab):
    weights, losses = world(40, 4, 2)
    members = {name: SURROGATES[name].fit(weights, losses) for name in ("returns", "gp_rational")}
    noise = members["gp_rational"].noise
    fitted = AroundLaw(noise=noise, members=members, offset=np.ones(2), parts=np.array([0.3, 0.7]))
    same(tab, fitted, np.vstack([weights[:4], np.eye(4)]))


@pytest.mark.browser
def test_many_runs_are_projected_as_in_python(tab):
    weights, losses = world(230, 4, 1)
    losses = np.nan_to_num(losses, nan=float(np.nanmean(losses)))
    fitted = SURROGATES["gp_rational"].fit(weights, losses)
    same(tab, fitted, np.random.default_rng(2).dirichlet(np.ones(4), 5))


@pytest.mark.browser
def test_stacks_and_coefficients_of_merges(tab):
    weights, losses = world(30, 3, 2)
    members = {name: SURROGATES[name].fit(weights, losses) for name in ("log_linear", "gp")}
    same(tab, Stack.combined(members, {"log_linear": 0.3, "gp": 0.7}), weights[:4])
    box = Box(("a", "b", "c"), np.zeros(3), np.array([1.0, 2.0, 0.0]))
    points = box.sample(20, np.random.default_rng(0)) if hasattr(box, "sample") else weights[:20]
    fitted = OnBox.around(SURROGATES["gp"].fit(box.features(points), losses[:20]), box)
    same(tab, fitted, points[:5])


def test_what_is_not_portable_is_stood_for_by_the_most_like(tmp_path):
    weights, losses = world(30, 3, 2)
    losses = np.nan_to_num(losses, nan=3.0)
    others = {name: SURROGATES[name].fit(weights, losses) for name in ("log_linear", "gp", "ridge")}
    assert portable(others["ridge"]) is None
    name, difference = most_like(others["ridge"], others, weights, np.array([0.5, 0.5]))
    assert name in ("log_linear", "gp") and difference > 0
    assert most_like(others["gp"], others, weights, np.array([0.5, 0.5])) == ("gp", 0.0)
    assert most_like(others["ridge"], {"ridge": others["ridge"]}, weights, np.ones(2)) is None
