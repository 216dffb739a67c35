"""The other files of a merged model's folder: the lead's config and tokenizer, and a card: what was merged, and how."""

import json
from pathlib import Path

from engine.merging.checkpoints.aligned import HEAD
from engine.merging.checkpoints.reader import INDEX, LAYERS
from engine.merging.config import MergeConfig
from engine.merging.layout import Model, Planned, lead_in

KEPT = (".json", ".txt", ".model", ".jinja", ".tiktoken")  # suffixes of a model's files beside its weights
DROPPED = (INDEX, "pytorch_model.bin.index.json", "adapter_config.json", "trainer_state.json")
# Lists in config.json with one entry per layer.
BY_LAYER = ("layer_types", "mlp_layer_types", "layers_block_type", "no_rope_layers", "attention_layers")


def kept(lead: Model) -> list[Path]:
    """The files to copy from the lead's folder."""
    if not lead.path.is_dir():
        return []
    return sorted(
        file for file in lead.path.iterdir() if file.suffix in KEPT and file.name not in DROPPED and file.is_file()
    )


def lost(lead: Model, out: Path) -> list[str]:
    """Warnings about parts of a complete model that the output will lack."""
    if out.suffix == ".safetensors":
        found = [file.name for file in kept(lead)]
        return [f"{out} is one file: {', '.join(found)} of {lead.path} are not written beside it."] if found else []
    said = []
    if lead.config is None:
        said.append(f"{lead.path} has no config.json, so the output has none: loaders will not know its architecture.")
    if lead.path.is_dir() and (code := sorted(file.name for file in lead.path.glob("*.py"))):
        said.append(
            f"{lead.path} has code of its own ({', '.join(code)}): it is not copied. Copy it if you trust it "
            "and the model needs it."
        )
    return said


def companions(config: MergeConfig, lead: Model, planned: list[Planned]) -> dict[str, bytes]:
    """The other files of the output folder by name; none for a merge of bare files."""
    if not lead.path.is_dir():
        return {}
    found = {file.name: file.read_bytes() for file in kept(lead)}
    if lead.config is not None:
        found["config.json"] = json.dumps(changed(config, lead, planned), indent=2).encode()
    found["README.md"] = card(config).encode()
    return found


def changed(config: MergeConfig, lead: Model, planned: list[Planned]) -> dict:
    """The lead's config.json, adapted to the merge."""
    told = dict(lead.config)
    if asked := config.out_dtype or config.dtype:
        told["dtype" if "dtype" in told else "torch_dtype"] = asked  # transformers 5 and earlier
    written = {one.slot.name for one in planned}
    if "tie_word_embeddings" not in told and any(HEAD.search(name) and name not in written for name in lead.tensors):
        told["tie_word_embeddings"] = True  # the head was left out for that, whatever the architecture's default
    ranges = [next(one.layers for one in piece.sources if one.model == lead_in(piece)) for piece in config.slices]
    if None not in ranges:
        numbers = [layer for first, last in ranges for layer in range(first, last)]
        told = relayered(told, numbers, lead.layers)
        if isinstance(inner := told.get("text_config"), dict):
            told["text_config"] = relayered(inner, numbers, lead.layers)
    return told


def relayered(told: dict, numbers: list[int], before: int) -> dict:
    """A config with other layers. numbers: the lead's layers in the output, in order."""
    found = told | {key: len(numbers) for key in LAYERS if key in told}
    for key in BY_LAYER:
        if isinstance(told.get(key), list) and len(told[key]) == before > max(numbers):
            found[key] = [told[key][number] for number in numbers]
    return found


def card(config: MergeConfig) -> str:
    """The model card: what was merged, and how."""
    lines = ["---", "tags: [merge, mixdesk]", "---", "", "# A merge", ""]
    lines += [f"Method: {config.method.title} (`{config.name}`, {config.method.paper}).", ""]
    lines += [f"Base: `{config.base}`.", ""] if config.base else []
    lines += ["| model | parameters |", "|---|---|"]
    for piece in config.slices:
        lines += [f"| `{one.model}` | `{json.dumps(one.parameters)}` |" for one in piece.sources]
    if config.parameters:
        lines += ["", f"Shared parameters: `{json.dumps(config.parameters)}`."]
    return "\n".join([*lines, "", f"Seed {config.seed}. Written by Mixdesk.", ""])
