"""nanotron: a stage of data_stages with dataset_folder and dataset_weights."""

import yaml

from engine.recipes.base import Files, Format, Recipe, comment, quoted, shown


def write(recipe: Recipe) -> Files:
    folders = "".join(f"      - {quoted(recipe.places[i])}\n" for i in recipe.used)
    weights = "".join(f"      - {recipe.shares[i]:.9f}\n" for i in recipe.used)
    return {
        "data_stages.yaml": f"{comment(recipe)}data_stages:\n- name: {quoted(shown(recipe.name))}\n"
        "  start_training_step: 1\n"
        f"  data:\n    dataset:\n      dataset_folder:\n{folders}      dataset_weights:  # of tokens\n{weights}"
        "    num_loading_workers: 1\n    seed: 42\n"
    }


def read(files: Files) -> dict[str, float]:
    (stage,) = yaml.safe_load(files["data_stages.yaml"])["data_stages"]
    dataset = stage["data"]["dataset"]
    return dict(zip(map(str, dataset["dataset_folder"]), dataset["dataset_weights"], strict=True))


FORMAT = Format(
    "nanotron YAML",
    write,
    read,
    "samples of one length, so tokens",
    "places",
    positive=True,
    checked="by Megatron's blending, of which nanotron carries a copy; the rest by rule, not by the loader",
)
