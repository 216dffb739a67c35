"""LoRA extraction: what a model has learned over its base, as an adapter of a rank or of a share of its energy.

Each matrix of the task vector is cut to its largest singular values (Eckart and Young 1936), halves of which go into A
and B; vectors of norms are kept whole. Matrices are done one by one, so memory is that of the largest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.merging.checkpoints.adapters import PREFIX, Adapted, open_model
from engine.merging.checkpoints.aligned import Aligned
from engine.merging.checkpoints.factors import named_pair, write_adapter
from engine.merging.checkpoints.reader import Checkpoint
from engine.merging.checkpoints.tying import TOKENS
from engine.merging.companions import copied_files, of_tokenizer
from engine.merging.merge import Progress, misplaced

TURNED = ("gpt2", "openai-gpt", "decision_transformer", "imagegpt")  # they store matrices (in, out)
SHOWN = 5  # tensors in a sentence
TOKENIZER = (".json", ".txt", ".model", ".jinja", ".tiktoken")


@dataclass
class Extracted:
    """An adapter in the making. tensors: name in its file -> values; ranks: by module; whole: modules that are kept
    whole; moved, missed: sums of squares of the task vector, and of what the adapter lacks of it; left: tensors that it
    cannot hold; still: how many tensors did not move."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    moved: float = 0.0
    missed: float = 0.0
    left: list[str] = field(default_factory=list)
    still: int = 0

    @property
    def error(self) -> float:
        """|what the adapter lacks| / |the task vector|."""
        return math.sqrt(self.missed / self.moved) if self.moved else 0.0


def extract(
    model: str,
    base: str,
    out: Path,
    rank: int | None,
    energy: float | None,
    tell: Callable[[str], None],
    progress: Progress | None = None,
) -> dict:
    """Write the adapter that turns `base` into `model` to the folder `out`; exactly one of rank and energy is given.

    rank: of every matrix, at most; energy: the part of each matrix' squared task vector that its rank must reach.
    Returns {"out", "modules", "parameters", "rank", "error", "left", "warnings"}. Raises Problem if the two do not fit.
    """
    if (rank is None) == (energy is None):
        raise Problem("Cannot extract an adapter: give a rank or an energy, and not both.")
    if (rank is not None and rank < 1) or (energy is not None and not 0 < energy <= 1):
        given = f"rank {rank}" if rank is not None else f"energy {energy}"
        raise Problem(f"Cannot extract an adapter of {given}: a rank is at least 1, an energy above 0 and at most 1.")
    lead, tuned = open_model(base), open_model(model)
    if not isinstance(lead, Checkpoint):
        raise Problem(f"Cannot extract an adapter over {base}: it is an adapter itself. Merge it into its base first.")
    aligned = Aligned(tuned, lead, None)
    if said := misplaced(out, {base: lead, model: aligned}):
        raise Problem(said)
    found = cut(lead, aligned, rank, energy, progress)
    warnings = told(found, lead, aligned)
    for sentence in warnings:
        tell(sentence)
    if not found.tensors:
        raise Problem(f"Cannot extract an adapter: {model} equals {base} in every weight that an adapter can change.")
    write(found, lead, tuned, base, out)
    return {
        "out": str(out),
        "modules": len(found.ranks) + len(found.whole),
        "parameters": sum(one.numel() for one in found.tensors.values()),
        "rank": max(found.ranks.values(), default=0),
        "error": found.error,
        "left": found.left,
        "warnings": warnings,
    }


def cut(
    lead: Checkpoint, tuned: Aligned, rank: int | None, energy: float | None, progress: Progress | None
) -> Extracted:
    """The adapter's tensors, and what they lack of the task vector."""
    found, total, done = Extracted(), sum(one.size for one in lead.tensors.values()), 0
    is_turned = (lead.config or {}).get("model_type") in TURNED
    vectors: dict[str, Tensor] = {}
    for name, stored in lead.tensors.items():
        if progress:
            progress(done, total, name)
        done += stored.size
        other = tuned.tensors.get(name)
        if not stored.dtype.is_floating_point or other is None:
            continue
        if other.shape != stored.shape:
            raise Problem(
                f"Cannot extract an adapter: {name!r} is {list(other.shape)} in {tuned.path} and {list(stored.shape)} "
                f"in {lead.path}. Give models of one architecture and one vocabulary."
            )
        whole = tuned.flat(name).float()
        delta = whole - lead.flat(name).float()
        squared = float(delta.double().square().sum())
        found.still += squared == 0
        found.moved += squared
        if len(stored.shape) == 2 and name.endswith(".weight") and squared:
            add(found, name, delta.view(stored.shape), squared, rank, energy, is_turned)
        elif is_norm(name, stored.shape):
            vectors[name] = whole.to(stored.dtype)
        elif squared:
            found.left.append(name)
            found.missed += squared
    if any(not torch.equal(value.float(), lead.flat(name).float()) for name, value in vectors.items()):
        for name, value in vectors.items():  # all: peft takes modules by the ends of their names
            found.tensors[PREFIX + name] = value
            found.whole.add(name.split(".")[-2])
    return found


def is_norm(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is a vector of a normalisation, whose module can be kept whole."""
    parts = name.split(".")
    return len(shape) == 1 and len(parts) > 1 and ("norm" in parts[-2].lower() or parts[-2].startswith("ln_"))


def add(
    found: Extracted, name: str, delta: Tensor, squared: float, rank: int | None, energy: float | None, turned: bool
) -> None:
    """Add one matrix (out, in), cut to a rank."""
    module = name.removesuffix(".weight")
    is_table = TOKENS.search(name) is not None
    u, s, v = torch.linalg.svd(delta.T if turned and not is_table else delta, full_matrices=False)
    kept = s.double().square().cumsum(0)
    count = min(rank or len(s), len(s), int((s > 0).sum()))
    if energy is not None:
        count = min(len(s), int((kept < energy * float(kept[-1])).sum()) + 1)
    root = s[:count].sqrt()
    left, right = (u[:, :count] * root).contiguous(), (root[:, None] * v[:count]).contiguous()
    found.ranks[module] = count
    found.missed += max(0.0, squared - float(kept[count - 1]))
    pair = (left.T, right.T) if is_table else (right, left)  # (tokens, width): peft adds (B A) transposed
    found.tensors |= named_pair(module, *pair, is_table)


def told(found: Extracted, lead: Checkpoint, tuned: Aligned) -> list[str]:
    """What to know of the adapter."""
    said = [*lead.notes, *tuned.notes]
    said.append(f"The adapter lacks {found.error:.2%} of the size of what the model has learned over its base.")
    if found.left:
        said.append(f"An adapter cannot hold the changes of {listed(found.left, SHOWN)}: they are left out.")
    if beyond := [name for name in tuned.tensors if name not in lead.tensors]:
        said.append(f"{tuned.path} has tensors that the base lacks ({listed(beyond, SHOWN)}): they are left out.")
    return said


def write(found: Extracted, lead: Checkpoint, tuned: Checkpoint | Adapted, base: str, out: Path) -> None:
    """The folder, as peft writes it, with the model's tokenizer."""
    settings = {
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "modules_to_save": sorted(found.whole) or None,
        "fan_in_fan_out": (lead.config or {}).get("model_type") in TURNED,
    }
    others = {}
    if tuned.home.is_dir():
        files = [one for one in copied_files(tuned.home.iterdir(), TOKENIZER) if of_tokenizer(one.name)]
        others = {file.name: file.read_bytes() for file in files}
    write_adapter(out, found.tensors, found.ranks, settings, others)
