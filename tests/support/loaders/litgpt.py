"""litdata's StreamingDataset, TokensLoader and CombinedStreamingDataset, as litgpt's data modules use them."""

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

from tests.support.loaders.order import LENGTH, Order, answer


def draw(order: Order) -> Iterator:
    import torch
    from litdata import TokensLoader
    from litdata.streaming.writer import BinaryWriter

    for domain in order.domains:
        folder = Path(order.data) / domain.name
        folder.mkdir()
        writer = BinaryWriter(str(folder), chunk_bytes=4 * LENGTH * order.chunk, item_loader=TokensLoader())
        for i in range(domain.rows):
            writer[i] = torch.full((LENGTH,), domain.token, dtype=torch.int32)
        writer.done()
        writer.merge()
    dataset = order.module("litgpt_mixture.py").train_dataset(Path(order.data), LENGTH)
    return chain.from_iterable(repeat(dataset))  # litgpt's trainer starts again where a pass ends


if __name__ == "__main__":
    answer(draw)
