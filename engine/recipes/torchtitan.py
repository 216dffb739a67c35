"""torchtitan as Python: a DatasetMixConfig of children that are packed first, so that weights count tokens.

Weights of unpacked children would count documents.
"""

from engine.recipes.base import Files, Format, Recipe, comment, quoted
from engine.recipes.litgpt import assigned
from engine.recipes.rules import BLENDED

NOTE = "It needs torchtitan's sources: the package of version 0.3.0 has no torchtitan.components.data."

CODE = """

def mixture(datasets: dict) -> DatasetMixConfig:
    packed = {place: ConcatThenSplitPackingConfig(dataset=datasets[place]) for place in WEIGHTS}
    rows = [WeightedDataset(dataset=packed[place], weight=weight) for place, weight in WEIGHTS.items()]
    return DatasetMixConfig(datasets=tuple(rows))
"""


def write(recipe: Recipe) -> Files:
    weights = "".join(f"    {quoted(recipe.places[i])}: {recipe.shares[i]:.9f},\n" for i in recipe.used)
    return {
        "torchtitan_mixture.py": f"{comment(recipe, NOTE)}from torchtitan.components.data import (\n"
        "    ConcatThenSplitPackingConfig,\n    DatasetMixConfig,\n    WeightedDataset,\n)\n\n"
        f"WEIGHTS = {{  # of tokens, because every child is packed before it is mixed\n{weights}}}\n{CODE}"
    }


def read(files: Files) -> dict[str, float]:
    return assigned(files["torchtitan_mixture.py"], "WEIGHTS")


FORMAT = Format(
    "torchtitan (Python)",
    write,
    read,
    "packed rows, so tokens",
    "places",
    positive=True,
    checked="by grain's mix and packing, which torchtitan's classes call; those by rule, not by the loader",
    remarks=(NOTE,),
    rule=BLENDED,
)
