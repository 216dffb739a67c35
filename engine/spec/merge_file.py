"""A merge as files for other programs: mergekit's YAML, Mixdesk's own in the same syntax, coefficients as CSV and JSON.

mergekit's filters match any part of a tensor's name and the first match wins. So coefficients of any granularity are
exact: one filter per tensor with its full name, longer names first (a name matches only itself and shorter names inside
it), and a last value for all others.
"""

import csv
import io
import json
import math
from typing import Any

from engine.core.errors import Problem
from engine.core.safe_yaml import written
from engine.core.sheets import as_text
from engine.spec.merge_catalogue import Card, catalogue

MERGEKIT = (  # methods of mergekit 0.1.5 with the same meaning
    "linear",
    "slerp",
    "nuslerp",
    "multislerp",
    "karcher",
    "model_stock",
    "nearswap",
    "task_arithmetic",
    "ties",
    "dare_linear",
    "dare_ties",
    "della",
    "della_linear",
    "breadcrumbs",
    "breadcrumbs_ties",
    "sce",
    "passthrough",
    "arcee_fusion",
    "ram",
    "ramplus_tl",
)
DRAWN = ("dare_linear", "dare_ties", "della", "della_linear")
ALL = "*"  # in coefficients by tensor: all others
Coefficients = list[float] | dict[str, list[float]]  # one per expert; or by tensor's name, or a part of it, with ALL


def mergekit_yaml(
    method: str,
    base: str | None,
    experts: list[str],
    weight: Coefficients,
    knobs: dict[str, Any] | None = None,
    dtype: str = "float32",
    out_dtype: str | None = None,
) -> str:
    """The merge as a file that mergekit runs to the same tensors.

    weight: for methods with that knob, else empty; knobs: by their names in the table, one value or one per expert.
    Raises Problem for a method that mergekit lacks or defines differently, and names what to export instead.
    """
    if method in catalogue() and method not in MERGEKIT:
        raise Problem(
            f"Cannot write {method} as a file for mergekit: mergekit has no such method, and masks, spectra and "
            "descents are not coefficients. Export the merged weights, or Mixdesk's own merge file, instead."
        )
    said = "# Mixdesk's and mergekit's masks are drawn differently: the same distribution, other tensors.\n"
    text = merge_yaml(method, base, experts, weight, knobs, dtype, out_dtype)
    densities = [value for value in _each((knobs or {}).get("density", 1.0)) if value < 1]
    return (said if method in DRAWN and densities else "") + text


def merge_yaml(
    method: str,
    base: str | None,
    experts: list[str],
    weight: Coefficients,
    knobs: dict[str, Any] | None = None,
    dtype: str = "float32",
    out_dtype: str | None = None,
    seed: int | None = None,
) -> str:
    """The merge as a file for `python -m engine merge`, in mergekit's syntax; any method of the table."""
    card, knobs = _checked(method, base, experts, weight, knobs or {})
    each = {knob.name for knob in card.knobs.values() if knob.each}
    own: list[dict[str, Any]] = [{} for _ in experts]
    if "weight" in each:
        for place, parameters in enumerate(own):
            parameters["weight"] = _setting(weight, place)
    for name in sorted(each & knobs.keys()):
        for parameters, value in zip(own, _spread(name, knobs[name], len(experts)), strict=True):
            parameters[_key(name)] = value
    models = [
        {"model": expert} | ({"parameters": parameters} if parameters else {})
        for expert, parameters in zip(experts, own, strict=True)
    ]
    document: dict[str, Any] = {"merge_method": method}
    if card.base != "none" and base is not None:
        document["base_model"] = base
    document["models"] = models
    shared = {_key(name): value for name, value in knobs.items() if name not in each}
    document |= {"parameters": shared} if shared else {}
    document |= {"dtype": dtype} | ({"out_dtype": out_dtype} if out_dtype else {})
    document |= {"seed": seed} if seed is not None else {}
    return written(document)


def coefficients_at(weight: Coefficients, tensor: str) -> list[float]:
    """The coefficients of a tensor: those of the longest name that is part of its own."""
    if isinstance(weight, list):
        return weight
    named = [name for name in weight if name != ALL and name in tensor]
    return weight[max(named, key=len) if named else ALL]


def coefficients_csv(experts: list[str], weight: Coefficients) -> str:
    """A row per tensor (or one, `*`, for all) and a column per expert."""
    rows = weight if isinstance(weight, dict) else {ALL: weight}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["tensor", *map(as_text, experts)])
    writer.writerows([as_text(name), *values] for name, values in rows.items())
    return text.getvalue()


def coefficients_json(
    method: str,
    base: str | None,
    experts: list[str],
    weight: Coefficients,
    knobs: dict[str, Any] | None = None,
    seed: int = 0,
) -> str:
    """The whole merge as JSON."""
    _, knobs = _checked(method, base, experts, weight, knobs or {})
    rows = weight if isinstance(weight, dict) else {ALL: weight}
    document = {"method": method, "base": base, "experts": experts, "knobs": knobs, "seed": seed, "coefficients": rows}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _checked(
    method: str, base: str | None, experts: list[str], weight: Coefficients, knobs: dict[str, Any]
) -> tuple[Card, dict[str, Any]]:
    """The method's card and the knobs. Raises Problem if a value is invalid."""
    if method not in catalogue():
        raise Problem(f"Cannot write a merge by {method!r}: the methods are {', '.join(catalogue())}.")
    card = catalogue()[method]
    names = list(card.knobs)
    if unknown := [name for name in knobs if name not in names or name == "weight"]:
        raise Problem(f"Cannot write a merge by {method} with {unknown[0]!r}: its knobs are {', '.join(names)}.")
    if card.base == "required" and base is None:
        raise Problem(f"Cannot write a merge by {method}: it needs a base. Name one.")
    if "weight" in names:
        rows = weight if isinstance(weight, dict) else {ALL: weight}
        if ALL not in rows:
            raise Problem(f"Cannot write coefficients by tensor without {ALL!r}: it stands for all that are not named.")
        for name, values in rows.items():
            if len(values) != len(experts) or not all(math.isfinite(value) for value in values):
                raise Problem(
                    f"Cannot write the coefficients {values} of {name!r}: there must be {len(experts)} finite numbers, "
                    f"one for each of {', '.join(experts)}."
                )
    return card, knobs


def _setting(weight: Coefficients, place: int) -> float | list[dict[str, Any]]:
    """One expert's weight as a merge file has it."""
    if isinstance(weight, list):
        return float(weight[place])
    named = sorted((name for name in weight if name != ALL), key=lambda name: (-len(name), name))
    return [{"filter": name, "value": float(weight[name][place])} for name in named] + [
        {"value": float(weight[ALL][place])}
    ]


def _spread(name: str, value: object, count: int) -> list[Any]:
    """One value per expert."""
    values = value if isinstance(value, list) else [value] * count
    if len(values) != count:
        raise Problem(f"Cannot write {len(values)} values as {name}: there are {count} experts.")
    return values


def _each(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _key(name: str) -> str:
    """A knob's name in a merge file: `lambda` is a word of Python's."""
    return "lambda" if name == "lam" else name
