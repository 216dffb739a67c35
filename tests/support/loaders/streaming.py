"""MosaicML's StreamingDataset over MDS files."""

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tests.support.loaders.order import LENGTH, Order, answer


def stand_in_for_pictures() -> None:
    """The package imports torchvision for its data sets of pictures; the one in the registry needs another torch."""
    for name, what in {
        "": (),
        ".datasets": ("VisionDataset",),
        ".transforms": (),
        ".transforms.functional": (),
    }.items():
        module = ModuleType(f"torchvision{name}")
        module.__spec__ = ModuleSpec(module.__name__, None)
        for one in (*what, "to_tensor"):
            setattr(module, one, object)
        sys.modules[module.__name__] = module


def draw(order: Order) -> Iterator:
    stand_in_for_pictures()
    import numpy as np
    from streaming import MDSWriter

    for domain in order.domains:
        folder = str(Path(order.data) / domain.name)
        size = order.chunk * (4 * LENGTH + 4) + 200  # bytes: rows, their places, and the head of a file
        with MDSWriter(out=folder, columns={"tokens": f"ndarray:int32:{LENGTH}"}, size_limit=size) as writer:
            for _ in range(domain.rows):
                writer.write({"tokens": np.full(LENGTH, domain.token, np.int32)})
    dataset = order.module("streaming_mixture.py").train_dataset(order.data, order.draws, batch_size=1)
    return (row["tokens"] for row in dataset)


if __name__ == "__main__":
    answer(draw)
