"""DoRA: an adapter that also trains how long each output's weights are (Liu et al. 2024, arXiv:2402.09353)."""

from collections.abc import Collection

import torch
from torch import Tensor

from engine.core.errors import Problem

ENDS = (".lora_magnitude_vector", ".lora_magnitude_vector.weight")


def magnitude_of(module: str, names: Collection[str]) -> str | None:
    """The name of a module's magnitudes in an adapter's file."""
    return next((module + end for end in ENDS if module + end in names), None)


def is_magnitude(name: str) -> bool:
    return name.endswith(ENDS)


def check_magnitudes(folder: object, module: str, shape: tuple[int, ...], outputs: tuple[int, ...] | None) -> None:
    """Raise Problem where a module's matrix (out, in) or its magnitudes (out,) are not those of a linear layer.

    shape: the update's, as B A has it; outputs: the magnitudes', None if the file has none.
    """
    if outputs is None:
        raise Problem(
            f"Cannot use the adapter {folder}: it is DoRA, and {module!r} has no lora_magnitude_vector. Copy it again."
        )
    if len(shape) != 2 or outputs not in ((shape[0],), (1, shape[0])):
        raise Problem(
            f"Cannot use the adapter {folder}: the DoRA of {module!r} is not of a linear layer, with {list(outputs)} "
            f"magnitudes for {list(shape)}. Merge it into its base with peft's merge_and_unload first."
        )


def directed(whole: Tensor, magnitudes: Tensor) -> Tensor:
    """Each row of the updated weights (out, in) at its trained length: m (W + scale B A) / |W + scale B A|."""
    lengths = torch.linalg.norm(whole, dim=1)
    return whole * (magnitudes.reshape(-1) / lengths)[:, None]
