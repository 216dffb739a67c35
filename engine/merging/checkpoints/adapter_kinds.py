"""What an adapter's settings say: its rank and scale, or why it is of a kind that cannot be used here."""

import math
import re
from pathlib import Path

from engine.core.errors import Problem
from engine.merging.checkpoints.files import table

CONFIG = "adapter_config.json"
BY_PEFT = "Merge it into its base with peft's merge_and_unload first."
BY_ITS_MAKER = "Save it as peft does (lora_A.weight, lora_B.weight), or merge it into its base with what trained it."
BY_INPUT = "It acts on some inputs only, which no merged weights can do: leave it out."
BESIDE = "It acts beside the weights, and no merged weights can do that: leave it out."
# Settings of LoRA that are read -> the kind. What cannot be used is told with these.
READABLE = {"use_rslora": "rsLoRA", "use_dora": "DoRA", "modules_to_save": "either with modules trained as a whole"}
SUPPORTED = f"What can be used: LoRA, {', '.join(READABLE.values())}."
# Settings under which the weights are not base + scale B A -> the kind, and what can be done.
UNREADABLE = {
    "use_qalora": ("QA-LoRA", BY_PEFT),
    "use_bdlora": ("a block-diagonal LoRA", BY_PEFT),
    "lora_bias": ("a LoRA with biases of its own", BY_PEFT),
    "layer_replication": ("a LoRA on repeated layers", BY_PEFT),
    "trainable_token_indices": ("a LoRA that trains single tokens", BY_PEFT),
    "target_parameters": ("a LoRA on parameters instead of layers", BY_PEFT),
    "kasa_config": ("KaSA", BY_PEFT),
    "monteclora_config": ("MonteCLoRA", BY_PEFT),
    "arrow_config": ("an Arrow router of several LoRAs", BY_INPUT),
    "alora_invocation_tokens": ("an activated LoRA (aLoRA)", BY_INPUT),
}
# Kinds that peft has no merge for: they act beside the weights, on what goes in or by what is asked.
UNMERGED = (
    *("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT", "CARTRIDGE", "ADAPTION_PROMPT"),
    *("XLORA", "POLY", "LILY", "SHADOW"),
)
STILL = ("none", "true", "false", "gaussian", "eva", "orthogonal", "mica")  # beginnings that leave the base as it is
# What was set for training or for peft itself, and does not change what the weights mean.
HARMLESS = (
    *("peft_type", "task_type", "base_model_name_or_path", "revision", "auto_mapping", "inference_mode"),
    *("r", "lora_alpha", "lora_dropout", "rank_pattern", "alpha_pattern", "use_rslora", "fan_in_fan_out", "bias"),
    *("target_modules", "exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern", "use_dora"),
    *("init_lora_weights", "eva_config", "loftq_config", "corda_config", "lora_ga_config", "velora_config"),
    *("megatron_config", "megatron_core", "qalora_group_size", "runtime_config", "ensure_weight_tying"),
    *("merge_weights", "peft_version", "unsloth_fixed"),
)


def settings_of(folder: Path) -> dict:
    """adapter_config.json of a LoRA that is read. Raises Problem if it is damaged, or of another kind, with it."""
    path = folder / CONFIG
    try:
        found = table(path.read_bytes())
        refuse_kind(folder, found)
        rank, alpha = found["r"], found["lora_alpha"]
        if not (rank > 0 and math.isfinite(alpha)):
            raise ValueError(f"r is {rank} and lora_alpha {alpha}")
        if not isinstance(found.get("modules_to_save"), list | None):
            raise ValueError(f"modules_to_save is {found['modules_to_save']!r}, and no list")
        for key, least in (("rank_pattern", 1), ("alpha_pattern", -math.inf)):
            for module, value in (found.get(key) or {}).items():
                re.compile(module)
                if not least <= value < math.inf:
                    raise ValueError(f"{key} has {value} for {module!r}")
    except (OSError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, re.error) as error:
        raise Problem(f"Cannot read {path}: {error!r}. Copy it again, or save the adapter with peft.") from error
    return found


def refuse_kind(folder: Path, settings: dict) -> None:
    """Raise Problem for an adapter of a kind that is not read."""
    kind, beginning = settings.get("peft_type"), str(settings.get("init_lora_weights")).lower()
    said = [(f"{key}: it is {name}", cure) for key, (name, cure) in UNREADABLE.items() if settings.get(key)]
    if (named := str(kind or "LORA").upper()) != "LORA":
        said.insert(0, (f"peft_type {kind}: it is no LoRA", BESIDE if named in UNMERGED else BY_PEFT))
    if beginning not in STILL:
        cure = (
            "Save it as a plain LoRA where it was trained (path_initial_model_for_weight_conversion of peft's "
            "save_pretrained), or merge it there."
        )
        said.append((f"init_lora_weights {beginning}: it belongs to a base that this has changed", cure))
    if said:
        why, cure = said[0]
        raise Problem(f"Cannot use the adapter {folder}: {CONFIG} says {why}. {SUPPORTED} {cure}")


def unknown_settings(settings: dict) -> list[str]:
    """The settings that are set and that nothing is known of here."""
    return sorted(key for key, value in settings.items() if value and key not in HARMLESS and key not in UNREADABLE)


def pattern(values: dict | None, module: str, otherwise: float) -> float:
    """A module's own rank or alpha: of the first key that, as a regular expression, matches the end of its name."""
    for key, value in (values or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return otherwise


def scale_of(folder: Path, settings: dict, module: str, rank: int, name: str) -> float:
    """alpha / r of a module; its own patterns come first. Raises Problem if its factors, called `name`, have another
    rank than the settings say."""
    own_rank = pattern(settings.get("rank_pattern"), module, settings["r"])
    if own_rank != rank:
        raise Problem(
            f"Cannot use the adapter {folder}: {name!r} has rank {rank}, and {CONFIG} says {own_rank}. Copy both files "
            "from one place."
        )
    alpha = pattern(settings.get("alpha_pattern"), module, settings["lora_alpha"])
    return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
