"""llm-foundry: the streams of train_loader with their proportions, and its curriculum callback for phases.

Facts of mosaicml/llm-foundry's CurriculumLearning: a schedule of data mixes after the first one, each with a duration
in tokens and a train_loader.
"""

import yaml

from engine.recipes.base import Files, Format, Recipe, comment, quoted
from engine.recipes.rules import BLENDED

NOTE = "Merge these keys into your training YAML, and put the rest of your train_loader beside each dataset."


def write(recipe: Recipe) -> Files:
    if not recipe.phases:
        return {"train_loader.yaml": f"{comment(recipe, NOTE)}train_loader:\n{loader(recipe, 2)}"}
    first, *later = recipe.stages
    spent = [round(one.target_tokens) for one in recipe.stages]
    schedule = "".join(
        f"    - duration: {tokens}tok\n      train_loader:\n{loader(one, 8)}"
        for one, tokens in zip(later, spent[1:], strict=True)
    )
    return {
        "train_loader.yaml": f"{comment(recipe, NOTE)}train_loader:\n{loader(first, 2)}callbacks:\n"
        f"  curriculum_learning:\n    duration: {spent[0]}tok\n    schedule:\n{schedule}"
    }


def loader(recipe: Recipe, indent: int) -> str:
    """The body of a train_loader."""
    rows = "".join(
        f"    {quoted(recipe.domains[i])}:\n      local: {quoted(recipe.places[i])}\n"
        f"      proportion: {recipe.shares[i]:.9f}\n"
        for i in recipe.used
    )
    body = f"name: text\ndataset:\n  streams:  # proportions of samples of one length, so of tokens\n{rows}"
    return "".join(f"{' ' * indent}{line}\n" for line in body.splitlines())


def read_stages(files: Files) -> list[dict[str, float]]:
    whole = yaml.safe_load(files["train_loader.yaml"])
    curriculum = whole.get("callbacks", {}).get("curriculum_learning", {})
    loaders = [whole["train_loader"], *(one["train_loader"] for one in curriculum.get("schedule", ()))]
    return [{str(name): stream["proportion"] for name, stream in one["dataset"]["streams"].items()} for one in loaders]


def read(files: Files) -> dict[str, float]:
    (only,) = read_stages(files)
    return only


def check(recipe: Recipe) -> None:
    recipe.starts()  # durations are tokens of the budget


FORMAT = Format(
    "llm-foundry YAML",
    write,
    read,
    "samples packed to one length, so tokens",
    positive=True,
    check=check,
    stages=read_stages,
    phases="The first phase is the train_loader, the others the schedule of the callback curriculum_learning.",
    rule=BLENDED,
)
