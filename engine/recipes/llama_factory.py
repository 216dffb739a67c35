"""LLaMA-Factory: dataset_info.json with the samples of each set, and the YAML that joins them.

Its loader takes a permutation of a set's examples, and draws what lies beyond one pass with replacement.
"""

import json

import yaml

from engine.recipes.base import Files, Recipe, comment, quoted
from engine.recipes.examples import counting
from engine.recipes.rules import EXAMPLES


def write(recipe: Recipe) -> Files:
    counts = zip(recipe.places, recipe.examples, strict=True)
    sets = {f"set_{i}": {"file_name": place, "num_samples": count} for i, (place, count) in enumerate(counts) if count}
    names = quoted(",".join(sets))
    return {
        "llama_factory.yaml": f"{comment(recipe)}dataset: {names}\nmix_strategy: concat\nstreaming: false\n"
        "num_train_epochs: 1\n",
        "dataset_info.json": json.dumps(sets, indent=1, ensure_ascii=False) + "\n",
    }


def read(files: Files) -> dict[str, float]:
    sets, asked = json.loads(files["dataset_info.json"]), yaml.safe_load(files["llama_factory.yaml"])
    if asked["mix_strategy"] != "concat" or asked["streaming"]:
        raise ValueError("its sets would not be joined by their samples")
    return {sets[name]["file_name"]: sets[name]["num_samples"] for name in asked["dataset"].split(",")}


FORMAT = counting(
    "LLaMA-Factory",
    write,
    read,
    EXAMPLES,
    "Where a set is passed more than once, LLaMA-Factory draws the rest with replacement: some of its examples come "
    "more often than others.",
    "Add each set's columns and formatting in dataset_info.json, unless it is in Alpaca's form.",
)
