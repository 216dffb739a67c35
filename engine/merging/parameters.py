"""The method's arguments for every tensor, from a merge file's parameters: precedence, filters, gradients.

Precedence of a parameter, highest first: the model's own in a slice, the slice's, the model's, its module's, the
file's `parameters`. A value is a number, a list (a gradient over layers), or a list of {filter, value} where the first
filter inside the tensor's name wins.
"""

from collections.abc import Iterable
from contextlib import suppress

from engine.core.errors import Problem
from engine.core.shown import number
from engine.merging.config import MergeConfig, Slice, experts_of, known
from engine.merging.methods.base import undivided
from engine.merging.methods.knobs import knobs_of
from engine.spec.merge_knobs import Knob


def values_for(config: MergeConfig, piece: Slice, tensor: str, inputs: dict[str, str], t: float) -> dict:
    """The method's arguments for one output tensor: {knob: value, or [one per expert]}.

    inputs: model -> the tensor's name there (layers may be renumbered in a slice); t: position in the slice's layers,
    0 to 1, for gradients. Raises Problem if a parameter is missing or invalid.
    """
    found = {}
    for name, knob in knobs_of(config.method).items():
        key = "lambda" if name == "lam" else name
        if not knob.each:
            found[name] = resolve(key, knob, [piece.parameters, piece.shared, config.parameters], tensor, t, tensor)
            continue
        found[name] = [
            resolve(
                key,
                knob,
                [one.parameters, piece.parameters, piece.shared, config.parameters],
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
        for scope in (config.parameters, piece.shared, piece.parameters, *(one.parameters for one in piece.sources)):
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
            value = number(value)  # YAML reads 1e-3 as a string
    return knob.checked(key, value)
