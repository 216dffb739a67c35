"""NeMo Automodel's YAML: its chat data set joins files without weights, so it reads one that a script has mixed."""

from engine.recipes.base import Files, Recipe, comment
from engine.recipes.examples import MIXED, SCRIPT, counting, counts_in, script
from engine.recipes.rules import WHOLE

YAML = f"""dataset:
  _target_: nemo_automodel.components.datasets.llm.chat_dataset.ChatDataset
  path_or_dataset_id: {MIXED}  # written by {SCRIPT}
step_scheduler:
  num_epochs: 1
"""


def write(recipe: Recipe) -> Files:
    return {"automodel.yaml": comment(recipe) + YAML, SCRIPT: script(recipe)}


FORMAT = counting("NeMo Automodel", write, counts_in, WHOLE, "Its lines hold messages, as its ChatDataset reads them.")
