"""Olmix: the mix block of a launch file, and its pair of CSVs with the mixture and what is predicted of it."""

import csv
import io

import yaml

from engine.core.sheets import as_text, as_typed
from engine.recipes.base import Files, Format, Recipe, comment, quoted
from engine.recipes.rules import UNREPEATED


def write(recipe: Recipe) -> Files:
    mix = "".join(
        f"  {quoted(domain)}:\n    weight: {share:.9f}  # of tokens\n    repetition_factor: {repeated}\n"
        for domain, share, repeated in zip(recipe.domains, recipe.shares, recipe.repetitions, strict=True)
    )
    metrics = [row["metric"] for row in recipe.predictions]
    means = [f"{row['mean']:.9g}" for row in recipe.predictions]
    return {
        "mix.yaml": f"{comment(recipe)}mix:\n{mix}",
        "ratios.csv": table(recipe, recipe.domains, [f"{share:.9f}" for share in recipe.shares]),
        "predicted_metrics.csv": table(recipe, metrics, means),
    }


def table(recipe: Recipe, names, values) -> str:
    """One of the pair: run, name, index and a column per domain or metric."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["run", "name", "index", *map(as_text, names)])
    rows.writerow(["mixdesk", as_text(f"{recipe.name} ({recipe.state})"), 0, *values])
    return text.getvalue()


def read(files: Files) -> dict[str, float]:
    mix = {str(name): one["weight"] for name, one in yaml.safe_load(files["mix.yaml"])["mix"].items()}
    header, row = csv.reader(io.StringIO(files["ratios.csv"], newline=""))
    if any(abs(mix[as_typed(name)] - float(share)) > 1e-9 for name, share in zip(header[3:], row[3:], strict=True)):
        raise ValueError("the files differ")
    return mix


FORMAT = Format(
    "Olmix YAML and CSV",
    write,
    read,
    checked="by OLMo-core's own data sets, which Olmix hands its mix to; Olmix itself by rule, not by the loader",
    rule=UNREPEATED,
)
