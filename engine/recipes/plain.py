"""The mixture for programs of one's own: CSV, JSON and Parquet, with predictions, intervals and provenance."""

import csv
import io
import json
from dataclasses import asdict

from engine.core.errors import Problem
from engine.core.sheets import as_text, as_typed
from engine.recipes.base import Files, Format, Recipe
from engine.spec.statistics import ci_half_width


def rows_of(recipe: Recipe) -> list[dict]:
    """One row per domain; what is not known is None."""
    empty = [None] * len(recipe.domains)
    counts = (recipe.epochs or empty, recipe.available_tokens or empty, recipe.sources or empty)
    columns = zip(recipe.domains, recipe.shares, *counts, strict=True)
    return [
        {
            "domain": domain,
            "share_of_tokens": share,
            "epochs": passes,
            "available_tokens": tokens,
            "counted": source,
            "state": recipe.state,
        }
        for domain, share, passes, tokens, source in columns
    ]


def predictions_of(recipe: Recipe) -> list[dict]:
    """One row per metric, with the ends of its 95% interval."""
    return [
        {**row, "low_95": row["mean"] - ci_half_width(row["std"]), "high_95": row["mean"] + ci_half_width(row["std"])}
        for row in recipe.predictions
        if "mean" in row and "std" in row
    ]


def table(rows: list[dict]) -> str:
    """Rows as CSV; what is not known stays empty."""
    text = io.StringIO()
    lines = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    lines.writeheader()
    for row in rows:
        lines.writerow({key: cell(value) for key, value in row.items()})
    return text.getvalue()


def cell(value):
    """A value as CSV holds it; no text of it is a formula."""
    return f"{value:.9g}" if isinstance(value, float) else as_text(value) if isinstance(value, str) else value


def write_csv(recipe: Recipe) -> Files:
    files = {"mixture.csv": table(rows_of(recipe))}
    return files | ({"predictions.csv": table(predictions_of(recipe))} if recipe.predictions else {})


def read_csv(files: Files) -> dict[str, float]:
    lines = csv.DictReader(io.StringIO(files["mixture.csv"], newline=""))
    return {as_typed(line["domain"]): float(line["share_of_tokens"]) for line in lines}


def write_json(recipe: Recipe) -> Files:
    keep = ("study", "name", "target_tokens", "predictions", "provenance")
    domains = [{"name": row["domain"], "share": row["share_of_tokens"], **row} for row in rows_of(recipe)]
    for row in domains:
        del row["domain"], row["share_of_tokens"], row["state"]
    whole = {key: value for key, value in asdict(recipe).items() if key in keep}
    whole |= {"approved": recipe.approved, "state": recipe.state, "unit": "tokens", "domains": domains}
    if recipe.phases:
        stages = zip(recipe.fractions, recipe.phases, strict=True)
        whole["phases"] = [
            {"fraction": part, "shares": dict(zip(recipe.domains, shares, strict=True))} for part, shares in stages
        ]
    try:
        return {"mixture.json": json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"}
    except (TypeError, ValueError) as error:
        raise Problem(
            f"Cannot export as JSON: the predictions or provenance hold {error}. Remove that value."
        ) from error


def read_json(files: Files) -> dict[str, float]:
    return {domain["name"]: domain["share"] for domain in json.loads(files["mixture.json"])["domains"]}


def read_phases(files: Files) -> list[dict[str, float]]:
    return [phase["shares"] for phase in json.loads(files["mixture.json"])["phases"]]


def write_parquet(recipe: Recipe) -> Files:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {"recipe": write_json(recipe)["mixture.json"], "unit": "tokens", "state": recipe.state}
    files = {}
    for name, rows in (("mixture", rows_of(recipe)), ("predictions", predictions_of(recipe))):
        if rows:
            sink = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(metadata), sink)
            files[f"{name}.parquet"] = sink.getvalue()
    return files


def read_parquet(files: Files) -> dict[str, float]:
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(files["mixture.parquet"])).to_pydict()
    return dict(zip(table["domain"], table["share_of_tokens"], strict=True))


CSV = Format("CSV", write_csv, read_csv)
JSON = Format("JSON", write_json, read_json, stages=read_phases, phases="Its phases stand under phases.")
PARQUET = Format("Parquet", write_parquet, read_parquet)
