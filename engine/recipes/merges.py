"""A merge as files: mergekit's YAML, Mixdesk's own in the same syntax, coefficients as CSV and JSON. K experts.

The merged checkpoint itself is written by `python -m engine merge FILE OUT`, from the second of these.
"""

import csv
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from engine.core.errors import Problem
from engine.core.safe_yaml import parsed
from engine.core.sheets import as_typed
from engine.recipes.base import Files, Format, caveats, shown
from engine.spec.merge import MergeSpec, setting_of
from engine.spec.merge_file import ALL, coefficients_csv, coefficients_json, merge_yaml, mergekit_yaml
from engine.spec.merge_point import coefficients_of
from engine.spec.statistics import ci_half_width

LARGEST_HEADER = 100 << 20  # bytes: a larger one is not a header


@dataclass(frozen=True)
class MergeRecipe:
    """A merge ready to leave. experts: K names; names, point: D coordinates of the study; files: of the base and each
    expert; tensors: of the model, needed where layers differ; predictions, provenance, approved: as of
    engine.recipes.base.Recipe."""

    study: str
    name: str
    merge: MergeSpec
    experts: tuple[str, ...]
    names: tuple[str, ...]
    point: tuple[float, ...]
    files: tuple[str, ...]
    tensors: tuple[str, ...] = ()
    predictions: tuple[dict, ...] = ()
    provenance: dict = field(default_factory=dict)
    approved: bool = False

    @property
    def state(self) -> str:
        return "approved" if self.approved else "draft"

    @property
    def header(self) -> list[str]:
        """Lines for the comment at the top of a file."""
        state = "approved" if self.approved else "DRAFT: not approved"
        return [
            f"{shown(self.name)}, a merge of study {shown(self.study)} ({state}). Written by Mixdesk.",
            "Weights are coefficients of task vectors; paths are this machine's. `python -m engine merge FILE OUT` "
            "writes the checkpoint.",
            *caveats(self.provenance),
        ]

    @property
    def arguments(self) -> dict:
        """What engine.spec.merge_file takes."""
        setting = setting_of(self.merge, list(self.experts), list(self.names), self.point)
        return {
            "method": self.merge.method,
            "base": self.files[0],
            "experts": list(self.files[1:]),
            "weight": coefficients_of(setting, list(self.tensors)),
            "knobs": setting.knobs,
        }

    @property
    def places(self) -> list[str]:
        """Every coefficient's key: the tensor, or all others, and the expert's file."""
        weight = self.arguments["weight"]
        rows = [ALL] if isinstance(weight, list) else list(weight)
        return [f"{row} {expert}" for row in rows for expert in self.arguments["experts"]]

    @property
    def coefficients(self) -> list[float]:
        """Every coefficient, in the order of `places`."""
        weight = self.arguments["weight"]
        return list(weight) if isinstance(weight, list) else [value for row in weight.values() for value in row]


def tensor_names(path: Path) -> list[str]:
    """The tensors of a safetensors file, or of a folder of them, by their headers. Raises Problem for anything else."""
    files, names = [path] if path.is_file() else sorted(path.glob("*.safetensors")), []
    try:
        for file in files:
            with open(file, "rb") as opened:
                size = int.from_bytes(opened.read(8), "little")
                if size > LARGEST_HEADER:
                    raise ValueError(f"its header says {size:,} bytes")
                names += [name for name in json.loads(opened.read(size)) if name != "__metadata__"]
    except (OSError, ValueError) as error:
        raise Problem(f"Cannot read the tensors' names of {path}: {error}. Put the checkpoint back.") from error
    if not names:
        raise Problem(f"Cannot read the tensors' names of {path}: there is no safetensors file. Put it back.")
    return names


def commented(recipe: MergeRecipe, text: str) -> str:
    return "".join(f"# {line}\n" for line in recipe.header) + text


def write_mergekit(recipe: MergeRecipe) -> Files:
    text = commented(recipe, mergekit_yaml(**recipe.arguments))
    if recipe.files[0].endswith(".safetensors"):
        text = f"# Its models are bare files: `mergekit-pytorch FILE OUT` runs it; mergekit-yaml takes folders.\n{text}"
    return {"mergekit.yaml": text}


def check_mergekit(recipe: MergeRecipe) -> None:
    mergekit_yaml(**recipe.arguments)  # raises for what mergekit has no word for


def write_own(recipe: MergeRecipe) -> Files:
    return {"merge.yaml": commented(recipe, merge_yaml(**recipe.arguments)), "MODEL_CARD.md": card(recipe)}


def card(recipe: MergeRecipe) -> str:
    """A model card for the merged checkpoint: what it is made of, predicted and measured losses. Names are escaped."""
    given = recipe.arguments
    rows = zip(recipe.places, recipe.coefficients, strict=True)
    seen = [one["losses"] for one in recipe.provenance.get("measured", ())][-1:]
    measured = seen[0] if seen else {}
    losses = [
        f"| {escape(row['metric'])} | {escape(row['unit'])} | {row['mean']:.4f} ± {ci_half_width(row['std']):.4f} | "
        + (f"{measured[row['metric']]:.4f} |" if row["metric"] in measured else "not measured |")
        for row in recipe.predictions
    ]
    return "\n".join(
        [
            f"# {escape(shown(recipe.name))} ({recipe.state})",
            "",
            f"A merge by {given['method']} of the study {escape(shown(recipe.study))}, made with Mixdesk.",
            "",
            f"- base: {escape(given['base'])}",
            f"- method: {given['method']}, {escape(json.dumps(given['knobs']))}",
            *(f"- {escape(one)}" for one in caveats(recipe.provenance)),
            "",
            "| tensors and expert | coefficient |",
            "|---|---|",
            *(f"| {escape(key)} | {value:.6g} |" for key, value in rows),
            "",
            "| metric | unit | predicted (95%) | measured |",
            "|---|---|---|---|",
            *losses,
            "",
        ]
    )


def escape(text: str) -> str:
    """Text that Markdown shows as it is written."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~-])", r"\\\1", text)


def read_yaml(files: Files) -> dict[str, float]:
    """Both kinds of YAML."""
    text = next(content for name, content in files.items() if name.endswith(".yaml"))
    found = {}
    for model in parsed(text)["models"]:
        weight = model.get("parameters", {}).get("weight", 1.0)
        for one in weight if isinstance(weight, list) else [{"value": weight}]:
            found[f"{one.get('filter', ALL)} {model['model']}"] = one["value"]
    return found


def write_csv(recipe: MergeRecipe) -> Files:
    given = recipe.arguments
    return {"coefficients.csv": coefficients_csv(given["experts"], given["weight"])}


def read_csv(files: Files) -> dict[str, float]:
    header, *rows = csv.reader(io.StringIO(files["coefficients.csv"], newline=""))
    experts = [as_typed(name) for name in header[1:]]
    return {f"{as_typed(row[0])} {one}": float(x) for row in rows for one, x in zip(experts, row[1:], strict=True)}


def write_json(recipe: MergeRecipe) -> Files:
    content = json.loads(coefficients_json(**recipe.arguments))
    content |= {"study": recipe.study, "name": recipe.name, "state": recipe.state, "predictions": recipe.predictions}
    return {"merge.json": json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"}


def read_json(files: Files) -> dict[str, float]:
    content = json.loads(files["merge.json"])
    rows = content["coefficients"].items()
    return {f"{row} {expert}": x for row, values in rows for expert, x in zip(content["experts"], values, strict=True)}


WHOLE = {"unit": "coefficients of task vectors", "keys": "places", "weights": "coefficients"}
MERGE_FORMATS: dict[str, Format] = {
    "mergekit": Format(
        "mergekit YAML", write_mergekit, read_yaml, check=check_mergekit, checked="by mergekit itself", **WHOLE
    ),
    "merge": Format("Mixdesk merge file (YAML)", write_own, read_yaml, checked="by merging from it", **WHOLE),
    "csv": Format("CSV", write_csv, read_csv, **WHOLE),
    "json": Format("JSON", write_json, read_json, **WHOLE),
}
