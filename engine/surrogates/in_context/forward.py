"""The network's pass in numpy, for pages and jobs, which have no torch: cells of runs to hyperparameters.

The same sums as engine/surrogates/in_context/network.py, which a test holds it to. T tables, n runs, D domains.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.core.errors import Problem
from engine.core.system import DAMAGED

WEIGHTS = Path(__file__).parent / "weights.safetensors"
HEADS = 2
EPSILON = 1e-5  # of the normalisation of layers

Arrays = dict[str, np.ndarray]


class Read(NamedTuple):
    """by_domain (T, D, 10): a length scale, two sizes and two slopes of lines, for each warp; overall (T, 4): amplitude
    and noise of each warp; doubt (T, n): logs of what multiplies each run's noise."""

    by_domain: np.ndarray
    overall: np.ndarray
    doubt: np.ndarray


@cache
def trained() -> Arrays:
    """The shipped weights by name. Raises Problem where the file is missing or damaged."""
    from safetensors.numpy import load_file

    try:
        return load_file(WEIGHTS)
    except DAMAGED as error:
        raise Problem(f"Cannot read the weights {WEIGHTS.name}: {error}. Install Mixdesk again.") from error


def read(cells: np.ndarray, net: Arrays) -> Read:
    """Hyperparameters of cells (T, n, D, channels), one table after the other: they fit into the cache."""
    parts = [_table(one, net) for one in np.asarray(cells, np.float32)]
    return Read(*(np.stack([part[k] for part in parts]).astype(float) for k in range(3)))


def _table(x: np.ndarray, net: Arrays) -> tuple[np.ndarray, ...]:
    x = _linear(x, net, "embed")
    block = 0
    while f"blocks.{block}.up.weight" in net:
        x = _block(x, net, f"blocks.{block}")
        block += 1
    x = _normal(x, net, "norm")
    domain, run, whole = x.mean(axis=0), x.mean(axis=1), x.mean(axis=(0, 1))
    beside = (np.concatenate([one, np.broadcast_to(whole, one.shape)], axis=1) for one in (domain, run))
    domain, run = beside
    return _two(domain, net, "by_domain"), _two(whole, net, "overall"), _linear(run, net, "doubt")[:, 0]


def _block(x: np.ndarray, net: Arrays, name: str) -> np.ndarray:
    x = x + _attend(x, net, name, 0)
    x = x + _attend(x.swapaxes(0, 1), net, name, 1).swapaxes(0, 1)
    up = np.maximum(_linear(_normal(x, net, f"{name}.norms.2"), net, f"{name}.up"), 0)
    return x + _linear(up, net, f"{name}.down")


def _attend(x: np.ndarray, net: Arrays, name: str, which: int) -> np.ndarray:
    """Along the middle axis of x (outer, length, width): 0 with a softmax, over domains, 1 without, over runs."""
    outer, length, width = x.shape
    parts = _linear(_normal(x, net, f"{name}.norms.{which}"), net, f"{name}.into.{which}")
    query, key, value = parts.reshape(outer, length, 3, HEADS, width // HEADS).transpose(2, 0, 3, 1, 4)
    if which == 0:
        scores = query @ key.swapaxes(2, 3) / np.float32(np.sqrt(width // HEADS))
        scores = np.exp(scores - scores.max(axis=3, keepdims=True))
        found = (scores / scores.sum(axis=3, keepdims=True)) @ value
    else:
        found = query @ (key.swapaxes(2, 3) @ value) / np.float32(length)
    return _linear(found.swapaxes(1, 2).reshape(outer, length, width), net, f"{name}.out.{which}")


def _linear(x: np.ndarray, net: Arrays, name: str) -> np.ndarray:
    return x @ net[f"{name}.weight"].T + net[f"{name}.bias"]


def _two(x: np.ndarray, net: Arrays, name: str) -> np.ndarray:
    return _linear(np.maximum(_linear(x, net, f"{name}.0"), 0), net, f"{name}.1")


def _normal(x: np.ndarray, net: Arrays, name: str) -> np.ndarray:
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    return x * net[f"{name}.weight"] + net[f"{name}.bias"]
