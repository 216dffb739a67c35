"""OLMo-core's list of sources (SourceMixtureList): target_ratio of tokens, and how far a source may be repeated.

It repeats nothing unless it is told to, so the passes that the budget means are written down. Each phase is a file: a
stage of OLMo-core's training has one list of sources.
"""

import yaml

from engine.recipes.base import Files, Format, Recipe, comment, quoted
from engine.recipes.rules import UNREPEATED


def write(recipe: Recipe) -> Files:
    if not recipe.phases:
        return {"sources.yaml": sources_of(recipe)}
    return {f"sources_phase_{place}.yaml": sources_of(one) for place, one in enumerate(recipe.stages, 1)}


def sources_of(recipe: Recipe) -> str:
    rows = []
    for i in recipe.used:
        rows.append(
            f"- source_name: {quoted(recipe.domains[i])}\n  target_ratio: {recipe.shares[i]:.9f}  # of tokens\n"
            f"  max_repetition_ratio: {recipe.repetitions[i]}\n  paths:\n  - {quoted(recipe.places[i] + '/*.npy')}\n"
        )
    more = ("Nothing is repeated: raise max_repetition_ratio where text would not last.",) if recipe.unrepeated else ()
    return f"{comment(recipe, *more)}sources:\n{''.join(rows)}"


def read_stages(files: Files) -> list[dict[str, float]]:
    return [ratios(content) for name, content in sorted(files.items()) if name.startswith("sources_phase_")]


def read(files: Files) -> dict[str, float]:
    return ratios(files["sources.yaml"])


def ratios(content: str | bytes) -> dict[str, float]:
    sources = yaml.safe_load(content)["sources"]
    return {source["source_name"]: source["target_ratio"] for source in sources}


FORMAT = Format(
    "OLMo-core YAML",
    write,
    read,
    positive=True,
    checked="by OLMo-core's own data sets",
    stages=read_stages,
    phases="One file for each phase, with its part of the budget: start each stage from the last one's checkpoint, "
    "optimiser included, and with text that it has not read.",
    remarks=("OLMo-core takes whole sequences of every file: with many files of few sequences shares shift a little.",),
    rule=UNREPEATED,
)
