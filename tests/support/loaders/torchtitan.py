"""torchtitan's mix of packed data sets, whose work is grain's.

The classes are in torchtitan's sources, and not in its package. Three of the same names stand in for them here,
and pass on to grain what torchtitan's pass on.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

from tests.support.loaders.order import LENGTH, Order, answer


@dataclass(frozen=True, kw_only=True)
class ConcatThenSplitPackingConfig:
    dataset: Any

    def build(self):
        import grain.python as grain

        rows = self.dataset.build().to_iter_dataset()
        return grain.experimental.ConcatThenSplitIterDataset(rows, length_struct={"input_ids": LENGTH})


@dataclass(frozen=True, kw_only=True)
class WeightedDataset:
    dataset: Any
    weight: float


@dataclass(frozen=True, kw_only=True)
class DatasetMixConfig:
    datasets: tuple

    def build(self):
        import grain.python as grain

        children = [one.dataset.build() for one in self.datasets]
        return grain.IterDataset.mix(children, weights=[one.weight for one in self.datasets])


def documents(domain):
    """Documents of uneven lengths, repeated for ever."""
    import grain.python as grain
    import numpy as np

    lengths = [LENGTH // 2 * (1 + (i + domain.token) % 4) for i in range(domain.rows)]
    rows = [{"input_ids": np.full(length, domain.token)} for length in lengths]
    return SimpleNamespace(build=lambda: grain.MapDataset.source(rows).shuffle(seed=domain.token).repeat())


def draw(order: Order) -> Iterator:
    stand_in = ModuleType("torchtitan.components.data")
    stand_in.__dict__.update(
        {one.__name__: one for one in (ConcatThenSplitPackingConfig, WeightedDataset, DatasetMixConfig)}
    )
    sys.modules[stand_in.__name__] = stand_in
    for name in ("torchtitan", "torchtitan.components"):
        sys.modules[name] = ModuleType(name)
    mixture = order.module("torchtitan_mixture.py").mixture
    mixed = mixture({domain.name: documents(domain) for domain in order.domains}).build()
    return (row["input_ids"] for row in mixed)


if __name__ == "__main__":
    answer(draw)
