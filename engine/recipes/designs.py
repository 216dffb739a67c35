"""Planned runs as recipes in one loader's format, with a manifest that names them: what an external trainer takes.

manifest.json says of every run its id, mixture, seed and size, and where its recipe lies. Recipes and manifest are read
back and compared before anything leaves. Results come back by the run's id (docs/how-to/external-trainer.md).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core.errors import Problem
from engine.recipes import FORMATS, Files, export
from engine.recipes.base import Recipe

MANIFEST, RUNS, REPORT = "manifest.json", "runs", "report"
CLIENT = Path(__file__).with_name("mixdesk_report.py")
VERSION = 1
PROJECT = """[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "mixdesk-report"
version = "1.0"
description = "Send results of planned runs to Mixdesk"
requires-python = ">=3.8"

[project.scripts]
mixdesk-report = "mixdesk_report:main"

[tool.setuptools]
py-modules = ["mixdesk_report"]
"""


@dataclass(frozen=True)
class PlannedRecipe:
    """A planned run's recipe, and what else its training has to know."""

    recipe: Recipe
    role: str
    label: str | None
    seed: int
    parameters: float


def export_runs(study: str, format: str, runs: list[PlannedRecipe], metrics: list[dict[str, Any]]) -> Files:
    """All files of planned runs, {path: content}: a recipe in a folder for each run, manifest.json, and the client that
    reports. study: its id; metrics: {"metric", "unit", "higher_is_better"} of what is to be measured.

    Raises Problem as `export` does, for no runs, and for a manifest that comes back different.
    """
    if not runs:
        raise Problem("Cannot export a design: no planned run awaits training. Ask for the next runs first.")
    if format not in FORMATS:
        raise Problem(f"Cannot export as {format!r}: the formats are {', '.join(FORMATS)}.")
    files, rows = Files(), []
    for one in runs:
        made = export(one.recipe, format)
        folder = f"{RUNS}/{one.recipe.run}"
        files |= {f"{folder}/{name}": content for name, content in made.items()}
        rows.append(row_of(one) | {"folder": folder, "files": sorted(made)})
    whole = {"mixdesk_design": VERSION, "study": study, "format": format, "unit": FORMATS[format].unit}
    whole |= {"domains": list(runs[0].recipe.domains), "metrics": metrics, "runs": rows}
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    check_manifest(text, runs)
    client = {f"{REPORT}/{CLIENT.name}": CLIENT.read_text(), f"{REPORT}/pyproject.toml": PROJECT}
    return {MANIFEST: text, **files, **client}


def row_of(one: PlannedRecipe) -> dict[str, Any]:
    """A run's line of the manifest, without its files."""
    recipe = one.recipe
    return {
        "run": recipe.run,
        "role": one.role,
        "label": one.label,
        "seed": one.seed,
        "parameters": round(one.parameters),
        "tokens": round(recipe.target_tokens),
        "mixture": dict(zip(recipe.domains, recipe.shares, strict=True)),
    }


def check_manifest(text: str, runs: list[PlannedRecipe]) -> None:
    """Raise Problem unless a manifest, read back, names these runs with their mixtures, seeds and sizes."""
    found = {row["run"]: row for row in json.loads(text)["runs"]}
    for one in runs:
        there, wanted = found.get(str(one.recipe.run), {}), row_of(one)
        if wrong := [name for name, value in wanted.items() if there.get(name) != value]:
            raise Problem(f"Cannot export the run {one.recipe.run}: its {wrong[0]} came back different.")
    if len(found) != len(runs):
        raise Problem("Cannot export a design: two of its runs have the same id.")
