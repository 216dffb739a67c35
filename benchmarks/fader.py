"""What a fader costs at many domains and metrics: `python -m benchmarks.fader`.

CPU milliseconds of what a page asks when a fader rests: the prediction there with its intervals, and the difference to
a baseline with its own; 24 domains, 24 metrics, 300 runs of a synthetic law, one thread. The peer is scikit-learn's
Gaussian process, one per metric on the same runs, asked for means and standard deviations at the same two points.
Rounds are taken in turns: what else runs here slows both alike. The results are in benchmarks/results/fader.md.
"""

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from engine.surrogates import SURROGATES
from engine.surrogates.prediction import predict_beside

DOMAINS = METRICS = 24
RUNS, MOVES, ASKED = 300, 60, ("around_law", "gp_rational", "power_law", "stack")


def main() -> None:
    rng = np.random.default_rng(0)
    weights, slopes = rng.dirichlet(np.full(DOMAINS, 0.7), RUNS), rng.uniform(0.05, 0.5, (DOMAINS, METRICS))
    losses = 3 - np.log(weights + 0.05) @ slopes / 4 + rng.normal(0, 0.01, (RUNS, METRICS))
    points, even = rng.dirichlet(np.ones(DOMAINS), MOVES), np.full(METRICS, 1 / METRICS)
    kernel = Matern(0.5, nu=2.5) + WhiteKernel(1e-4)
    peers = [GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True).fit(weights, y) for y in losses.T]
    print("| surrogate | ms | scikit-learn's, ms | ratio |\n|---|---|---|---|")
    for name in ASKED:
        fitted = SURROGATES[name].fit(weights, losses, 0)
        asked = (
            lambda at, fitted=fitted: predict_beside(fitted, at, points[-1], even),
            lambda at: [one.predict(np.stack([at, points[-1]]), return_std=True) for one in peers],
        )
        ours, peer = in_turns(asked, points[:-1])
        print(f"| {name} | {ours:.1f} | {peer:.1f} | {peer / ours:.1f} |", flush=True)


def in_turns(questions: Sequence[Callable[[np.ndarray], object]], points: np.ndarray) -> list[float]:
    """The median CPU milliseconds of each question at the points (N, D)."""
    times: list[list[float]] = [[] for _ in questions]
    for at in points:
        for question, found in zip(questions, times, strict=True):
            began = time.process_time()
            question(at)
            found.append(1000 * (time.process_time() - began))
    return [statistics.median(found) for found in times]


if __name__ == "__main__":
    main()
