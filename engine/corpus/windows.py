"""Losses of single validation windows, saved by confirmation runs, for regressions hidden by an improved mean.

One small file per run, `windows/<run>.npz` in the workspace: bits per byte of at most MOST windows of every domain, in
half precision. The windows are the same for every model of one context and evaluation budget, so runs compare window
by window; which text they are is worked out from the corpus again. No torch. W windows.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.core.files import replacing
from engine.core.system import DAMAGED

MOST = 2048  # windows of a domain that are kept, evenly spread: 4 kB


@dataclass(frozen=True)
class Windows:
    """context, tokens: as engine.proxies.evaluate.validation_windows takes them; bits: {domain: (w,) bits per byte}.

    The windows kept are some of the `count[domain]` that were measured; `kept_places` says which.
    """

    context: int
    tokens: int
    bits: dict[str, np.ndarray]
    count: dict[str, int]


def kept_places(count: int) -> np.ndarray:
    """Which of `count` windows are kept: all, or MOST of them, evenly spread."""
    return np.arange(count) if count <= MOST else np.arange(MOST) * count // MOST


def file_of(workspace: Path, run: str) -> Path:
    """Where the windows of a run lie."""
    return workspace / "windows" / f"{run}.npz"


def save(path: Path, context: int, tokens: int, bits: dict[str, np.ndarray]) -> None:
    """Write the windows of one run, bits {domain: (W,)}, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {f"bits {name}": values[kept_places(len(values))].astype(np.float16) for name, values in bits.items()}
    counts = {f"count {name}": np.int64(len(values)) for name, values in bits.items()}
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, context=np.int64(context), tokens=np.int64(tokens), **kept, **counts)


def load(path: Path) -> Windows:
    """Raises Problem for a file that is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [name.removeprefix("bits ") for name in file.files if name.startswith("bits ")]
            return Windows(
                int(file["context"]),
                int(file["tokens"]),
                {name: file[f"bits {name}"].astype(float) for name in names},
                {name: int(file[f"count {name}"]) for name in names},
            )
    except DAMAGED as error:
        raise Problem(
            f"Cannot read the windows of {path.stem}: {error}. Confirmations on this machine keep them: confirm again."
        ) from error


def starts(shard_tokens: int, context: int, tokens: int) -> np.ndarray:
    """(W,) where each validation window begins in a shard: about `tokens` targets in whole windows, evenly spread."""
    available = (shard_tokens - 1) // context
    count = min(available, max(2, tokens // context))
    return np.arange(count) * available // count * context
