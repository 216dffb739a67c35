"""The network in torch, for training alone: pages and jobs run engine/surrogates/in_context/forward.py.

Cells attend to the cells of the same run (domains to domains), then to those of the same domain (runs to runs), and so
on: no place is encoded, so neither order counts. What comes out are the hyperparameters of the Gaussian process of
engine/surrogates/gp.py for this study and metric: length scales and lines of every domain, a trend, amplitude, noise,
and how far each run is to be doubted. The process conditions on the runs in closed form, and the network is trained
by how likely it makes what is asked for (amortised inference of hyperparameters: Liu et al., NeurIPS 2020). T tables, n
runs, q points, D domains.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.surrogates.gp import PRIOR_MEAN
from engine.surrogates.in_context.cells import CHANNELS
from engine.surrogates.warps import DEPTH, FLOOR

WIDTH, HEADS, BLOCKS = 48, 2, 3
BY_DOMAIN = 10  # numbers for each domain: a length scale, two sizes and two slopes of lines, for each warp
OVERALL = 4  # amplitude and noise of each warp
WIDER = 3.0  # standard deviations of the second part of the predicted mixture, in those of the first
RARE = 0.05  # its weight
STEEPEST = 6.0  # standardised targets are cut here before their exponential


Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


class Reading(NamedTuple):
    """Hyperparameters: by_domain (T, D, BY_DOMAIN), overall (T, OVERALL), doubt (T, n)."""

    by_domain: Tensor
    overall: Tensor
    doubt: Tensor


class Block(nn.Module):
    """Attention over domains, attention over runs, and two layers for each cell."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.into = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(T, n, D, WIDTH) to the same."""
        x = x + self.attend(0, x, functional.scaled_dot_product_attention)
        x = x + self.attend(1, x.transpose(1, 2), linear).transpose(1, 2)
        return x + self.down(functional.relu(self.up(self.norms[2](x))))

    def attend(self, which: int, x: Tensor, attention: Attention) -> Tensor:
        """Along the axis before the last."""
        *outer, length, _ = x.shape
        parts = self.into[which](self.norms[which](x)).view(-1, length, 3, HEADS, WIDTH // HEADS)
        found = attention(*parts.permute(2, 0, 3, 1, 4))
        return self.out[which](found.transpose(1, 2).reshape(*outer, length, WIDTH))


def linear(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention without a softmax, (.., L, H): a step of regression (von Oswald et al., arXiv:2212.07677), at a tenth
    of the price where runs are many, and the same for any number of them."""
    return query @ (key.mT @ value) / query.shape[-2]


class Network(nn.Module):
    """Cells to hyperparameters. Heads begin at zero: an untrained network is the process at its prior's middle."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(CHANNELS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.by_domain = nn.ModuleList([nn.Linear(2 * WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, BY_DOMAIN)])
        self.overall = nn.ModuleList([nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, OVERALL)])
        self.doubt = nn.Linear(2 * WIDTH, 1)
        for last in (self.by_domain[1], self.overall[1], self.doubt):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Reading:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        domain, run, whole = x.mean(1), x.mean(2), x.mean((1, 2))
        domain, run = (torch.cat([one, whole[:, None].expand_as(one)], -1) for one in (domain, run))
        return Reading(two(self.by_domain, domain), two(self.overall, whole), self.doubt(run)[..., 0])


def two(layers: nn.ModuleList, x: Tensor) -> Tensor:
    return layers[1](functional.relu(layers[0](x)))


def warps(shares: Tensor, runs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features of log and root shares (T, N, D) and of lines (T, N, 2 D), as engine/surrogates/warps.py has them."""

    def scaled(known: Tensor, asked: Tensor) -> Tensor:
        spread = known.std((1, 2), correction=0, keepdim=True).clamp_min(1e-9)
        return (asked - known.mean(1, keepdim=True)) / spread

    logs = scaled((runs + FLOOR).log(), (shares + FLOOR).log())
    roots, plain = scaled(runs.sqrt(), shares.sqrt()), scaled(runs, shares)
    return logs, roots, torch.cat([plain, logs], -1) / runs.shape[2] ** 0.5


def posterior(reading: Reading, shares: Tensor, losses: Tensor, asked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation (T, q) of the losses at points asked (T, q, D), given runs; and the runs' spread (T,
    1). All in float64."""
    spread = losses.std(1, correction=0, keepdim=True).clamp_min(1e-6)
    floor = losses.amin(1, keepdim=True) - DEPTH * spread
    logs = (losses - floor).log()
    centre, stretch = logs.mean(1, keepdim=True), logs.std(1, correction=0, keepdim=True).clamp_min(1e-6)
    known, points = warps(shares, shares), warps(asked, shares)
    found = [
        process(_parts(reading, warp), known[warp], known[2], points[warp], points[2], (logs - centre) / stretch)
        for warp in range(2)
    ]
    (one, its), (other, others) = ((mean, variance) for mean, variance, _ in found)
    middle, gap = (one + other) / 2, (one - other) / 2
    above = (centre + stretch * middle.clamp(-STEEPEST, STEEPEST)).exp()
    level = sum(noise for *_, noise in found) / 2 * (losses - floor).square().mean(1, keepdim=True)
    variance = ((its + others) / 2 + gap**2) * (stretch * above) ** 2 + level * stretch**2
    return floor + above, variance.sqrt(), spread


class Parts(NamedTuple):
    """Of one warp: rates (T, 1, D), sizes and slopes (T, 1, 2 D) of the lines, amplitude and noise (T, 1), doubt (T,
    n)."""

    rates: Tensor
    sizes: Tensor
    slopes: Tensor
    amplitude: Tensor
    noise: Tensor
    doubt: Tensor


def _parts(reading: Reading, warp: int) -> Parts:
    """The numbers of one warp, in double precision. engine/surrogates/in_context/forward.py has the same in numpy."""
    own = reading.by_domain[..., 5 * warp : 5 * warp + 5].double()
    overall = reading.overall[:, 2 * warp : 2 * warp + 2].double()
    flat = own.transpose(1, 2)
    root = flat.shape[2] ** 0.5
    return Parts(
        (-PRIOR_MEAN[0] - flat[:, :1]).exp(),
        (PRIOR_MEAN[3] + flat[:, 1:3]).exp().flatten(1)[:, None],
        (flat[:, 3:5] * root).flatten(1)[:, None],
        (2 * (PRIOR_MEAN[1] + overall[:, :1])).exp(),
        (2 * (PRIOR_MEAN[2] + overall[:, 1:])).exp(),
        reading.doubt.double(),
    )


def process(parts: Parts, z: Tensor, lines: Tensor, at: Tensor, lines_at: Tensor, targets: Tensor):
    """Mean, variance (T, q) and noise (T, 1) of standardised targets at points of features at (T, q, D)."""
    known, asked = z * parts.rates, at * parts.rates
    own, own_at = lines * parts.sizes, lines_at * parts.sizes
    kernel = parts.amplitude[..., None] * correlation(known, known) + own @ own.mT
    noisy = kernel + torch.diag_embed(parts.noise * parts.doubt.exp() + 1e-8)
    factor = torch.linalg.cholesky(noisy)
    across = parts.amplitude[..., None] * correlation(known, asked) + own @ own_at.mT
    trend, trend_at = ((x * parts.slopes).sum(-1) for x in (lines, lines_at))
    white = torch.linalg.solve_triangular(factor, torch.cat([across, (targets - trend)[..., None]], -1), upper=False)
    left, right = white[..., :-1], white[..., -1:]
    mean = trend_at + (left * right).sum(1)
    variance = parts.amplitude + own_at.square().sum(-1) - left.square().sum(1)
    return mean, variance.clamp_min(1e-9), parts.noise


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Rational quadratic: (T, n, q) of scaled features."""
    squares = one.square().sum(-1)[:, :, None] + other.square().sum(-1)[:, None] - 2 * one @ other.mT
    return 1 / (1 + squares.clamp_min(0) / 2)


def surprise(mean: Tensor, std: Tensor, spread: Tensor, answers: Tensor) -> Tensor:
    """(T, q) minus the log density of answers, in spreads of the runs: a normal, and rarely one three times as wide."""
    off, std = (answers - mean) / spread, std / spread
    narrow = -0.5 * (off / std) ** 2 - std.log()
    wide = -0.5 * (off / (WIDER * std)) ** 2 - (WIDER * std).log()
    both = torch.logaddexp(narrow + torch.log(torch.tensor(1 - RARE)), wide + torch.log(torch.tensor(RARE)))
    return 0.5 * torch.log(torch.tensor(2 * torch.pi)) - both
