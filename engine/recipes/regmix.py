"""RegMix's and TinyLlama's configuration: train: {domain: share}, valid: {domain: 1.0}."""

import yaml

from engine.core.errors import Problem
from engine.recipes.base import Files, Format, Recipe, comment, quoted
from engine.recipes.rules import DRAWN


def write(recipe: Recipe) -> Files:
    rows = zip(recipe.domains, recipe.shares, strict=True)
    train = "".join(f"  {quoted(domain)}: {share:.9f}\n" for domain, share in rows)
    valid = "".join(f"  {quoted(domain)}: 1.0\n" for domain in recipe.domains)
    return {"mixture.yaml": f"{comment(recipe)}train:\n{train}valid:\n{valid}"}


def read(files: Files) -> dict[str, float]:
    return {str(name): float(share) for name, share in yaml.safe_load(files["mixture.yaml"])["train"].items()}


def check(recipe: Recipe) -> None:
    """The script finds a domain's files by the pattern `<name>-*`."""
    patterns = [name for name in recipe.domains if any(letter in name for letter in "*?[")]
    shared = [(a, b) for a in recipe.domains for b in recipe.domains if b.startswith(f"{a}-")]
    if patterns:
        raise Problem(f"RegMix looks for files by name, where {patterns[0]!r} is a pattern. Rename it.")
    if shared:
        one, other = shared[0]
        raise Problem(
            f"RegMix takes all files that begin with '{one}-' for {one!r}, also those of {other!r}. Rename one."
        )


FORMAT = Format(
    "RegMix YAML",
    write,
    read,
    "blocks of one length, so tokens",
    check=check,
    remarks=(
        "RegMix's script leaves out, with a line in its log, a domain that has fewer files than there are devices.",
    ),
    rule=DRAWN,
)
