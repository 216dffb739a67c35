"""RegMix's and TinyLlama's configuration: train: {domain: share}, valid: {domain: 1.0}."""

import yaml

from engine.recipes.base import Files, Format, Recipe, comment, quoted


def write(recipe: Recipe) -> Files:
    rows = zip(recipe.domains, recipe.shares, strict=True)
    train = "".join(f"  {quoted(domain)}: {share:.9f}\n" for domain, share in rows)
    valid = "".join(f"  {quoted(domain)}: 1.0\n" for domain in recipe.domains)
    return {"mixture.yaml": f"{comment(recipe)}train:\n{train}valid:\n{valid}"}


def read(files: Files) -> dict[str, float]:
    return {str(name): float(share) for name, share in yaml.safe_load(files["mixture.yaml"])["train"].items()}


FORMAT = Format("RegMix YAML", write, read)
