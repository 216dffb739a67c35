"""Where text repeats, the best mixture is inside: `OMP_NUM_THREADS=1 python -m benchmarks.repetition`.

Ten worlds of 7 domains by the two-pool law (arXiv:2605.12715), which is none of the surrogates' own: text that is read
again counts the less the more often, each domain has a harm of its own, and the best mixture repeats scarce text two
to six times. 120 runs of RegMix's design, four metrics, noise 2% of the spread. Distance: L1 from the best mixture to
the one of the lowest prediction; left: how much of the way in true loss from natural to the best is left. The first
row is the world's own law, fitted to the same runs from its true numbers on: what noise alone leaves. Writes
benchmarks/results/repetition.md.
"""

from datetime import date
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from benchmarks.worlds import METRICS
from engine.search.methods import optimum
from engine.space.design import regmix
from engine.space.simplex import Simplex
from engine.spec.statistics import lowest
from engine.surrogates import SURROGATES
from engine.surrogates.conditions import Conditions

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.repetition"
RESULTS = Path(__file__).parent / "results"
DOMAINS, RUNS, NOISE, SEEDS, DRAWS = 7, 120, 0.02, 10, 30_000
SPACE = Simplex(tuple("abcdefg"))
WEIGHTS = np.full(METRICS, 1 / METRICS)
NAMES = ("epochs", "around_law", "gp_rational", "power_law", "returns")
OWN = "the two-pool law itself"


def two_pools(numbers: np.ndarray, shares: np.ndarray, pools: np.ndarray, tokens: float) -> np.ndarray:
    """(N, M) losses: the log of the reach, and of each metric its floor, the logs of offset, exponent and of what each
    domain's text is worth (D,), and its harms (D,)."""
    seen, reach = np.maximum(shares, 0) * tokens, np.exp(numbers[0])
    passes = np.maximum(seen / pools, 1)
    taken = np.where(seen > pools, pools * (1 + reach * (1 - np.exp(-(passes - 1) / reach))), seen)
    own = numbers[1:].reshape(METRICS, -1)
    floor, (offset, exponent), useful, harm = (
        own[:, 0],
        np.exp(own[:, 1:3].T),
        np.exp(own[:, 3:-DOMAINS]),
        own[:, -DOMAINS:],
    )
    return floor + (offset + taken / tokens @ useful.T) ** -exponent + np.maximum(shares, 0) @ harm.T


def world(seed: int):
    """The numbers of the law, the pools (D,) and the tokens of a run."""
    rng = np.random.default_rng([seed, 99])
    pools = np.exp(rng.uniform(0, np.log(100), DOMAINS))
    tokens = pools.sum() * rng.uniform(0.5, 1.0)
    useful = np.exp(0.6 * rng.standard_normal((METRICS, DOMAINS))) * (pools / pools.mean()) ** -0.25
    reach, harm = rng.uniform(3, 10), np.abs(rng.standard_normal((METRICS, DOMAINS))) * 0.02
    shared = np.tile([1.8, np.log(0.05), np.log(0.35)], (METRICS, 1))
    return np.r_[np.log(reach), np.concatenate([shared, np.log(useful), harm], axis=1).ravel()], pools, tokens


def own_law(numbers: np.ndarray, runs: np.ndarray, losses: np.ndarray, pools: np.ndarray, tokens: float) -> np.ndarray:
    """The numbers of the law itself, fitted to runs from the true ones on: what noise alone leaves to be missed."""

    def missed(found: np.ndarray) -> np.ndarray:
        return ((two_pools(found, runs, pools, tokens) - losses) / losses.std(axis=0)).ravel()

    return least_squares(missed, numbers, max_nfev=60).x


def lowest_of(score, prior: np.ndarray) -> np.ndarray:
    """The mixture (D,) of the lowest score."""
    rng = np.random.default_rng(0)
    draws = SPACE.draw(prior, DRAWS, rng)
    return optimum(score, SPACE, prior, draws[lowest(score(draws), 128)], rng)


def one(seed: int) -> dict[str, tuple[float, float]]:
    """Distance and part left, of each surrogate."""
    numbers, pools, tokens = world(seed)

    def law(points: np.ndarray, by: np.ndarray = numbers) -> np.ndarray:
        return two_pools(by, np.atleast_2d(points), pools, tokens)

    natural, rng, found = pools / pools.sum(), np.random.default_rng(seed), {}
    runs = regmix(SPACE, natural, RUNS, seed)
    clean = law(runs)
    losses = clean + NOISE * clean.std(axis=0) * rng.standard_normal(clean.shape)

    def truth(points: np.ndarray) -> np.ndarray:
        return law(points) @ WEIGHTS

    best, itself = lowest_of(truth, natural), own_law(numbers, runs, losses, pools, tokens)
    conditions = Conditions(tokens / pools, np.ones_like(runs))
    means = {name: SURROGATES[name].fit(runs, losses, 0, conditions).mean for name in NAMES}
    for name, mean in {OWN: lambda points: law(points, itself), **means}.items():
        at = lowest_of(lambda points, mean=mean: mean(points) @ WEIGHTS, natural)
        left = (truth(at) - truth(best)) / (truth(natural) - truth(best))
        found[name] = float(np.abs(at - best).sum()), 100 * float(left[0])
    return found


def main() -> None:
    rows = [one(seed) for seed in range(SEEDS)]
    about = __doc__.split("\n\n")[1].replace("\n", " ").split(" Writes")[0]
    lines = ["| surrogate | distance, median | worst | left %, median | worst |", "|---|---|---|---|---|"]
    for name in (OWN, *NAMES):
        distance, left = np.array([row[name] for row in rows]).T
        numbers = (np.median(distance), distance.max(), np.median(left), left.max())
        lines.append("| {} | {:.3f} | {:.3f} | {:.1f} | {:.1f} |".format(name, *numbers))
    text = "\n".join(lines)
    (RESULTS / "repetition.md").write_text(
        f"# Where text repeats\n\n`{COMMAND}`, {date.today().isoformat()}.\n\n{about}\n\n{text}\n"
    )
    print(text)


if __name__ == "__main__":
    main()
