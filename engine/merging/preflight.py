"""Preflight: validate a merge and estimate its cost before a byte is written, for the page and the command.

Refusals name the file, the tensor and the remedy; a merge with one should not be started. Warnings say how a
difference will be handled.
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.core.errors import Problem
from engine.core.files import nearest
from engine.core.short_names import listed
from engine.merging.ancestry import Ancestry, Scan, scan
from engine.merging.checkpoints import vocabulary
from engine.merging.checkpoints.aligned import is_copy
from engine.merging.checkpoints.retokenized import Retokenized
from engine.merging.companions import family, files_to_copy, lost
from engine.merging.config import MergeConfig
from engine.merging.cost import memory, rehearse, seconds
from engine.merging.layout import Layout, Model, fitted, lead_of, opened
from engine.merging.lineage import Family
from engine.merging.merge import misplaced
from engine.merging.modules import kind_of
from engine.merging.output_config import pattern_of, unruled
from engine.merging.parameters import idle_filters
from engine.merging.templates import chosen
from engine.merging.tokens import told

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
MOST = 20  # most sentences of one kind
SHOWN = 8  # settings in one sentence


@dataclass
class Preflight:
    """The result of a preflight. refusals, warnings: sentences; memory, disk, free: bytes; seconds: of one core."""

    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    vocabularies: list[vocabulary.Difference] = field(default_factory=list)
    tokens: list[dict] = field(default_factory=list)
    family: Family | None = None
    stacks: list[dict] = field(default_factory=list)
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
            "tokens": {"count": len(self.tokens), "rows": self.tokens[: vocabulary.LISTED]},
            "stacks": self.stacks,
            "family": self.family.to_dict() if self.family else None,
            "ancestry": [one.to_dict() for one in self.ancestry],
        }


def preflight(config: MergeConfig, out: Path, progress: Callable | None = None) -> Preflight:
    """Validate a merge and estimate its cost, reading all weights once; writes nothing.

    progress(done, total, note) in bytes of the output.
    """
    found = Preflight(warnings=list(config.notes))
    try:
        models = opened(config)
    except Problem as problem:
        found.refusals.append(str(problem))
        return found
    found.refusals += same_model_twice(models)
    architecture(config, models, found)
    token_facts(config, models, found)
    template_facts(config, models, found)
    found.family = family(models)
    found.warnings += found.family.conflicts()
    layout = fitted(config, models)
    found.refusals += first_of(layout.refusals)
    found.warnings += layout.warnings + lost(models[lead_of(config)], out)
    found.warnings += unruled(config, models)
    found.stacks = stack_facts(models)
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


def token_facts(config: MergeConfig, models: dict[str, Model], found: Preflight) -> None:
    """Compare every model's tokens with the base's; where the file asks for a tokenizer, tell what becomes of each."""
    lead = models[lead_of(config)]
    if isinstance(lead, Retokenized):
        said, found.tokens = told(config, models, lead_of(config))
        found.warnings += said
        return
    for reference, model in models.items():
        if model is lead or model.home == lead.home:
            continue
        if model.difference is None:
            found.warnings += vocabulary.unknown(reference, model.home, lead.home)
            continue
        found.vocabularies.append(model.difference)
        found.tokens += model.difference.rows(lead_of(config))
        refused = vocabulary.refusal(model.difference)
        found.refusals += [refused] if refused else []
        found.warnings += vocabulary.warnings(model.difference)
        if model.longer and not model.difference.extra:
            found.warnings.append(
                f"{reference} has {model.longer:,} rows of embeddings more than {lead.path}, which none of its tokens "
                "numbers: they are left out."
            )


def template_facts(config: MergeConfig, models: dict[str, Model], found: Preflight) -> None:
    """Whether the chat template that the file asks for can be had, and what to know of it."""
    if config.chat_template is None:
        return
    lead = lead_of(config)
    homes = {name: models[name].home for name in dict.fromkeys([lead, *models])}
    try:
        found.warnings += chosen(config.chat_template, homes)[1]
    except Problem as problem:
        found.refusals.append(str(problem))


def stack_facts(models: dict[str, Model]) -> list[dict]:
    """The stacks of layers of every model: how many each has, and of which kinds, where config.json lists them."""
    return [
        {
            "model": name,
            "stack": stack,
            "kind": kind_of(stack),
            "layers": count,
            "pattern": pattern_of(model.config, count),
        }
        for name, model in models.items()
        for stack, count in model.stacks.items()
    ]


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
        merged = [one for one in planned if not one.is_copy]
        try:
            rehearse(config, merged)
            found.seconds = 0.0 if found.refusals or not merged else seconds(config, merged)
        except Problem as problem:
            found.refusals.append(str(problem))
