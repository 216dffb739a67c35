"""mergekit's YAML, read as mergekit reads it: the models, the method, and its arguments for every tensor.

Precedence of a parameter, highest first: the model's own in a slice, the slice's, the model's, the module-wide
`parameters`. A value is a number, a list (a gradient over layers), or a list of {filter, value} where the first filter
inside the tensor's name wins. Mixdesk's other methods use the same syntax with their own parameter names.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.core.checks import check, is_whole
from engine.core.errors import Problem
from engine.core.safe_yaml import parsed
from engine.core.settings_text import text_of
from engine.core.system import UNREADABLE, read_fault
from engine.merging.methods import METHODS, Method
from engine.merging.methods.base import undivided
from engine.merging.methods.knobs import knobs_of
from engine.spec.merge_knobs import Knob
from engine.spec.merge_learners import refuse_without_data

TOP = (
    "merge_method",
    "base_model",
    "models",
    "slices",
    "parameters",
    "dtype",
    "out_dtype",
    "seed",
    "tokenizer_source",
)
DTYPES = ("float32", "float16", "bfloat16")
NO_EFFECT = ("int8_mask",)  # mergekit's memory options, accepted and without effect here
UNUSED = {"task_arithmetic": ("density",)}  # appears in files shared with other methods; no effect


@dataclass(frozen=True)
class Source:
    """A model's part in one slice: its path, its layers [first, last), its own parameters."""

    model: str
    layers: tuple[int, int] | None
    parameters: dict


@dataclass(frozen=True)
class Slice:
    """Layers of the output: one source per model, of equal length; base: of this slice; parameters: of the slice."""

    sources: tuple[Source, ...]
    base: str | None
    parameters: dict


@dataclass(frozen=True)
class MergeConfig:
    """A merge as its file describes it. slices: a single one with all layers if the file has `models`."""

    name: str
    base: str | None
    slices: tuple[Slice, ...]
    parameters: dict
    dtype: str | None
    out_dtype: str | None
    seed: int

    @property
    def method(self) -> Method:
        return METHODS[self.name]

    @property
    def models(self) -> list[str]:
        """Every model to read, the base first."""
        named = [self.base, *(s.base for s in self.slices), *(one.model for s in self.slices for one in s.sources)]
        return list(dict.fromkeys(name for name in named if name))


def read_config(path: Path) -> MergeConfig:
    """Read a merge file. Raises Problem that names the unknown, missing or invalid key."""
    try:
        values = table_of(text_of(path))
    except UNREADABLE as error:
        raise Problem(f"Cannot read {path}: {read_fault(error, 'Fix it.')}") from error
    return from_dict(values, path.parent)


def from_text(text: str) -> MergeConfig:
    """A merge from a file's text with whole paths. Raises Problem as `read_config` does."""
    try:
        return from_dict(table_of(text), Path("/"))
    except ValueError as error:
        raise Problem(f"Cannot read the merge file: {error}. Fix it and try again.") from error


def table_of(text: str) -> dict:
    """The settings in a merge file's text. Raises ValueError for anything else."""
    values = parsed(text)
    if not isinstance(values, dict):
        raise ValueError(f"it holds {str(values)[:80]!r}, not a table of settings")
    return values


def from_dict(values: dict, folder: Path) -> MergeConfig:
    """A merge from its file's values; relative paths are resolved beside the file first."""
    known("the merge", values, TOP)
    name = values.get("merge_method")
    if isinstance(name, str):
        refuse_without_data(name)
    if not isinstance(name, str) or name not in METHODS:
        raise Problem(f"Cannot merge by {name!r:.80}: merge_method is one of {', '.join(METHODS)}.")
    for key in ("dtype", "out_dtype"):
        if values.get(key) is not None and values[key] not in DTYPES:
            raise Problem(f"Cannot use {values[key]!r} as {key}: it is one of {', '.join(DTYPES)}.")
    if values.get("tokenizer_source") not in (None, "base"):
        raise Problem(
            f"Cannot use {values['tokenizer_source']!r} as tokenizer_source: a merge has the base's tokenizer, and the "
            "rows of its embeddings (base). Give base, or leave it out."
        )
    if bool(values.get("models")) == bool(values.get("slices")):
        raise Problem("Cannot read the merge: give `models` or `slices`, and not both.")
    seed = values.get("seed", 0)
    check(is_whole(seed, 0), seed, "seed", "a whole number of at least 0")
    base = model_path(values.get("base_model"), folder)
    listed = values.get("slices") or [{"sources": values["models"]}]
    slices = tuple(slice_of(one, base, folder, bool(values.get("slices"))) for one in a_list("slices", listed))
    config = MergeConfig(
        name, base, slices, values.get("parameters") or {}, values.get("dtype"), values.get("out_dtype"), seed
    )
    check_inputs(config)
    return config


def known(where: str, values: object, keys: tuple[str, ...]) -> None:
    """Raise Problem if a value is not a table or has an unknown key."""
    if not isinstance(values, dict):
        raise Problem(f"Cannot read {where}: it is {str(values)[:80]!r}, and must be a table.")
    for key in values:
        if key not in keys:
            raise Problem(f"Cannot read {where}: the key {key!r} is unknown. It takes {', '.join(keys)}.")


def a_list(name: str, values: object) -> list:
    """Raise Problem if a value is not a list."""
    if not isinstance(values, list):
        raise Problem(f"Cannot read the merge: {name} is {values!r:.80}, and must be a list.")
    return values


def model_path(value: object, folder: Path) -> str | None:
    """The path of a model, or of BASE+ADAPTER: beside the file, or as given."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise Problem(f"Cannot use {value!r} as a model: give the path of a folder or of a .safetensors file.")
    beside = folder / value
    if not Path(value).is_absolute() and beside.exists():
        return str(beside)
    if "+" in value and not Path(value).exists():
        return "+".join(model_path(part, folder) for part in value.rsplit("+", 1))
    return value


def slice_of(values: dict, base: str | None, folder: Path, sliced: bool) -> Slice:
    """One slice; for a file with `models`, its sources take all layers."""
    known("a slice", values, ("sources", "parameters", "base_model"))
    sources = []
    for one in a_list("sources" if sliced else "models", values.get("sources") or []):
        known("a model", one, ("model", "parameters", "layer_range") if sliced else ("model", "parameters"))
        path = model_path(one.get("model"), folder)
        if path is None:
            raise Problem(f"Cannot read a model: {one} has no key 'model'.")
        layers = one.get("layer_range")
        whole = isinstance(layers, list) and len(layers) == 2 and all(map(is_whole, layers))
        if sliced and not (whole and 0 <= layers[0] < layers[1]):
            raise Problem(f"Cannot use {layers!r} as layer_range of {path}: give [first, last], such as [0, 12].")
        sources.append(Source(path, tuple(layers) if sliced else None, one.get("parameters") or {}))
    base = model_path(values.get("base_model"), folder) or base
    if not sources:
        raise Problem("Cannot read the merge: a slice, or `models`, names no model.")
    if base and not sliced and base not in [one.model for one in sources]:
        sources.append(Source(base, None, {}))
    if sliced and len({one.layers[1] - one.layers[0] for one in sources}) > 1:
        raise Problem("Cannot read a slice: its sources have different numbers of layers. Give ranges of one length.")
    return Slice(tuple(sources), base, values.get("parameters") or {})


def check_inputs(config: MergeConfig) -> None:
    """Raise Problem if the method lacks a required input, a model is named twice, or a parameter is unknown."""
    method = config.method
    scopes = [("parameters", config.parameters)]
    own = []
    for piece in config.slices:
        experts = experts_of(config, piece)
        if method.base == "required" and piece.base is None:
            raise Problem(f"Cannot merge by {config.name}: it needs a base_model.")
        if len(experts) < method.min_experts or (method.max_experts and len(experts) > method.max_experts):
            exact = method.max_experts == method.min_experts
            span = f"{method.min_experts}" if exact else f"{method.min_experts} or more"
            besides = "besides the base " if method.base == "required" else ""
            raise Problem(
                f"Cannot merge {len(experts)} models by {config.name}: it takes {span} {besides}(here: "
                f"{', '.join(one.model for one in experts) or 'none'})."
            )
        names = [one.model for one in piece.sources]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise Problem(f"Cannot merge: {twice} is named twice. Name it once, with the sum of its weights.")
        scopes += [("the parameters of a slice", piece.parameters)]
        own += [(f"the parameters of {one.model}", one.parameters) for one in piece.sources]
    knobs = {"lambda" if name == "lam" else name: knob for name, knob in knobs_of(method).items()}
    for where, values in scopes + own:
        known(where, values, (*knobs, *NO_EFFECT, *UNUSED.get(config.name, ())))
    for where, values in own:
        if shared := [key for key in values if key in knobs and not knobs[key].each]:
            raise Problem(
                f"Cannot read {where}: {shared[0]} is one value for all models. Move it to the merge's `parameters`."
            )


def experts_of(config: MergeConfig, piece: Slice) -> list[Source]:
    """The sources that are experts: all but the base, if the method has one."""
    if config.method.base == "none" or piece.base is None:
        return list(piece.sources)
    return [one for one in piece.sources if one.model != piece.base]


def values_for(config: MergeConfig, piece: Slice, tensor: str, inputs: dict[str, str], t: float) -> dict:
    """The method's arguments for one output tensor: {knob: value, or [one per expert]}.

    inputs: model -> the tensor's name there (layers may be renumbered in a slice); t: position in the slice's layers,
    0 to 1, for gradients. Raises Problem if a parameter is missing or invalid.
    """
    found = {}
    for name, knob in knobs_of(config.method).items():
        key = "lambda" if name == "lam" else name
        if not knob.each:
            found[name] = resolve(key, knob, [piece.parameters, config.parameters], tensor, t, tensor)
            continue
        found[name] = [
            resolve(
                key,
                knob,
                [one.parameters, piece.parameters, config.parameters],
                inputs[one.model],
                t,
                f"{one.model}: {inputs[one.model]}",
            )
            for one in experts_of(config, piece)
        ]
    return found


def resolve(key: str, knob: Knob, scopes: list[dict], tensor: str, t: float, where: str):
    """The value of a parameter from the first scope that has it, else its default."""
    for scope in scopes:
        if key in scope and (value := evaluate(key, knob, scope[key], tensor, t)) is not None:
            return value
    if knob.required:
        raise Problem(f"Cannot merge {where}: the parameter {key!r} is not given. Add it under `parameters`.")
    return knob.default


def cancelled(config: MergeConfig, tensor: str, arguments: dict) -> str | None:
    """A refusal of a normalised mean whose weights sum to 0. Methods with a base do not divide then."""
    weights, normalised = arguments.get("weight", []), arguments.get("normalize", arguments.get("normalize_weights"))
    return undivided(weights, tensor) if normalised and config.method.base != "required" else None


def idle_filters(config: MergeConfig, tensors: Iterable[str]) -> list[str]:
    """A warning for each filter that matches no tensor: misspelt, or written for another model."""
    names, said = "\n".join(tensors), {}
    for piece in config.slices:
        for scope in (config.parameters, piece.parameters, *(one.parameters for one in piece.sources)):
            for key, setting in scope.items():
                for one in setting if isinstance(setting, list) else [setting]:
                    pattern = one.get("filter") if isinstance(one, dict) else None
                    if isinstance(pattern, str) and pattern != "*" and pattern not in names:
                        said[key, pattern] = f"The filter {pattern!r} of {key} matches no tensor: it has no effect."
    return list(said.values())


def evaluate(key: str, knob: Knob, setting, tensor: str, t: float):
    """A setting's value for a tensor; None if no filter matches."""
    if isinstance(setting, dict):
        setting = [setting]
    if not isinstance(setting, list):
        return typed(key, knob, setting)
    if not setting:
        return None
    if all(isinstance(one, dict) for one in setting):
        for one in setting:
            known(f"{key} with a filter", one, ("filter", "value"))
            pattern = one.get("filter")
            if not isinstance(pattern, str | None):
                raise Problem(f"Cannot use {pattern!r:.80} as a filter of {key}: it must be a part of a tensor's name.")
            if pattern is None or pattern == "*" or pattern in tensor:
                return evaluate(key, knob, one.get("value"), tensor, t)
        return None
    values = [typed(key, knob, one) for one in setting]
    place = t * (len(values) - 1)
    if knob.kind == "bool":
        return values[int(place)]
    low = int(place)
    high, rest = min(low + 1, len(values) - 1), place - low
    between = (1 - rest) * values[low] + rest * values[high]
    return typed(key, knob, round(between) if knob.kind == "int" else between)


def typed(key: str, knob: Knob, value) -> float | int | bool:
    """A value of the knob's kind, as mergekit reads it. Raises Problem if it is invalid."""
    if knob.kind == "bool" and value in (0, 1):
        value = bool(value)
    if knob.kind != "bool" and isinstance(value, str):
        with suppress(ValueError):
            value = float(value)  # YAML reads 1e-3 as a string
    return knob.checked(key, value)
