"""Levanter's MixtureDataset, with the weights and the block size of the export."""

import asyncio
from collections.abc import Iterator

import yaml

from tests.support.loaders.order import LENGTH, Order, answer


def draw(order: Order) -> Iterator:
    from levanter.data import ListAsyncDataset, MixtureDataset

    data = yaml.safe_load(order.text("levanter.yaml"))["data"]
    rows = {one.name: ListAsyncDataset([[one.token] * LENGTH] * one.rows, is_complete=True) for one in order.domains}
    block = data.get("mixture_block_size", 2048)
    mixed = MixtureDataset(rows, data["train_weights"], block_size=block, key=0)
    return iter(asyncio.run(mixed.get_batch(range(order.draws))))


if __name__ == "__main__":
    answer(draw)
