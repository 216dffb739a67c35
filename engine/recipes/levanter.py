"""Levanter and Marin: data with configs and train_weights by name."""

import yaml

from engine.recipes.base import Files, Format, Recipe, comment, quoted

BLOCK = (
    32768  # sequences: each domain gets a whole number of every block; 2048, Levanter's own, would drop small shares
)
NOTE = "Newer Marin says components for configs. Set tokenizer and cache_dir to yours."


def write(recipe: Recipe) -> Files:
    rows = list(zip(recipe.domains, recipe.places, recipe.shares, strict=True))
    configs = "".join(
        f"    {quoted(domain)}:\n      train_urls:\n      - {quoted(place)}\n" for domain, place, _ in rows
    )
    weights = "".join(f"    {quoted(domain)}: {share:.9f}\n" for domain, _, share in rows)
    return {
        "levanter.yaml": f"{comment(recipe, NOTE)}data:\n  tokenizer: gpt2\n  cache_dir: cache\n"
        f"  mixture_block_size: {BLOCK}\n  configs:\n{configs}"
        f"  train_weights:  # of tokens\n{weights}"
    }


def read(files: Files) -> dict[str, float]:
    data = yaml.safe_load(files["levanter.yaml"])["data"]
    if set(data["configs"]) != set(data["train_weights"]):
        raise ValueError("configs and weights differ")
    return {str(name): share for name, share in data["train_weights"].items()}


FORMAT = Format(
    "Levanter / Marin YAML",
    write,
    read,
    "sequences of one length, so tokens",
    checked="by Levanter's own mixture of data sets",
    remarks=(f"Levanter counts out blocks of {BLOCK:,} sequences: a share below 1/{BLOCK:,} gets none.",),
)
