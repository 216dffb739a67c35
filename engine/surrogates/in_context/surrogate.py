"""A surrogate that has seen a hundred thousand studies: a Gaussian process whose numbers a transformer reads off the
runs.

A process that is fitted to 12 runs has more length scales than runs. This one takes them, and its trend, lines, noise
and doubts about single runs, from a network that learned on synthetic worlds (engine/surrogates/in_context/prior.py) to
make what is asked for likely. What it read is then the prior of this study: the runs move it by their likelihood, a
little where they are few. Between and beyond the runs it is the process of engine/surrogates/gp.py, with sizes and
slopes of lines for each domain: a closed form, smooth, and as fast to search. M metrics, R runs, D domains.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from engine.surrogates.base import Conditioned, masks
from engine.surrogates.gp import PRIOR_MEAN, Process
from engine.surrogates.gp_rational import RationalGP
from engine.surrogates.in_context.cells import cells
from engine.surrogates.in_context.forward import Arrays, Read, read, trained
from engine.surrogates.warps import lines_of, scales_of, warped

TRUST = 0.5  # standard deviation of the logs around what the network reads, when the runs have their say
FEW = 3  # runs for each weight and one, below which the network counts for more than they
MOST_RUNS, FEWEST_DOMAINS, MOST_DOMAINS = 200, 2, 24  # of the worlds that it was trained on


def is_beyond(runs: int, domains: int) -> bool:
    """Whether a study is larger than those that the network learned on."""
    return runs > MOST_RUNS or not FEWEST_DOMAINS <= domains <= MOST_DOMAINS


@dataclass(kw_only=True)
class InContext(Conditioned, RationalGP):
    """theta (2, M, 5 D + 2): of each warp the logs of length scales, amplitude, noise and sizes of the lines of each
    domain, in shares and in their logarithms, then the slopes of these; doubt (M, R): logs of what multiplies a run's
    noise; strange (M,): how far the runs are from the worlds of the training, above 1 further than 99 in 100 of these.
    """

    title = "In-context"
    summary = "A Gaussian process whose numbers a network reads off the runs, as it learned on synthetic studies."
    complexity = 6
    slow = True
    extrapolates = True
    may_lead = False  # on RegMix's runs it ranks no better than a fitted process (benchmarks/results/in_context.md)

    doubt: np.ndarray
    strange: np.ndarray

    @classmethod
    def _learn_under(cls, weights, losses, seed, conditions):
        runs, domains = weights.shape
        if not conditions.usual.all():  # how cut text harms was not in its training
            rows = conditions.usual
            return cls.fit(weights[rows], losses[rows], seed, conditions.take(rows))
        if is_beyond(runs, domains):
            return cls._plain(weights, losses, seed)
        net = trained()
        found = cls.by(net, weights, losses, conditions.repeats)
        usual = [np.interp(np.log(runs), np.log(net["familiar.runs"]), one) for one in net["familiar.signs"].T]
        found.strange = (found.signs() / usual).max(axis=1)
        return found

    @classmethod
    def _plain(cls, weights: np.ndarray, losses: np.ndarray, seed: int) -> Self:
        """The Gaussian process that the runs alone choose, for studies unlike those that the network learned on."""
        one, (runs, domains) = RationalGP._learn(weights, losses, seed), weights.shape
        shape = (*one.theta.shape[:2], 2 * domains)
        parts = [one.theta[..., : domains + 2], one.theta[..., domains + 2 :].repeat(domains, axis=2), np.zeros(shape)]
        doubt, strange = np.zeros((shape[1], runs)), np.zeros(shape[1])
        theta = np.concatenate(parts, axis=2)
        return cls(noise=one.noise, weights=weights, losses=losses, theta=theta, doubt=doubt, strange=strange)

    @classmethod
    def by(
        cls, net: Arrays, weights: np.ndarray, losses: np.ndarray, repeats: np.ndarray, trust: float = TRUST
    ) -> Self:
        """As a network of these weights reads runs (R, D), (R, M); repeats (D,): passes of a share of one, or NaN.

        trust: how far the runs may move what it read; 0: not at all.
        """
        mean, spread, floor = scales_of(losses)
        targets = (np.log(losses - floor) - mean) / spread
        theta, doubt = _read_off(net, weights, targets, repeats)
        lines = lines_of(weights, weights)
        for own, z in zip(theta, warped(weights, weights), strict=True):
            for one, values, doubts in zip(own, targets.T, doubt, strict=True):
                one += cls._moved(one, z, lines, values, doubts, trust) if trust else 0.0
        slopes = np.nanmean((losses - floor) ** 2, axis=0) * spread**2  # of a loss by its target, squared
        noise = np.exp(2 * theta[:, :, weights.shape[1] + 1]).mean(axis=0) * slopes
        return cls(noise=noise, weights=weights, losses=losses, theta=theta, doubt=doubt, strange=np.zeros(len(noise)))

    @classmethod
    def _moved(
        cls, theta: np.ndarray, z: np.ndarray, lines: np.ndarray, targets: np.ndarray, doubt: np.ndarray, trust: float
    ):
        """(5 D + 2,) how far from what the network read the runs themselves are likeliest, where it is the prior: of
        each length scale, amplitude and noise, and of all sizes of a line together. The trend stays."""
        domains = z.shape[1]
        sizes, trend = np.exp(theta[domains + 2 : 3 * domains + 2]), theta[3 * domains + 2 :]
        prior = (0.0, *theta[domains : domains + 2], 0.0, 0.0), (trust,) * 5
        found = cls._likeliest(z * np.exp(-theta[:domains]), lines * sizes, targets - lines @ trend, prior, doubt)
        overall = found[domains : domains + 2] - theta[domains : domains + 2]
        return np.concatenate([found[:domains], overall, found[domains + 2 :].repeat(domains), np.zeros(2 * domains)])

    def signs(self) -> np.ndarray:
        """(M, 2) by which a study is told from those that the network learned on: the mean size of what the process
        misses of each run when it is left out, in its standard deviations, .8 where it is right (Rasmussen and Williams
        2006, equations 5.10 to 5.12); and the noise, in parts of the targets' spread."""
        found = np.empty((2, len(self.noise)))
        for warp, row in enumerate(self._processes):
            for metric, one in enumerate(row):
                certain = (np.linalg.inv(one.cholesky) ** 2).sum(axis=0)  # the inverse variances of left-out runs
                found[warp, metric] = np.mean(np.abs(one.dual / one.amplitude) / np.sqrt(certain))
        noise = np.exp(self.theta[:, :, self.weights.shape[1] + 1])
        return np.stack([found.mean(axis=0), noise.mean(axis=0)], axis=1)

    @property
    def caveats(self) -> list[str]:
        runs, domains = self.weights.shape
        if is_beyond(runs, domains):
            return [
                f"The network learned on studies of up to {MOST_RUNS} runs of {FEWEST_DOMAINS} to {MOST_DOMAINS} "
                "weights: on this one it is the plain Gaussian process."
            ]
        said = []
        if runs < FEW * (domains + 1):
            said.append(
                f"With {runs} runs for {domains} weights the answer rests on the synthetic studies that the network "
                "learned on."
            )
        if strange := int((self.strange > 1).sum()):
            said.append(
                f"The runs are unlike those studies in {strange} of {len(self.strange)} metrics: left-out runs are "
                "missed by more, or the noise is larger, than in 99 of 100 of them."
            )
        return said

    def again(self, weights: np.ndarray, losses: np.ndarray) -> Self:
        return self.fit(weights, losses)

    @cached_property
    def _processes(self) -> list[list[Process]]:
        mean, spread, floor = scales_of(self.losses)
        targets = (np.log(self.losses - floor) - mean) / spread
        lines = lines_of(self.weights, self.weights)
        return [
            [self._on(z, lines, *one) for one in zip(targets.T, theta, self.doubt, strict=True)]
            for z, theta in zip(warped(self.weights, self.weights), self.theta, strict=True)
        ]

    @classmethod
    def _on(
        cls, z: np.ndarray, lines: np.ndarray, targets: np.ndarray, theta: np.ndarray, doubt: np.ndarray
    ) -> Process:
        """The process of theta (5 D + 2,), given features (R, D), those of the lines (R, 2 D), targets (R,) with NaN
        where unknown, and doubts (R,)."""
        counted, domains = ~np.isnan(targets), z.shape[1]
        sizes, trend = np.exp(theta[domains + 2 : 3 * domains + 2]), theta[3 * domains + 2 :]
        noise = np.exp(2 * theta[domains + 1] + doubt[counted]) if doubt.any() else np.exp(2 * theta[domains + 1])
        z, lines = z[counted], lines[counted]
        found = cls._given(z, lines, targets[counted] - lines @ trend, theta[: domains + 1], sizes, noise)
        return found._replace(slopes=found.slopes + trend)


def _read_off(net: Arrays, weights: np.ndarray, targets: np.ndarray, repeats: np.ndarray) -> tuple[np.ndarray, ...]:
    """theta (2, M, 5 D + 2) and doubt (M, R) as the network reads them off runs (R, D) and targets (R, M) with NaN."""
    domains, metrics = weights.shape[1], targets.shape[1]
    theta, doubt = np.empty((2, metrics, 5 * domains + 2)), np.zeros((metrics, len(targets)))
    for columns, known in masks(targets):
        shared = (len(columns), known.sum(), domains)
        inputs = cells(
            np.broadcast_to(np.maximum(weights[known], 0), shared),
            targets[known][:, columns].T,
            np.broadcast_to(repeats, (len(columns), domains)),
        )
        found = read(inputs, net)
        theta[:, columns], doubt[np.ix_(columns, known)] = numbers(found), found.doubt
    return theta, doubt


def numbers(found: Read) -> np.ndarray:
    """(2, M, 5 D + 2) theta, of what the network read of each metric."""
    domains, each = found.by_domain.shape[1], []
    for warp in range(2):
        own = found.by_domain[..., 5 * warp : 5 * warp + 5].transpose(0, 2, 1)
        overall = found.overall[:, 2 * warp : 2 * warp + 2] + PRIOR_MEAN[1:3]
        lines = own[:, 1:3].reshape(len(own), -1) + PRIOR_MEAN[3]
        slopes = own[:, 3:].reshape(len(own), -1) * np.sqrt(domains)
        each.append(np.concatenate([own[:, 0] + PRIOR_MEAN[0], overall, lines, slopes], axis=1))
    return np.array(each)
