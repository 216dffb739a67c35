"""LoRA adapters as factors, without a base, and adapters written as peft writes them.

A module's change is scale x B A: A (r, in, ...), B (out, r, ...); of an embedding (A' B') (tokens, width) with
A' (r, tokens), B' (width, r).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.core.errors import Problem
from engine.core.system import sentence_of
from engine.jobs.parts import WHOLE, part_of, placed
from engine.merging.checkpoints.adapter_kinds import BY_ITS_MAKER, CONFIG, scale_of, settings_of
from engine.merging.checkpoints.adapters import PAIRS, PREFIX, partner
from engine.merging.checkpoints.files import ADAPTER
from engine.merging.checkpoints.reader import Checkpoint

BY_EXTRACTION = "Merge it into its base (BASE+ADAPTER in a merge file) and use extract-lora."


@dataclass(frozen=True)
class Factors:
    """A module's change: scale x b a. a (r, in, ...), b (out, r, ...), as the file has them; is_table: of an
    embedding, whose change is (b a) transposed."""

    a: Tensor
    b: Tensor
    scale: float
    is_table: bool = False

    @property
    def rank(self) -> int:
        return self.a.shape[0]

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of a and b without the rank: what two factors of one module share."""
        return tuple(self.a.shape[1:]), (self.b.shape[0], *self.b.shape[2:])

    @property
    def flat(self) -> tuple[Tensor, Tensor]:
        """a (r, n) and scale x b (out, r) in fp32."""
        return self.a.float().reshape(self.rank, -1), self.scale * self.b.float().reshape(-1, self.rank)


@dataclass(frozen=True)
class Adapter:
    """A LoRA's settings, its factors by module, and the tensors that it has whole, by their names in its file."""

    folder: Path
    settings: dict[str, Any]
    factors: dict[str, Factors]
    whole: dict[str, Tensor]


def read_factors(folder: Path) -> Adapter:
    """An adapter's content. Raises Problem for one that is damaged or cannot be merged so, and names why."""
    if not (folder / CONFIG).is_file() or not (folder / ADAPTER).is_file():
        lacking = CONFIG if not (folder / CONFIG).is_file() else ADAPTER
        raise Problem(f"Cannot open the adapter {folder}: {lacking} is not there. {BY_ITS_MAKER}")
    settings, weights = settings_of(folder), Checkpoint(folder / ADAPTER)
    if settings.get("use_dora"):
        raise Problem(f"Cannot merge the adapter {folder} as an adapter: DoRA's lengths do not add up. {BY_EXTRACTION}")
    found, seconds = {}, set()
    for name in weights.tensors:
        if (second := partner(name)) is None:
            continue
        if second not in weights.tensors:
            raise Problem(f"Cannot use the adapter {folder}: it has {name!r} but no {second!r}. Copy it again.")
        seconds.add(second)
        module = name[: -len(next(end for end in PAIRS if name.endswith(end)))].removeprefix(PREFIX)
        a, b = (weights.flat(one).reshape(weights.tensors[one].shape) for one in (name, second))
        if min(a.ndim, b.ndim) < 2 or b.shape[1] != a.shape[0]:
            raise Problem(
                f"Cannot use the adapter {folder}: {name!r} {list(a.shape)} and {second!r} {list(b.shape)} are not "
                "a pair of factors. Copy it again."
            )
        found[module] = Factors(a, b, scale_of(folder, settings, module, a.shape[0], name), name.endswith("_A"))
    left = [name for name in weights.tensors if partner(name) is None and name not in seconds]
    whole = {name: weights.flat(name).reshape(weights.tensors[name].shape) for name in left}
    if not found:
        raise Problem(f"Cannot use the adapter {folder}: {ADAPTER} holds no factors. Copy it again.")
    for name in weights.tensors:
        if not torch.isfinite(weights.flat(name)).all():
            raise Problem(f"Cannot use the adapter {folder}: {name!r} holds values that are not finite.")
    return Adapter(folder, settings, found, whole)


def named_pair(module: str, a: Tensor, b: Tensor, is_table: bool) -> dict[str, Tensor]:
    """A module's factors by their names in an adapter's file."""
    ends = ("lora_embedding_A", "lora_embedding_B") if is_table else ("lora_A.weight", "lora_B.weight")
    return {f"{PREFIX}{module}.{end}": one.contiguous() for end, one in zip(ends, (a, b), strict=True)}


def write_adapter(
    out: Path, tensors: dict[str, Tensor], ranks: dict[str, int], settings: dict[str, Any], others: dict[str, bytes]
) -> None:
    """Write an adapter's folder with scale 1 in every module. ranks: by module; settings: what else its configuration
    says; others: further files by name. Raises Problem if the disk refuses."""
    most = max(ranks.values(), default=1)
    other = {module: count for module, count in ranks.items() if count != most}
    usual = {
        "peft_type": "LORA",
        "r": most,
        "lora_alpha": most,
        "rank_pattern": other,
        "alpha_pattern": other,
        "target_modules": sorted(ranks),
        "bias": "none",
        "lora_dropout": 0.0,
        "use_rslora": False,
        "init_lora_weights": True,
        "inference_mode": True,
    }
    files = {CONFIG: json.dumps(settings | usual, indent=2).encode(), **others}
    try:
        with part_of(out) as part:
            whole = part / WHOLE
            whole.mkdir()
            save_file(tensors, whole / ADAPTER, metadata={"format": "pt"})
            for name, content in files.items():
                (whole / name).write_bytes(content)
            placed(whole, out)
    except OSError as error:
        raise Problem(sentence_of(error, f"write {out}")) from error
