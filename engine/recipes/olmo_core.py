"""OLMo-core's list of sources (SourceMixtureList): target_ratio of tokens, and how far a source may be repeated.

It repeats nothing unless it is told to, so the passes that the budget means are written down.
"""

import yaml

from engine.recipes.base import Files, Format, Recipe, comment, quoted


def write(recipe: Recipe) -> Files:
    rows = []
    for i in recipe.used:
        rows.append(
            f"- source_name: {quoted(recipe.domains[i])}\n  target_ratio: {recipe.shares[i]:.9f}  # of tokens\n"
            f"  max_repetition_ratio: {recipe.repetitions[i]}\n  paths:\n  - {quoted(recipe.places[i] + '/*.npy')}\n"
        )
    more = ("Nothing is repeated: raise max_repetition_ratio where text would not last.",) if recipe.unrepeated else ()
    return {"sources.yaml": f"{comment(recipe, *more)}sources:\n{''.join(rows)}"}


def read(files: Files) -> dict[str, float]:
    sources = yaml.safe_load(files["sources.yaml"])["sources"]
    return {source["source_name"]: source["target_ratio"] for source in sources}


FORMAT = Format(
    "OLMo-core YAML",
    write,
    read,
    positive=True,
    checked="by OLMo-core's own data sets",
    remarks=("OLMo-core takes whole sequences of every file: with many files of few sequences shares shift a little.",),
)
