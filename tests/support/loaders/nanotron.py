"""The blending that nanotron carries a copy of, run where it comes from, megatron-core: its package is too old."""

from collections.abc import Iterator

import yaml

from tests.support.loaders.order import LENGTH, Order, answer


def draw(order: Order) -> Iterator:
    import numpy as np
    from megatron.core.datasets import helpers

    dataset = yaml.safe_load(order.text("data_stages.yaml"))["data_stages"][0]["data"]["dataset"]
    weights = np.array(dataset["dataset_weights"])
    which, row = np.zeros(order.draws, np.int16), np.zeros(order.draws, np.int64)
    helpers.build_blending_indices(which, row, weights / weights.sum(), len(weights), order.draws, False)
    tokens = {domain.name: domain.token for domain in order.domains}
    return ([tokens[dataset["dataset_folder"][i]]] * LENGTH for i in which)


if __name__ == "__main__":
    answer(draw)
