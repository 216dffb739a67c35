"""The config.json of a merge: the lead's, with the dtype, rows, ties and layers that are written."""

from engine.merging.checkpoints.reader import HEAD, TIED
from engine.merging.checkpoints.stated import LAYERS
from engine.merging.config import MergeConfig
from engine.merging.layout import Model, Planned, lead_in, lead_of
from engine.merging.modules import kind_of, stack_for

# Lists in config.json with one entry per layer.
BY_LAYER = ("layer_types", "mlp_layer_types", "layers_block_type", "no_rope_layers", "attention_layers")
# Of each kind of stack: the parts of config.json on it, and there the keys for its number of layers.
DEPTHS = {
    "text": (("", "text_config", "language_config", "llm_config"), LAYERS),
    "vision": (("vision_config",), (*LAYERS, "depth")),
    "audio": (("audio_config", "audio_encoder_config"), (*LAYERS, "encoder_layers", "depth")),
    "encoder": (("", "encoder"), (*LAYERS, "encoder_layers", "num_encoder_layers")),
    "decoder": (("", "decoder"), ("num_decoder_layers", "decoder_layers", "decoder_num_layers")),
}
PLACES = ("_indexes", "_indices")  # ends of keys that number layers
Ranges = list[tuple[dict, tuple[int, int]]]  # of each slice: the config of the model that leads it, and its layers


def output_config(config: MergeConfig, models: dict[str, Model], planned: list[Planned]) -> dict:
    """The lead's config.json, adapted to the merge."""
    lead = models[lead_of(config)]
    settings = dict(lead.config or {})
    if asked := config.out_dtype or config.dtype:
        settings["dtype" if "dtype" in settings else "torch_dtype"] = asked  # transformers 5 and earlier
    written = {one.slot.name for one in planned}
    if lead.is_tied is None and any(HEAD.search(name) and name not in written for name in lead.tensors):
        settings[TIED] = True  # the head was left out for that, whatever the architecture's default
    for module in dict.fromkeys(piece.module for piece in config.slices):
        if ranges := ranges_of(config, models, module):
            settings = relayered(settings, ranges, kind_in(lead, module))
    return settings


def kind_in(lead: Model, module: str | None) -> str:
    """The kind of stack that a module is; of models with one stack, text."""
    stack = stack_for(module, lead.stacks) if module is not None else None
    return kind_of(stack) if stack and len(lead.stacks) > 1 else "text"


def ranges_of(config: MergeConfig, models: dict[str, Model], module: str | None) -> Ranges:
    """Where the layers of a module come from; empty if it has all of them."""
    found = []
    for piece in [piece for piece in config.slices if piece.module == module]:
        name = lead_in(piece)
        layers = next(one.layers for one in piece.sources if one.model == name)
        if layers is None:
            return []
        found.append((models[name].config or {}, layers))
    return found


def relayered(settings: dict, ranges: Ranges, kind: str) -> dict:
    """A config with other layers of one kind of stack."""
    parts, keys = DEPTHS[kind]
    found = dict(settings)
    for part in parts:
        if not part:
            found = found | layered(settings, ranges, keys)
        elif isinstance(inner := settings.get(part), dict):
            own = [(one.get(part, one), layers) for one, layers in ranges]
            found[part] = inner | layered(inner, own, keys)
    return found


def layered(settings: dict, ranges: Ranges, keys: tuple[str, ...]) -> dict:
    """What changes in a part of config.json: its number of layers, and lists with one entry per layer."""
    count = sum(last - first for _, (first, last) in ranges)
    found: dict = {key: count for key in keys if key in settings}
    for key in BY_LAYER:
        lists = [(part.get(key), layers) for part, layers in ranges]
        fine = all(isinstance(own, list) and len(own) >= last for own, (_, last) in lists)
        if isinstance(settings.get(key), list) and fine:
            found[key] = [one for own, (first, last) in lists for one in own[first:last]]
    return found


def unruled(config: MergeConfig, models: dict[str, Model]) -> list[str]:
    """A warning about settings that number layers, or have one entry for each, where no rule says what becomes of them
    in a merge with other layers."""
    lead, found = models[lead_of(config)], []
    for module in dict.fromkeys(piece.module for piece in config.slices):
        ranges, kind = ranges_of(config, models, module), kind_in(lead, module)
        if not ranges or (len(ranges) == 1 and ranges[0][1] == (0, depth_of(lead, module))):
            continue
        for part in DEPTHS[kind][0]:
            inner = (lead.config or {}).get(part, {}) if part else lead.config or {}
            found += [
                f"{part}.{key}".lstrip(".")
                for key, value in (inner.items() if isinstance(inner, dict) else ())
                if key not in BY_LAYER and value and (key.endswith(PLACES) or has_all(value, depth_of(lead, module)))
            ]
    if not found:
        return []
    named = ", ".join(dict.fromkeys(found))
    return [
        f"config.json of {lead.path} has {named}, which number layers; no rule says what becomes of them with other "
        "layers, so they stay. Make sure that they fit."
    ]


def depth_of(lead: Model, module: str | None) -> int:
    """How many layers the lead has of a module."""
    stack = stack_for(module, lead.stacks) if module is not None else None
    return lead.stacks.get(stack, 0) if stack else lead.layers


def pattern_of(config: dict | None, depth: int) -> dict[str, list]:
    """The lists in a config.json, also in its parts, that have one entry for each of so many layers."""
    parts = [config or {}, *(part for part in (config or {}).values() if isinstance(part, dict))]
    return {key: part[key] for part in parts for key in BY_LAYER if has_all(part.get(key), depth)}


def has_all(value: object, depth: int) -> bool:
    """Whether it is a list with one entry for each layer."""
    return isinstance(value, list) and len(value) == depth > 1
