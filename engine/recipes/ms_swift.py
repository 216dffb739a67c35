"""ms-swift's arguments: `path#number` draws so many examples of a set, whole passes first."""

import shlex

from engine.recipes.base import Files, Recipe, comment
from engine.recipes.examples import counting
from engine.recipes.rules import DROPPING

NAME = "ms_swift.sh"


def write(recipe: Recipe) -> Files:
    counts = zip(recipe.places, recipe.examples, strict=True)
    sets = "".join(f"    {shlex.quote(f'{place}#{count}')} \\\n" for place, count in counts if count)
    return {
        NAME: f'{comment(recipe)}swift sft --num_train_epochs 1 "$@" \\\n  --dataset \\\n{sets}'.rstrip(" \\\n") + "\n"
    }


def read(files: Files) -> dict[str, float]:
    words = shlex.split(str(files[NAME]).replace(" \\\n", " "), comments=True)
    sets = [word.rpartition("#") for word in words[words.index("--dataset") + 1 :]]
    return {place: int(count) for place, _, count in sets}


FORMAT = counting("ms-swift", write, read, DROPPING)
