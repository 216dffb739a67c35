"""What every metric of the table promises, on predictions whose answer is known; and the loss, by hand."""

import math

import numpy as np
import pytest
import torch

from engine.core.errors import Problem
from engine.metrics import (
    LOSS,
    METRICS,
    Prediction,
    Text,
    measured_by,
    names_of,
    objectives_of,
    ratio,
    values_of,
    window_scores,
)

G, W, T, V = 2, 5, 7, 11  # models, windows, targets, vocabulary


def predicted(seed: int = 0, sure: float = 1.0) -> tuple[Prediction, Text]:
    """Random logits of random targets; `sure`: how much larger the target's logit is made."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(G, W, T, V, generator=generator)
    targets = torch.randint(V, (W, T), generator=generator).expand(G, -1, -1)
    logits.scatter_add_(-1, targets[..., None], torch.full((G, W, T, 1), float(sure)))
    text = Text(np.full(W, T), np.arange(W) + 2.0 * T)
    return Prediction(targets, lambda: logits), text


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_scores_are_one_per_target_and_values_finite_with_an_error(metric):
    prediction, text = predicted()
    assert tuple(metric.score(prediction).shape) == (G, W, T)
    sums = window_scores([metric], prediction)
    assert sums.shape == (1, G, W) and sums.dtype == np.float64
    values, errors = values_of([metric], [sums], [text])
    assert values.shape == errors.shape == (G, 1)
    assert np.isfinite(values).all() and (errors > 0).all()


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_model_that_knows_the_text_is_better(metric):
    """In the direction that the metric says."""
    vague, sure = (
        values_of([metric], [window_scores([metric], p)], [t])[0] for p, t in (predicted(), predicted(sure=9))
    )
    assert ((sure > vague) == metric.higher_is_better).all()


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_windows_measured_in_parts_measure_the_same(metric):
    """Sums of parts are those of the whole, so batches may be of any size."""
    prediction, _ = predicted()
    parts = [
        Prediction(prediction.targets[:, k : k + 2], lambda k=k: prediction.logits[:, k : k + 2])
        for k in range(0, W, 2)
    ]
    whole = window_scores([metric], prediction)
    np.testing.assert_allclose(np.concatenate([window_scores([metric], p) for p in parts], -1), whole, rtol=1e-5)


def test_the_loss_is_the_nats_of_the_targets_in_bits_per_byte():
    prediction, text = predicted()
    logs = prediction.logits.log_softmax(-1)
    nats = -logs.gather(-1, prediction.targets[..., None]).sum((1, 2, 3))
    values, _ = values_of([LOSS], [window_scores([LOSS], prediction)], [text])
    np.testing.assert_allclose(values[:, 0], nats.numpy() / math.log(2) / text.bytes.sum(), rtol=1e-5)


def test_losses_are_had_without_logits_where_a_model_has_a_faster_way():
    def never():
        raise AssertionError("nobody asked for logits")

    prediction = Prediction(torch.zeros(G, W, T, dtype=torch.long), never, lambda: torch.ones(G, W, T))
    assert window_scores([LOSS], prediction).tolist() == [[[float(T)] * W] * G]


def test_the_error_of_a_ratio_is_the_spread_of_repeats():
    rng = np.random.default_rng(0)
    sizes = rng.integers(5, 20, 64).astype(float)
    values, errors = ratio(rng.gamma(9.0, size=(400, 64)) * sizes, sizes)
    assert errors.mean() == pytest.approx(values.std(), rel=0.1)


def test_names_run_over_domains_metric_by_metric_and_objectives_follow():
    metrics = measured_by(["accuracy"])
    assert metrics[0] is LOSS and len(metrics) == 2
    names = names_of(metrics, ["web", "code"])
    assert names[:2] == ["web", "code"] and len(set(names)) == 4
    objectives = objectives_of(["accuracy"], ["web", "code"])
    assert [one.metric for one in objectives] == names
    assert [one.domain for one in objectives] == ["web", "code", None, None]
    assert measured_by(["accuracy", "loss", "accuracy"]) == metrics


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(Problem, match="'bleu': the metrics are loss, accuracy"):
        measured_by(["bleu"])
