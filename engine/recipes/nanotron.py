"""nanotron: a stage of data_stages with dataset_folder and dataset_weights, or one for each phase."""

import yaml

from engine.recipes.base import STEP_TOKENS, Files, Format, Recipe, check_steps, comment, quoted, shown
from engine.recipes.rules import BLENDED

STEPS = f"Stages begin at steps of {STEP_TOKENS:,} tokens: where yours have others, change start_training_step."


def write(recipe: Recipe) -> Files:
    more = (STEPS,) if recipe.phases else ()
    stages = "".join(
        stage_of(one, f"{recipe.name}, phase {place}" if recipe.phases else recipe.name, start + 1)
        for place, (one, start) in enumerate(zip(recipe.stages, recipe.starts(), strict=True), 1)
    )
    return {"data_stages.yaml": f"{comment(recipe, *more)}data_stages:\n{stages}"}


def stage_of(recipe: Recipe, name: str, step: int) -> str:
    folders = "".join(f"      - {quoted(recipe.places[i])}\n" for i in recipe.used)
    weights = "".join(f"      - {recipe.shares[i]:.9f}\n" for i in recipe.used)
    return (
        f"- name: {quoted(shown(name))}\n  start_training_step: {step}\n"
        f"  data:\n    dataset:\n      dataset_folder:\n{folders}      dataset_weights:  # of tokens\n{weights}"
        "    num_loading_workers: 1\n    seed: 42\n"
    )


def read_stages(files: Files) -> list[dict[str, float]]:
    sets = [stage["data"]["dataset"] for stage in yaml.safe_load(files["data_stages.yaml"])["data_stages"]]
    return [dict(zip(map(str, one["dataset_folder"]), one["dataset_weights"], strict=True)) for one in sets]


def read(files: Files) -> dict[str, float]:
    (stage,) = read_stages(files)
    return stage


FORMAT = Format(
    "nanotron YAML",
    write,
    read,
    "samples of one length, so tokens",
    "places",
    positive=True,
    check=check_steps,
    stages=read_stages,
    phases=f"A stage for each phase. {STEPS}",
    checked="by Megatron's blending, of which nanotron carries a copy; the rest by rule, not by the loader",
    rule=BLENDED,
)
