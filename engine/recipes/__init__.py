"""Recipes: a mixture, or a merge, as the files that a tool takes. A new format is a file here and a line in the table.

Nothing leaves unchecked: after writing, each file is read back by a reader that shares no code with its writer, and
its weights are compared with the recipe's. Loaders count tokens, rows or chunks; every file says what its weights
count, and shares of tokens are converted where they must be. What is not approved has "draft" in its files' names and
texts. Beside the files lies provenance.json: what stands behind the mixture, and who decided.
"""

import json

import yaml

from engine.core.errors import Problem
from engine.recipes import (
    automodel,
    axolotl,
    doremi,
    hf_datasets,
    levanter,
    litgpt,
    llama_factory,
    llm_foundry,
    megatron,
    ms_swift,
    nanotron,
    nemo,
    olmix,
    olmo_core,
    open_instruct,
    plain,
    regmix,
    streaming,
    torchtitan,
)
from engine.recipes.base import TOLERANCE, Files, Format, Recipe
from engine.recipes.merges import MERGE_FORMATS, MergeRecipe

__all__ = ["FORMATS", "MERGE_FORMATS", "Files", "Format", "MergeRecipe", "Recipe", "export", "formats_of", "standing"]

FORMATS: dict[str, Format] = {
    "regmix_yaml": regmix.FORMAT,
    "litgpt": litgpt.FORMAT,
    "megatron": megatron.FORMAT,
    "nemo": nemo.FORMAT,
    "nanotron": nanotron.FORMAT,
    "streaming": streaming.FORMAT,
    "llm_foundry": llm_foundry.FORMAT,
    "hf_datasets": hf_datasets.FORMAT,
    "olmo_core": olmo_core.FORMAT,
    "torchtitan": torchtitan.FORMAT,
    "levanter": levanter.FORMAT,
    "doremi": doremi.FORMAT,
    "olmix": olmix.FORMAT,
    "axolotl": axolotl.FORMAT,
    "llama_factory": llama_factory.FORMAT,
    "ms_swift": ms_swift.FORMAT,
    "open_instruct": open_instruct.FORMAT,
    "automodel": automodel.FORMAT,
    "csv": plain.CSV,
    "json": plain.JSON,
    "parquet": plain.PARQUET,
}

UNREADABLE = (ValueError, KeyError, IndexError, TypeError, SyntaxError, yaml.YAMLError)


def formats_of(recipe: Recipe | MergeRecipe) -> dict[str, Format]:
    """The formats that a mixture, or a merge, can leave in."""
    return MERGE_FORMATS if isinstance(recipe, MergeRecipe) else FORMATS


def export(recipe: Recipe | MergeRecipe, format: str) -> Files:
    """The files of a recipe in one format of the table, {name: content}, written, read back and compared.

    Raises Problem for an unknown format, for what the format cannot express, and for weights that come back different.
    """
    formats = formats_of(recipe)
    if format not in formats:
        raise Problem(f"Cannot export as {format!r}: the formats are {', '.join(formats)}.")
    one = formats[format]
    try:
        wanted = one.wanted(recipe)
    except Problem as problem:
        raise Problem(f"Cannot export as {one.title}. {problem}") from None
    files = one.write(recipe)
    phased = isinstance(recipe, Recipe) and recipe.phases and one.stages is not None
    try:
        found = one.stages(files) if phased else [one.read(files)]
    except UNREADABLE as error:
        raise Problem(
            f"Cannot export as {one.title}: the file could not be read back ({error}). Use plain domain names."
        ) from error
    for stage, there in zip([one.wanted(part) for part in recipe.stages] if phased else [wanted], found, strict=True):
        compare(one.title, stage, there)
    files |= {"provenance.json": provenance(recipe)}
    return {f"{'draft_' if recipe.state == 'draft' else ''}{name}": content for name, content in files.items()}


def compare(title: str, wanted: dict[str, float], found: dict[str, float]) -> None:
    """Raise Problem where what was read back is not what was to be written."""
    wrong = [key for key in {**wanted, **found} if abs(found.get(key, 0.0) - wanted.get(key, 0.0)) > TOLERANCE]
    if wrong:
        pairs = ", ".join(f"{key!r} {wanted.get(key, 0.0):.8g} as {found.get(key, 0.0):.8g}" for key in wrong)
        raise Problem(f"Cannot export as {title}: read back, the file says {pairs}. Rename these domains.")


def provenance(recipe: Recipe | MergeRecipe) -> str:
    """What stands behind a recipe, as the file that lies beside it."""
    facts = {"name": recipe.name, "study_name": recipe.study, "state": recipe.state, **recipe.provenance}
    try:
        return json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise Problem(f"Cannot export: the provenance holds {error}. Remove that value.") from error


def standing(recipe: Recipe | MergeRecipe) -> dict[str, dict]:
    """What can be said of every format before it is taken: {"title", "unit", "checked", "notes", "problem": why
    it cannot be}."""
    found = {}
    for name, one in formats_of(recipe).items():
        try:
            notes, problem = one.notes(recipe), None
        except Problem as cannot:
            notes, problem = [], str(cannot)
        found[name] = {"title": one.title, "unit": one.unit, "checked": one.checked, "notes": notes, "problem": problem}
    return found
