"""Preflight: everything that can be said about a merge before a byte is written. The page and the command both ask.

Refusals name the file, the tensor and the remedy, and a merge with one should not be started; warnings say what will
be done about a difference.
"""

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from engine.errors import Problem
from engine.merge_methods import Tensors
from engine.merge_methods.base import CHUNK
from engine.merge_methods.whole import BINS, surveyed
from engine.merging import vocabulary
from engine.merging.adapters import Adapted
from engine.merging.ancestry import Ancestry, scan
from engine.merging.config import MergeConfig, cancelled, experts_of, idle_filters, values_for
from engine.merging.layout import HEAD, Model, Planned, fitted, lead_of, opened, tied_copies
from engine.merging.merge import KEPT, misplaced

MUST_AGREE = ("model_type", "num_attention_heads", "num_key_value_heads", "head_dim", "hidden_act", "n_head")
SHOULD_AGREE = (
    "rope_theta", "rope_scaling", "rope_parameters", "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon",
    "sliding_window", "max_position_embeddings",
)  # fmt: skip
PROCESS = 12_000_000  # bytes that any merge takes beside its buffers
BUFFERS = 6, 16  # chunks in fp32, and for each expert
PROBE, SIDE = 64 * CHUNK, 512  # elements of all models together, or rows and columns, merged to time a method
MOST = 20  # sentences of one kind


@dataclass
class Preflight:
    """What is known before a merge. refusals, warnings: sentences; memory, disk, free: bytes; seconds: of one core."""

    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    vocabularies: list[vocabulary.Difference] = field(default_factory=list)
    ancestry: list[Ancestry] = field(default_factory=list)
    tensors: int = 0
    parameters: int = 0
    memory: int = 0
    disk: int = 0
    free: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict:
        """As JSON can hold it."""
        return {
            "refusals": self.refusals, "warnings": self.warnings, "tensors": self.tensors,
            "parameters": self.parameters, "memory_bytes": self.memory, "disk_bytes": self.disk,
            "free_bytes": self.free, "cpu_seconds": round(self.seconds, 2),
            "vocabularies": [one.to_dict() for one in self.vocabularies],
            "ancestry": [one.to_dict() for one in self.ancestry],
        }  # fmt: skip


def preflight(config: MergeConfig, out: Path, progress: Callable | None = None) -> Preflight:
    """Look at all models of a merge, read all weights once, and foresee what it takes; writes nothing.

    progress(done, total, note) in bytes of the output.
    """
    found = Preflight()
    try:
        models = opened(config)
    except Problem as problem:
        found.refusals.append(str(problem))
        return found
    found.refusals += same_model_twice(models)
    architecture(config, models, found)
    tokens(config, models, found)
    planned, misfits = fitted(config, models)
    found.refusals += misfits[:MOST]
    if len(misfits) > MOST:
        found.refusals.append(f"Cannot merge {len(misfits) - MOST:,} more tensors, for reasons such as these.")
    found.warnings += left_out(config, models, planned)
    try:
        for one in planned:
            arguments = values_for(config, one.piece, one.slot.name, one.inputs, one.t)
            if said := cancelled(config, one.slot.name, arguments):
                raise Problem(said)
    except Problem as problem:
        found.refusals.append(str(problem))
    found.warnings += idle_filters(config, [one.slot.name for one in planned])
    if not misfits:
        found.ancestry, broken = scan(config, models, planned, progress)
        found.refusals += broken[:MOST]
        inherited(config, found)
    foresee(config, models, planned, out, found)
    return found


# What the models say of themselves ---------------------------------------------------------------------------


def same_model_twice(models: dict[str, Model]) -> list[str]:
    """Two names of one model: a link, or another way to write a path."""
    seen, said = {}, []
    for reference, model in models.items():
        place = tuple(file.resolve() for file in model.files)
        if place in seen:
            said.append(f"Cannot merge: {reference} and {seen[place]} are one model. Name it once.")
        seen[place] = reference
    return said


def architecture(config: MergeConfig, models: dict[str, Model], found: Preflight) -> None:
    """Where config.json of a model says otherwise than the base's."""
    lead = models[lead_of(config)]
    for reference, model in models.items():
        if model is lead or model.config is None or lead.config is None:
            continue
        for key in (*MUST_AGREE, *SHOULD_AGREE):
            own, wanted = model.config.get(key), lead.config.get(key)
            if own is None or wanted is None or own == wanted:
                continue
            files = f"{model.path / 'config.json'} says {key} {own}, and {lead.path / 'config.json'} {wanted}"
            if key in MUST_AGREE:
                found.refusals.append(f"Cannot merge {reference}: {files}: other architectures. Leave it out.")
            else:
                found.warnings.append(f"{files}: the merge takes the latter.")
        if lead.config.get("tie_word_embeddings") and model.config.get("tie_word_embeddings") is False:
            found.warnings.append(
                f"{reference} has an output head of its own, and the base's is tied to its embeddings: the head is "
                "left out."
            )
    if tied_copies(lead):
        found.warnings.append(f"{', '.join(tied_copies(lead))} is tied to the embeddings: it stays so, unwritten.")
    kinds = {str(one.dtype).removeprefix("torch.") for model in models.values() for one in model.tensors.values()}
    if len(kinds) > 1:
        asked = config.out_dtype or config.dtype or "as the base has them"
        found.warnings.append(f"The weights are in {' and '.join(sorted(kinds))}: merged in float32, written {asked}.")


def tokens(config: MergeConfig, models: dict[str, Model], found: Preflight) -> None:
    """Every model's tokens against the base's."""
    lead = models[lead_of(config)]
    for reference, model in models.items():
        if model.home == lead.home:
            continue
        try:
            difference = vocabulary.compared(reference, model.home, lead.home)
        except Problem as problem:
            found.refusals.append(str(problem))
            continue
        if difference is None:
            continue
        found.vocabularies.append(difference)
        refused = vocabulary.refusal(difference)
        found.refusals += [refused] if refused else []
        found.warnings += vocabulary.warnings(difference)


def left_out(config: MergeConfig, models: dict[str, Model], planned: list[Planned]) -> list[str]:
    """Tensors of a model that the output has no place for; a merge of layers leaves out on purpose."""
    if any(source.layers for piece in config.slices for source in piece.sources):
        return []
    said, taken = [], {one.slot.name for one in planned} | tied_copies(models[lead_of(config)])
    for reference, model in models.items():
        more = [name for name in model.tensors if name not in taken and not HEAD.search(name)]
        if more:
            said.append(f"{reference} has {len(more):,} tensors that the base has not ({more[0]!r}, ...): left out.")
    return said


def inherited(config: MergeConfig, found: Preflight) -> None:
    """What the comparison with the base means for the merge."""
    for one in found.ancestry:
        if one.unchanged == 1:
            found.refusals.append(
                f"Cannot merge {one.model}: every weight equals the base's ({one.base}), from the first tensor "
                f"({next(iter(one.tensors))!r}) on. Leave it out, or give its fine-tuned weights."
            )
        elif one.foreign:
            found.warnings.append(one.says())


# What it takes -----------------------------------------------------------------------------------------------


def foresee(config: MergeConfig, models: dict[str, Model], planned: list[Planned], out: Path, found: Preflight) -> None:
    """Enter memory, disk and seconds. Refused where `out` stands already or the disk has no room."""
    found.tensors, found.parameters = len(planned), sum(one.slot.size for one in planned)
    lead = models[lead_of(config)]
    found.disk = sum(one.slot.bytes for one in planned)
    if lead.path.is_dir():
        found.disk += sum((lead.path / name).stat().st_size for name in KEPT if (lead.path / name).is_file())
    parent = next(folder for folder in out.absolute().parents if folder.is_dir())
    found.free = shutil.disk_usage(parent).free
    if said := misplaced(out, models):
        found.refusals.append(said)
    if found.disk > found.free:
        found.refusals.append(
            f"Cannot write {out}: it takes {found.disk:,} bytes, and {parent} has {found.free:,} left. Free disk "
            "space, or choose another place."
        )
    if planned:
        found.memory = memory(config, models, planned)
        if not found.refusals:
            found.seconds = seconds(config, planned)


def memory(config: MergeConfig, models: dict[str, Model], planned: list[Planned]) -> int:
    """The peak of bytes that no file stands behind: buffers, and what the method holds of the largest tensor."""
    count = max(len(experts_of(config, piece)) for piece in config.slices)
    once, each = config.method.holds
    largest = max(one.slot.size for one in planned)
    if config.method.cubic:
        largest = max((one.slot.size for one in planned if len(one.slot.shape) == 2), default=0)
    changed = [
        model.tensors[name].size for model in models.values() if isinstance(model, Adapted) for name in model.changes
    ]
    adapted = 8 * max(changed, default=0) * sum(isinstance(model, Adapted) for model in models.values())
    buffers = 4 * CHUNK * (BUFFERS[0] + BUFFERS[1] * count)
    histograms = 80 * BINS * count if config.method.survey else 0
    return round(PROCESS + buffers + histograms + largest * (once + each * count) + adapted)


def seconds(config: MergeConfig, planned: list[Planned]) -> float:
    """CPU seconds of one core: the method is timed here on random weights, and scaled up. Reading is not in it."""
    method, piece = config.method, config.slices[0]
    count = len(experts_of(config, piece))
    matrix = max(planned, key=lambda one: one.slot.size)
    shape = probed(matrix.slot.shape, count, method.cubic)
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(math.prod(shape), generator=generator) for _ in range(count + 1)]
    arguments = values_for(config, piece, matrix.slot.name, matrix.inputs, matrix.t)
    x = Tensors(matrix.slot.name, shape, drawn[0], drawn[1:], config.seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.thread_time()
    x.seen = surveyed(method, [(x, arguments)])
    at = method.merge(x, **arguments)
    for part in x.chunks():
        at(part)
    spent = time.thread_time() - started
    torch.set_num_threads(threads)
    return spent * sum(work(one.slot.shape, method.cubic) for one in planned) / work(shape, method.cubic)


def probed(shape: tuple[int, ...], count: int, cubic: bool) -> tuple[int, ...]:
    """The shape of what is merged to time a method: rows as long as the largest tensor's, or a corner of it."""
    if len(shape) == 2 and cubic:
        return tuple(min(SIDE, side) for side in shape)
    most = min(8 * CHUNK, PROBE // (count + 1))
    return (max(1, most // shape[1]), shape[1]) if len(shape) == 2 else (most,)


def work(shape: tuple[int, ...], cubic: bool) -> float:
    """What the time of a tensor grows with."""
    size = math.prod(shape)
    return float(size * min(shape)) if cubic and len(shape) == 2 else float(size)
