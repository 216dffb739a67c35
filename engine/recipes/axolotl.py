"""Axolotl's YAML: its sets have no weights, so it reads one file that a script has mixed."""

from engine.recipes.base import Files, Recipe, comment
from engine.recipes.examples import MIXED, SCRIPT, counting, counts_in, script
from engine.recipes.rules import DROPPING

YAML = f"""datasets:
  - path: {MIXED}  # written by {SCRIPT}
    ds_type: json
    type: chat_template
shuffle_merged_datasets: true
dataset_exact_deduplication: false  # else what the mixture repeats would be dropped
"""


def write(recipe: Recipe) -> Files:
    return {"axolotl.yaml": comment(recipe) + YAML, SCRIPT: script(recipe)}


FORMAT = counting(
    "Axolotl",
    write,
    counts_in,
    DROPPING,
    "Add the rest of your configuration, such as the base model and num_epochs: 1.",
)
