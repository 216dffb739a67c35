"""Preflight: validate a merge and estimate its cost before a byte is written, for the page and the command.

Refusals name the file, the tensor and the remedy; a merge with one should not be started. Warnings say how a
difference will be handled.
"""

import math
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from engine.core.errors import Problem
from engine.core.files import nearest
from engine.core.short_names import listed
from engine.merging.ancestry import Ancestry, Scan, scan
from engine.merging.checkpoints import vocabulary
from engine.merging.checkpoints.aligned import is_copy
from engine.merging.companions import files_to_copy, lost
from engine.merging.config import MergeConfig, cancelled, experts_of, idle_filters, values_for
from engine.merging.layout import Layout, Model, Planned, fitted, lead_of, opened
from engine.merging.merge import misplaced
from engine.merging.methods import Tensors
from engine.merging.methods.base import CHUNK
from engine.merging.methods.global_stats import BINS, run_first_pass

# Keys of config.json and its parts. Tensors of models that differ in these have the same shapes and mean other things.
MUST_AGREE = (
    *("model_type", "num_attention_heads", "num_key_value_heads", "head_dim", "hidden_act", "n_head", "num_heads"),
    *("n_heads", "hidden_activation", "activation_function", "position_embedding_type", "partial_rotary_factor"),
    *("rotary_pct", "rotary_dim", "use_parallel_residual", "parallel_attn", "alibi"),
)
SHOULD_AGREE = (
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "rms_norm_eps",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "sliding_window",
    "max_position_embeddings",
    "bos_token_id",
    "eos_token_id",
)
KIND = "model_type"  # which versions of a library call otherwise inside text_config
# What says nothing of how weights are used, or is told elsewhere: tokens, layers, ties.
HARMLESS = re.compile(
    r"_name_or_path|name_or_path|.*version|.*dtype|use_cache|vocab_size|architectures|auto_map|.*dropout.*|.*_pdrop|"
    r"init\w*_(range|std|factor)|pretraining_tp|tie_\w+|gradient_checkpointing|output_\w+|return_dict|_?attn_impl\w+|"
    r"unsloth\w*|problem_type|finetuning_task|.*layers?|depth|task_specific_params|\w+2\w+|pad_token_id|torchscript"
)
PROCESS = 12_000_000  # bytes of any merge beside its buffers
BUFFERS = 6, 16  # chunks in fp32, and for each expert
PROBE, SIDE = 64 * CHUNK, 512  # elements of all models together, or rows and columns, merged to time a method
STEPS = 400  # of a descent run to time a method: the largest default
SMALL = 4  # rows and columns of the tensors merged to test a method's values
MOST = 20  # most sentences of one kind
SHOWN = 8  # settings in one sentence


@dataclass
class Preflight:
    """The result of a preflight. refusals, warnings: sentences; memory, disk, free: bytes; seconds: of one core."""

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
        """As JSON-able values."""
        return {
            "refusals": self.refusals,
            "warnings": self.warnings,
            "tensors": self.tensors,
            "parameters": self.parameters,
            "memory_bytes": self.memory,
            "disk_bytes": self.disk,
            "free_bytes": self.free,
            "cpu_seconds": round(self.seconds, 2),
            "vocabularies": [one.to_dict() for one in self.vocabularies],
            "ancestry": [one.to_dict() for one in self.ancestry],
        }


def preflight(config: MergeConfig, out: Path, progress: Callable | None = None) -> Preflight:
    """Validate a merge and estimate its cost, reading all weights once; writes nothing.

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
    layout = fitted(config, models)
    found.refusals += first_of(layout.refusals)
    found.warnings += layout.warnings + lost(models[lead_of(config)], out)
    found.warnings += idle_filters(config, [one.slot.name for one in layout.planned])
    if not layout.refusals:
        weights = scan(config, models, layout.planned, progress)
        found.refusals += first_of(weights.refusals)
        found.ancestry = list(weights.ancestry.values())
        inherited(weights, found)
    found.warnings += dict.fromkeys(note for model in models.values() for note in model.notes)
    add_cost(config, models, layout, out, found)
    return found


def first_of(refusals: list[str]) -> list[str]:
    """The first of the sentences about single tensors, and one that says how many more there are."""
    rest = len(refusals) - MOST
    return refusals[:MOST] + [f"Cannot merge {rest:,} more tensors, for reasons such as these."] * (rest > 0)


# The models' metadata ---------------------------------------------------------------------------


def same_model_twice(models: dict[str, Model]) -> list[str]:
    """Models that are named twice, by a link or by another spelling of the path."""
    seen, said = {}, []
    for reference, model in models.items():
        place = tuple(file.resolve() for file in model.files)
        if place in seen:
            said.append(f"Cannot merge: {reference} and {seen[place]} are one model. Name it once.")
        seen[place] = reference
    return said


def architecture(config: MergeConfig, models: dict[str, Model], found: Preflight) -> None:
    """Differences between each model's config.json and the base's."""
    lead = models[lead_of(config)]
    for reference, model in models.items():
        if model is lead or model.config is None or lead.config is None:
            continue
        if any(not is_copy(lead, head) for head in model.heads):
            found.warnings.append(
                f"{reference} ties its head to its embeddings, and {lead.path} does not: they stand for its head."
            )
        others = []
        for key, own, wanted in differences(model.config, lead.config):
            files = f"{model.path / 'config.json'} says {key} {own}, and {lead.path / 'config.json'} {wanted}"
            last = key.rpartition(".")[2]
            if last in MUST_AGREE and key != f"text_config.{KIND}":
                found.refusals.append(f"Cannot merge {reference}: {files}: other architectures. Leave it out.")
            elif last in SHOULD_AGREE:
                found.warnings.append(f"{files}: the merge takes the latter.")
            elif not isinstance(own, dict | list) and not HARMLESS.fullmatch(last):
                others.append(f"{key} {own} instead of {wanted}")
        if others:
            found.warnings.append(
                f"{model.path / 'config.json'} differs from {lead.path / 'config.json'}, which the merge takes: "
                f"{listed(others, SHOWN)}."
            )
    kinds = {str(one.dtype).removeprefix("torch.") for model in models.values() for one in model.tensors.values()}
    if len(kinds) > 1:
        asked = config.out_dtype or config.dtype or "as the base has them"
        found.warnings.append(f"The weights are in {' and '.join(sorted(kinds))}: merged in float32, written {asked}.")


def differences(config: dict, lead: dict, before: str = "") -> list[tuple[str, object, object]]:
    """(key, its value, the lead's) where both have one and they differ, also inside the parts on text, vision, ..."""
    found = []
    for key, own in config.items():
        wanted = lead.get(key)
        if own is None or wanted is None or own == wanted:
            continue
        if key.endswith("_config") and isinstance(own, dict) and isinstance(wanted, dict) and not before:
            found += differences(own, wanted, f"{before}{key}.")
        else:
            found.append((f"{before}{key}", own, wanted))
    return found


def tokens(config: MergeConfig, models: dict[str, Model], found: Preflight) -> None:
    """Compare every model's tokens with the base's."""
    lead = models[lead_of(config)]
    for reference, model in models.items():
        if model is lead or model.home == lead.home:
            continue
        if model.difference is None:
            found.warnings += vocabulary.unknown(reference, model.home, lead.home)
            continue
        found.vocabularies.append(model.difference)
        refused = vocabulary.refusal(model.difference)
        found.refusals += [refused] if refused else []
        found.warnings += vocabulary.warnings(model.difference)
        if model.longer and not model.difference.extra:
            found.warnings.append(
                f"{reference} has {model.longer:,} rows of embeddings more than {lead.path}, which none of its tokens "
                "numbers: they are left out."
            )


def inherited(weights: Scan, found: Preflight) -> None:
    """Report what comparing the experts with the base and with each other means for the merge."""
    for one in found.ancestry:
        if one.is_base:
            found.refusals.append(
                f"Cannot merge {one.model}: every weight equals the base's ({one.base}), from the first tensor "
                f"({next(iter(one.tensors))!r}) on. Leave it out, or give its fine-tuned weights."
            )
        elif one.foreign:
            found.warnings.append(one.says())
    for one, others in weights.copies().items():
        found.warnings.append(f"{', '.join([one, *others])} have the same weights: the merge counts every copy.")


# Its cost -----------------------------------------------------------------------------------------------


def add_cost(config: MergeConfig, models: dict[str, Model], layout: Layout, out: Path, found: Preflight) -> None:
    """Add memory, disk and seconds. Refuses if `out` cannot be written or the method rejects its values."""
    planned, lead = layout.planned, models[lead_of(config)]
    found.tensors, found.parameters = len(planned), sum(one.slot.size for one in planned)
    found.disk = sum(one.slot.bytes for one in planned) + sum(
        file.stat().st_size for file in files_to_copy(lead).values()
    )
    parent = nearest(out)
    found.free = shutil.disk_usage(parent).free
    if said := misplaced(out, models):
        found.refusals.append(said)
    elif not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        why = "may not be written to" if parent.is_dir() else "is not a folder"
        found.refusals.append(f"Cannot write {out}: {parent} {why}. Choose another place.")
    if found.disk > found.free:
        found.refusals.append(
            f"Cannot write {out}: it takes {found.disk:,} bytes, and {parent} has {found.free:,} left. Free disk "
            "space, or choose another place."
        )
    if planned:
        found.memory = memory(config, models, planned)
        try:
            rehearse(config, planned)
            found.seconds = 0.0 if found.refusals else seconds(config, planned)
        except Problem as problem:
            found.refusals.append(str(problem))


def memory(config: MergeConfig, models: dict[str, Model], planned: list[Planned]) -> int:
    """Peak anonymous memory in bytes: buffers, and the method's own for the largest tensor."""
    count = max(len(experts_of(config, piece)) for piece in config.slices)
    once, each = config.method.peak_memory
    largest = max(one.slot.size for one in planned)
    if config.method.cubic:
        largest = max((one.slot.size for one in planned if len(one.slot.shape) == 2), default=0)
    made = sum(model.held for model in models.values())
    buffers = 4 * CHUNK * (BUFFERS[0] + BUFFERS[1] * count)
    histograms = 80 * BINS * count if config.method.first_pass else 0
    return round(PROCESS + buffers + histograms + largest * (once + each * count) + made)


def rehearse(config: MergeConfig, planned: list[Planned]) -> None:
    """Merge tiny random tensors with every planned value. Raises Problem if the method rejects one, which it would
    otherwise do in the middle of the merge."""
    different, generator = {}, torch.Generator().manual_seed(0)
    for one in planned:
        arguments = values_for(config, one.piece, one.slot.name, one.inputs, one.t)
        if said := cancelled(config, one.slot.name, arguments):
            raise Problem(said)
        if one.slot.dtype.is_floating_point and one.slot.size:
            shape = tuple(min(SMALL, side) for side in one.slot.shape)
            different.setdefault(f"{shape} {arguments}", (drawn(config, one, shape, generator), arguments))
    merged(config, list(different.values()), 1)


def seconds(config: MergeConfig, planned: list[Planned]) -> float:
    """CPU seconds of one core: the method is timed on random weights and scaled up. Excludes reading."""
    method = config.method
    matrix = max(planned, key=lambda one: one.slot.size)
    shape = probed(matrix.slot.shape, len(experts_of(config, matrix.piece)), method.cubic)
    x = drawn(config, matrix, shape, torch.Generator().manual_seed(0))
    arguments = values_for(config, matrix.piece, matrix.slot.name, matrix.inputs, matrix.t)
    more = max(1, arguments.get("steps", 0) / STEPS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.thread_time()
    merged(config, [(x, arguments)], STEPS)
    spent = (time.thread_time() - started) * more
    torch.set_num_threads(threads)
    return spent * sum(work(one.slot.shape, method.cubic) for one in planned) / work(shape, method.cubic)


def drawn(config: MergeConfig, one: Planned, shape: tuple[int, ...], generator: torch.Generator) -> Tensors:
    """Random weights of a base and its experts for one tensor."""
    count = len(experts_of(config, one.piece)) + 1
    base, *experts = (torch.randn(math.prod(shape), generator=generator) for _ in range(count))
    return Tensors(one.slot.name, shape, base, experts, config.seed)


def merged(config: MergeConfig, looks: list[tuple[Tensors, dict]], steps: int) -> None:
    """Merge some tensors and discard the result; `steps` caps a descent."""
    for _, arguments in looks:
        if "steps" in arguments:
            arguments["steps"] = min(arguments["steps"], steps)
    stats = run_first_pass(config.method, looks)
    for x, arguments in looks:
        x.global_stats = stats
        at = config.method.merge(x, **arguments)
        for part in x.chunks():
            at(part)


def probed(shape: tuple[int, ...], count: int, cubic: bool) -> tuple[int, ...]:
    """The shape merged to time a method: rows as long as the largest tensor's, or a corner of it."""
    if len(shape) == 2 and cubic:
        return tuple(min(SIDE, side) for side in shape)
    most = min(8 * CHUNK, PROBE // (count + 1))
    return (max(1, most // shape[1]), shape[1]) if len(shape) == 2 else (most,)


def work(shape: tuple[int, ...], cubic: bool) -> float:
    """The quantity that a tensor's merge time is proportional to."""
    size = math.prod(shape)
    return float(size * min(shape)) if cubic and len(shape) == 2 else float(size)
