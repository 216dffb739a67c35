"""megatron-core's builder of blended data sets, which Megatron-LM, NeMo and Megatron-Bridge all train from."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from tests.support.loaders.order import LENGTH, Order, answer


def draw(order: Order) -> Iterator:
    import numpy as np
    import torch.distributed
    from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder
    from megatron.core.datasets.utils import get_blend_from_list

    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    os.chdir(order.data)  # the paths of the export are names of domains
    for domain in order.domains:
        writer = IndexedDatasetBuilder(f"{domain.name}.bin", dtype=np.uint16)
        for rows in order.parts(domain):
            writer.add_document(np.full(rows * LENGTH + 1, domain.token), [rows * LENGTH + 1])
        writer.finalize(f"{domain.name}.idx")
    if order.format == "nemo":
        blend = tuple(order.module("nemo_blend.py").BLEND)
    else:
        blend = get_blend_from_list(order.text("data_args.txt").split())
    config = GPTDatasetConfig(
        random_seed=1,
        sequence_length=LENGTH,
        blend=blend,
        split="1,0,0",
        path_to_cache=str(Path(order.data) / "cache"),
        tokenizer=SimpleNamespace(eod=0, vocab_size=100, unique_identifiers={"tokenizer": "none"}),
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
    )
    train, _, _ = BlendedMegatronDatasetBuilder(GPTDataset, [order.draws, 0, 0], lambda: True, config).build()
    return (train[i]["tokens"] for i in range(order.draws))


if __name__ == "__main__":
    answer(draw)
