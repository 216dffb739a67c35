"""open-instruct's YAML: pairs of a set and the number of its examples; a number without a point counts examples."""

import yaml

from engine.recipes.base import Files, Recipe, comment, quoted
from engine.recipes.examples import counting
from engine.recipes.rules import EXAMPLES


def write(recipe: Recipe) -> Files:
    counts = zip(recipe.places, recipe.examples, strict=True)
    pairs = "".join(f'  - {quoted(place)}\n  - "{count}"\n' for place, count in counts if count)
    return {"open_instruct.yaml": f"{comment(recipe)}dataset_mixer_list:\n{pairs}num_train_epochs: 1\n"}


def read(files: Files) -> dict[str, float]:
    words = yaml.safe_load(files["open_instruct.yaml"])["dataset_mixer_list"]
    return {place: int(count) for place, count in zip(words[0::2], words[1::2], strict=True)}


FORMAT = counting("open-instruct", write, read, EXAMPLES)
