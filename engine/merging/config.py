"""mergekit's YAML, read as mergekit reads it: the models, the method, its parameters, the tokenizer of the result.

What mergekit ignores is ignored here too, and named in a note; what looks like a misspelt key is refused. Mixdesk's
other methods use the same syntax with their own parameter names.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.core.checks import check, is_whole
from engine.core.errors import Problem
from engine.core.safe_yaml import parsed
from engine.core.settings_text import text_of
from engine.core.system import UNREADABLE, read_fault
from engine.merging.methods import METHODS, Method
from engine.merging.methods.knobs import knobs_of
from engine.merging.references import PARAMETERS, Reading, table
from engine.merging.token_rules import TokenRules, token_rules
from engine.spec.merge_learners import refuse_without_data

TOP = (
    *("merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype", "seed", "name"),
    *("tokenizer_source", "tokenizer", "chat_template"),
)
INPUTS = ("models", "slices", "modules")
DTYPES = ("float32", "float16", "bfloat16", "float64")
MOE = ("experts", "gate_mode", "experts_per_token", "shared_experts")  # keys of mergekit-moe's files
EVOLVED = ("genome", "tasks")  # of mergekit-evolve's


@dataclass(frozen=True)
class Source:
    """A model's part in one slice: its path, its layers [first, last), its own parameters."""

    model: str
    layers: tuple[int, int] | None
    parameters: dict


@dataclass(frozen=True)
class Slice:
    """Layers of the output: one source per model, of equal length; base: of this slice; parameters: of the slice;
    module: which part of the model it is of, None for all of it; shared: the module's parameters."""

    sources: tuple[Source, ...]
    base: str | None
    parameters: dict
    shared: dict = field(default_factory=dict)
    module: str | None = None


@dataclass(frozen=True)
class MergeConfig:
    """A merge as its file describes it. slices: a single one with all layers if the file has `models`; title: its name
    in the file; tokens, chat_template: of the result, None: the lead's; notes: what is in the file without effect."""

    name: str
    base: str | None
    slices: tuple[Slice, ...]
    parameters: dict
    dtype: str | None
    out_dtype: str | None
    seed: int
    title: str | None = None
    tokens: TokenRules | None = None
    chat_template: str | None = None
    notes: tuple[str, ...] = ()

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


def from_dict(values: dict, folder: Path, made: dict[str, Path] | None = None) -> MergeConfig:
    """A merge from its file's values; relative paths are resolved beside the file first. made: earlier merges of the
    same file, by their names."""
    reading = Reading(folder, made or {})
    refuse_other_files(values)
    reading.unused("the merge", values, TOP, "a merge has no such setting")
    name = method_of(values)
    seed = values.get("seed", 0)
    check(is_whole(seed, 0), seed, "seed", "a whole number of at least 0")
    base = reading.model(values.get("base_model"))
    config = MergeConfig(
        name,
        base,
        slices_of(values, base, reading),
        table("`parameters`", values.get("parameters") or {}),
        dtype_of(values, "dtype"),
        dtype_of(values, "out_dtype"),
        seed,
        title=None if values.get("name") is None else str(values["name"]),
        tokens=token_rules(values, reading),
        chat_template=template_of(values),
    )
    check_inputs(config, reading)
    return replace(config, notes=tuple(dict.fromkeys(reading.notes)))


def refuse_other_files(values: dict) -> None:
    """Raise Problem for files of mergekit's other programs."""
    if "merge_method" in values:
        return
    if all(key in values for key in EVOLVED):
        raise Problem(
            "Cannot merge: it is a file of mergekit-evolve (genome, tasks). Start a merge study instead, whose search "
            "does the same: docs/how-to/merge-study.md."
        )
    if any(key in values for key in MOE):
        raise Problem(
            "Cannot merge: it is a file of mergekit-moe (experts, gate_mode), which makes a mixture of experts. Run "
            "mergekit-moe on it; what it writes can be merged here."
        )


def method_of(values: dict) -> str:
    """The method's name. Raises Problem for an unknown one."""
    name = values.get("merge_method")
    if isinstance(name, str):
        refuse_without_data(name)
    if not isinstance(name, str) or name not in METHODS:
        raise Problem(f"Cannot merge by {name!r:.80}: merge_method is one of {', '.join(METHODS)}.")
    return name


def dtype_of(values: dict, key: str) -> str | None:
    """A dtype by its name, also with torch's before it."""
    asked = values.get(key)
    if asked is None:
        return None
    plain = asked.removeprefix("torch.") if isinstance(asked, str) else asked
    if plain not in DTYPES:
        raise Problem(f"Cannot use {asked!r:.80} as {key}: it is one of {', '.join(DTYPES)}.")
    return plain


def template_of(values: dict) -> str | None:
    """The chat template: "auto", a known one's name, or its text."""
    asked = values.get("chat_template")
    if asked is not None and not isinstance(asked, str):
        raise Problem(f"Cannot use {asked!r:.80} as chat_template: it is auto, a name, or the template's text.")
    return asked or None


def known(where: str, values: object, keys: tuple[str, ...]) -> None:
    """Raise Problem if a value is not a table or has an unknown key."""
    for key in table(where, values):
        if key not in keys:
            raise Problem(f"Cannot read {where}: the key {key!r} is unknown. It takes {', '.join(keys)}.")


def a_list(name: str, values: object) -> list:
    """Raise Problem if a value is not a list."""
    if not isinstance(values, list):
        raise Problem(f"Cannot read the merge: {name} is {values!r:.80}, and must be a list.")
    return values


def slices_of(values: dict, base: str | None, reading: Reading) -> tuple[Slice, ...]:
    """The slices of a file with `models`, `slices` or `modules`."""
    if sum(bool(values.get(key)) for key in INPUTS) != 1:
        raise Problem("Cannot read the merge: give `models`, `slices` or `modules`, and only one of them.")
    if not (modules := values.get("modules")):
        return pieces_of(values, base, reading, {})
    found: list[Slice] = []
    for name, module in table("`modules`", modules).items():
        where = f"the module {name}"
        reading.unused(where, table(where, module), ("models", "slices", "parameters"), "a module has no such setting")
        if bool(module.get("models")) == bool(module.get("slices")):
            raise Problem(f"Cannot read {where}: give `models` or `slices`, and not both.")
        shared = table(f"the parameters of {where}", module.get("parameters") or {})
        found += [replace(one, module=str(name)) for one in pieces_of(module, base, reading, shared)]
    return tuple(found)


def pieces_of(values: dict, base: str | None, reading: Reading, shared: dict) -> tuple[Slice, ...]:
    """The slices of one module, or of a file without modules."""
    sliced = bool(values.get("slices"))
    listed = values["slices"] if sliced else [{"sources": values["models"]}]
    return tuple(slice_of(one, base, reading, sliced, shared) for one in a_list("slices", listed))


def slice_of(values: dict, base: str | None, reading: Reading, sliced: bool, shared: dict) -> Slice:
    """One slice; for a file with `models`, its sources take all layers."""
    taken = ("sources", "parameters", "base_model")
    reading.unused("a slice", table("a slice", values), taken, "a slice has no such setting")
    sources = [
        source_of(one, reading, sliced)
        for one in a_list("sources" if sliced else "models", values.get("sources") or [])
    ]
    base = reading.model(values.get("base_model")) or base
    if not sources:
        raise Problem("Cannot read the merge: a slice, or `models`, names no model.")
    if base and not sliced and base not in [one.model for one in sources]:
        sources.append(Source(base, None, {}))
    if sliced and len({one.layers[1] - one.layers[0] for one in sources}) > 1:
        raise Problem("Cannot read a slice: its sources have different numbers of layers. Give ranges of one length.")
    own = table("the parameters of a slice", values.get("parameters") or {})
    return Slice(tuple(sources), base, own, shared)


def source_of(values: object, reading: Reading, sliced: bool) -> Source:
    """A model of a slice, or of `models`."""
    taken = ("model", "parameters", "layer_range") if sliced else ("model", "parameters")
    if misplaced := next((key for key in table("a model", values) if key in PARAMETERS), None):
        raise Problem(f"Cannot read a model: {misplaced!r} stands beside it. Put it under the model's `parameters`.")
    reading.unused("a model", values, taken, "a model has no such setting")
    path = reading.model(values.get("model"))
    if path is None:
        raise Problem(f"Cannot read a model: {str(values)[:80]} has no key 'model'.")
    layers = values.get("layer_range") if sliced else None
    whole = isinstance(layers, list) and len(layers) == 2 and all(map(is_whole, layers))
    if sliced and not (whole and 0 <= layers[0] < layers[1]):
        raise Problem(f"Cannot use {layers!r:.80} as layer_range of {path}: give [first, last], such as [0, 12].")
    own = table(f"the parameters of {path}", values.get("parameters") or {})
    return Source(path, tuple(layers) if sliced else None, own)


def check_inputs(config: MergeConfig, reading: Reading) -> None:
    """Note the parameters that the method does not use. Raises Problem if it lacks a required input, or a model is
    named twice."""
    for piece in config.slices:
        check_models(config, piece)
    knobs = {"lambda" if name == "lam" else name: knob for name, knob in knobs_of(config.method).items()}
    scopes = [("`parameters`", config.parameters)]
    for piece in config.slices:
        scopes += [("the parameters of a module", piece.shared), ("the parameters of a slice", piece.parameters)]
        scopes += [(f"the parameters of {one.model}", one.parameters) for one in piece.sources]
        for one in piece.sources:
            for key in [key for key in one.parameters if key in knobs and not knobs[key].each]:
                reading.note(
                    f"{key!r} in the parameters of {one.model} has no effect: it is one value for all models. Move it "
                    "to the merge's `parameters`."
                )
    for where, values in scopes:
        reading.unused(where, values, tuple(knobs), f"{config.name} has no such parameter")


def check_models(config: MergeConfig, piece: Slice) -> None:
    """Raise Problem if a slice has too few or too many models for the method, or no base, or one model twice."""
    method, experts = config.method, experts_of(config, piece)
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


def experts_of(config: MergeConfig, piece: Slice) -> list[Source]:
    """The sources that are experts: all but the base, if the method has one."""
    if config.method.base == "none" or piece.base is None:
        return list(piece.sources)
    return [one for one in piece.sources if one.model != piece.base]
