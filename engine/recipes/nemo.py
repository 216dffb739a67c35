"""NeMo and Megatron-Bridge: dataset.blend = [[paths], [weights]]."""

from engine.recipes.base import Files, Format, Recipe, comment, quoted
from engine.recipes.litgpt import assigned
from engine.recipes.rules import BLENDED


def write(recipe: Recipe) -> Files:
    places = ", ".join(quoted(recipe.places[i]) for i in recipe.used)
    weights = ", ".join(f"{recipe.shares[i]:.9f}" for i in recipe.used)
    header = comment(
        recipe, "Set dataset.blend = BLEND in the recipe; a path is the prefix of the .bin and .idx files."
    )
    return {"nemo_blend.py": f"{header}BLEND = [\n    [{places}],\n    [{weights}],  # of tokens\n]\n"}


def read(files: Files) -> dict[str, float]:
    places, weights = assigned(files["nemo_blend.py"], "BLEND")
    return dict(zip(places, weights, strict=True))


FORMAT = Format(
    "NeMo / Megatron-Bridge (Python)",
    write,
    read,
    "samples of one length, so tokens",
    "places",
    positive=True,
    checked="by megatron-core's own data sets, which both train from",
    rule=BLENDED,
)
