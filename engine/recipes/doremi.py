"""DoReMi's JSON of train_domain_weights and eval_domain_weights. It can hold no comment: a note goes beside it."""

import json

from engine.recipes.base import Files, Format, Recipe


def write(recipe: Recipe) -> Files:
    weights = {name: round(share, 9) for name, share in zip(recipe.domains, recipe.shares, strict=True)}
    fields = {"train_domain_weights": weights, "eval_domain_weights": weights}
    note = "Weights are shares of examples, so of tokens where all are packed to one length.\n"
    return {
        "doremi.json": json.dumps(fields, indent=1, ensure_ascii=False) + "\n",
        "README.txt": "\n".join(recipe.header) + "\n" + note,
    }


def read(files: Files) -> dict[str, float]:
    return json.loads(files["doremi.json"])["train_domain_weights"]


FORMAT = Format("DoReMi JSON", write, read, "examples packed to one length, so tokens")
