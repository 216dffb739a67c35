"""OLMo-core's source mixture, which Olmix hands its mix to as well."""

import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.support.loaders.order import LENGTH, Order, answer

END = 99  # the token that ends every document


def sources(order: Order) -> list[dict]:
    """The sources of the export. Olmix's launcher leaves out weights of 0 and finds paths by the names of its mix."""
    if order.format == "olmo_core":
        return yaml.safe_load(order.text("sources.yaml"))["sources"]
    return [
        {
            "source_name": name,
            "target_ratio": one["weight"],
            "max_repetition_ratio": one["repetition_factor"],
            "paths": [f"{name}/*.npy"],
        }
        for name, one in yaml.safe_load(order.text("mix.yaml"))["mix"].items()
        if one["weight"] != 0
    ]


def draw(order: Order) -> Iterator:
    import numpy as np
    from olmo_core.data import NumpyFSLDatasetConfig, TokenizerConfig
    from olmo_core.data.source_mixture import SourceMixtureConfig, SourceMixtureDatasetConfig, SourceMixtureList

    os.chdir(order.data)  # the paths of the export are names of domains
    for domain in order.domains:
        Path(domain.name).mkdir()
        for i, rows in enumerate(order.parts(domain)):
            text = np.full((rows, LENGTH), domain.token, np.uint16)
            text[:, -1] = END
            text.tofile(f"{domain.name}/{i:04d}.npy")
    mixture = SourceMixtureDatasetConfig(
        source_list=SourceMixtureList([SourceMixtureConfig(**one) for one in sources(order)]),
        requested_tokens=order.draws * LENGTH,
        global_batch_size=LENGTH,
        render_tables=False,
        quiet=True,
    )
    dataset = NumpyFSLDatasetConfig(
        source_mixture_config=mixture,
        sequence_length=LENGTH,
        tokenizer=TokenizerConfig(vocab_size=50_000, eos_token_id=END, pad_token_id=END),
        work_dir=str(Path(order.data) / "work"),
    ).build()
    dataset.prepare()
    rows = (dataset[i]["input_ids"] for i in range(len(dataset)))
    return (row[row != END] for row in rows)


if __name__ == "__main__":
    answer(draw)
