"""The in-context surrogate: its worlds, that numpy's pass is torch's, that orders do not count, and what it refuses."""

import numpy as np
import pytest

from engine.spec.statistics import ci_half_width
from engine.surrogates.gp_rational import RationalGP
from engine.surrogates.in_context.cells import CHANNELS, cells
from engine.surrogates.in_context.forward import read
from engine.surrogates.in_context.prior import ASKED, FAMILIES, METRICS, tables
from engine.surrogates.in_context.surrogate import InContext

torch = pytest.importorskip("torch")
UNKNOWN = np.full(5, np.nan)


@pytest.fixture(scope="module")
def network():
    """One whose every number does something."""
    from engine.surrogates.in_context.network import Network

    torch.manual_seed(0)
    net = Network()
    with torch.no_grad():
        for one in net.parameters():
            one += 0.1 * torch.randn_like(one)
    return net


@pytest.fixture(scope="module")
def arrays(network):
    return {name: value.numpy() for name, value in network.state_dict().items()}


def study(runs=12, metrics=2, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(5), runs)
    return weights, np.exp(-weights @ rng.uniform(0, 2, (5, metrics))) + 0.01 * rng.standard_normal((runs, metrics))


@pytest.mark.parametrize("family", FAMILIES)
def test_worlds_are_finite_and_half_of_what_is_asked_is_better_than_the_runs(family):
    found = tables(6, 10, 4, family, np.random.default_rng(1))
    assert found.shares.shape == (6 * METRICS, 10, 4) and found.asked.shape == (6 * METRICS, ASKED, 4)
    assert all(np.isfinite(one).all() for one in (*found[:4], found.truth))
    if family == "box":
        assert found.shares.min() >= 1 and found.shares.max() <= 2
    else:
        np.testing.assert_allclose(found.asked.sum(axis=2), 1)
    near, far = found.truth[:, : ASKED // 2], found.truth[:, ASKED // 2 :]
    assert far.mean() < near.mean()


def test_the_same_step_has_the_same_worlds():
    from engine.surrogates.in_context.train import batch

    (one, *_), (same, *_), (other, *_) = batch(3, 7), batch(3, 7), batch(3, 8)
    np.testing.assert_array_equal(one.answers, same.answers)
    assert one.answers.shape != other.answers.shape or not np.array_equal(one.answers, other.answers)


def test_the_pass_in_numpy_is_that_of_torch(network, arrays):
    one = tables(2, 9, 5, "epochs", np.random.default_rng(2))
    targets = one.losses - one.losses.mean(axis=1, keepdims=True)
    inputs = cells(one.shares, targets / targets.std(axis=1, keepdims=True), one.repeats)
    assert inputs.shape == (2 * METRICS, 9, 5, CHANNELS)
    with torch.no_grad():
        wanted = network(torch.from_numpy(inputs))
    for ours, theirs in zip(read(inputs, arrays), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-4)


def test_what_is_trained_is_what_predicts(network, arrays):
    """The loss is of the surrogate's own mean and deviation, where the runs do not move what the network read."""
    from engine.surrogates.in_context.network import posterior

    weights, losses = study()
    logs = np.log(losses - losses.min(axis=0) + losses.std(axis=0))
    targets = ((logs - logs.mean(axis=0)) / logs.std(axis=0)).T
    shares = np.broadcast_to(weights, (2, *weights.shape)).copy()
    asked = np.random.default_rng(9).dirichlet(np.ones(5), (1, 20)).repeat(2, axis=0)
    with torch.no_grad():
        reading = network(torch.from_numpy(cells(shares, targets, np.full((2, 5), np.nan))))
        mean, std, _ = posterior(reading, *map(torch.from_numpy, (shares, losses.T.copy(), asked)))
    found = InContext.by(arrays, weights, losses, UNKNOWN, trust=0).predict(asked[0])
    for ours, theirs in zip(found, (mean, std), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy().T, rtol=1e-3, atol=1e-3)


def test_the_order_of_domains_plays_no_part(arrays):
    (weights, losses), order = study(), np.array([3, 0, 4, 1, 2])
    one = InContext.by(arrays, weights, losses, UNKNOWN)
    other = InContext.by(arrays, weights[:, order], losses, UNKNOWN)
    points, _ = study(30, seed=5)
    for here, there in zip(one.predict(points), other.predict(points[:, order]), strict=True):
        np.testing.assert_allclose(here, there, rtol=0.02, atol=0.01 * losses.std())


def test_a_metric_that_a_run_lacks_is_as_if_the_run_were_not_there(arrays):
    weights, losses = study()
    losses[4, 0] = np.nan
    whole = InContext.by(arrays, weights, losses, UNKNOWN)
    assert (whole.doubt[0, 4], whole.doubt[1, 4] != 0) == (0, True)
    alone = InContext.by(arrays, weights, losses[:, 1:], UNKNOWN)
    np.testing.assert_allclose(whole.predict(weights)[0][:, 1], alone.predict(weights)[0][:, 0], rtol=1e-6)


@pytest.mark.parametrize(("runs", "domains"), [(201, 3), (10, 25), (10, 1)])
def test_where_it_has_not_learned_it_is_the_plain_process(runs, domains):
    points = np.random.default_rng(0).random((runs, domains))
    losses = np.exp(-points[:, :1])
    ours, plain = (kind.fit(points, losses) for kind in (InContext, RationalGP))
    assert "plain Gaussian process" in ours.caveats[0]
    for one, other in zip(ours.predict(points[:20]), plain.predict(points[:20]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_metrics_in_which_nothing_can_be_seen_are_unlike_its_studies():
    weights, losses = study(40, 1)
    parity = np.floor(40 * weights[:, :1]) % 2
    found = InContext.fit(weights, np.hstack([losses, parity]))
    assert found.strange[0] < 1 < found.strange[1]
    assert "unlike those studies in 1 of 2 metrics" in found.caveats[-1]


def test_few_runs_are_said_to_rest_on_the_synthetic_studies():
    """And their intervals hold what they promise, on laws of its kind."""
    inside = []
    for seed in range(12):
        weights, losses = study(8 + 100, 2, seed)
        found = InContext.fit(weights[:8], losses[:8])
        mean, std = found.predict(weights[8:])
        inside.append((np.abs(losses[8:] - mean) < ci_half_width(std)).mean())
    assert "8 runs for 5 weights" in found.caveats[0]
    assert 0.85 < np.mean(inside) <= 1


def test_a_training_goes_on_and_its_weights_can_be_read(tmp_path, monkeypatch):
    from safetensors.numpy import load_file

    from engine.surrogates.in_context import train as training
    from engine.surrogates.in_context.shipping import ship
    from engine.surrogates.in_context.train import Settings, train

    monkeypatch.setattr(training, "JUDGED", 2)  # batches of held-out worlds: they cost more than the steps
    train(Settings(steps=1), tmp_path)
    train(Settings(steps=2), tmp_path)
    text = (tmp_path / "log.jsonl").read_text()
    assert '"from": 1' in text and '"step": 2, "held_out"' in text
    ship(tmp_path, tmp_path / "weights.safetensors", studies=3)
    net = load_file(tmp_path / "weights.safetensors")
    assert (tmp_path / "weights.safetensors").stat().st_size < 20e6
    assert (net["familiar.signs"] > 0).all() and len(net["familiar.runs"]) >= 2
    weights, losses = study()
    found = InContext.by(net, weights, losses, UNKNOWN)
    assert np.isfinite(found.predict(weights)[0]).all()
