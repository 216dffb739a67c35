"""Hugging Face datasets as Python: interleave_datasets with probabilities of rows, converted from shares of tokens.

Its default stops with the first data set that runs out, which would cut the mixture short: the file says all_exhausted.
"""

from engine.recipes.base import Files, Format, Recipe, comment, quoted
from engine.recipes.litgpt import assigned
from engine.recipes.rules import ROWS

NOTES = (
    "all_exhausted repeats sets until every one has been read to its end, which has nothing to do with the budget.",
    "Epochs hold where training stops at the budget: give the trainer its steps (max_steps), or take so many rows.",
)

CODE = """

def train_dataset(datasets: dict, seed: int = 42):
    used = {place: share for place, share in PROBABILITIES.items() if share > 0}
    total = sum(used.values())
    return interleave_datasets(
        [datasets[place] for place in used],
        probabilities=[share / total for share in used.values()],
        seed=seed,
        stopping_strategy="all_exhausted",
    )
"""


def write(recipe: Recipe) -> Files:
    rows = zip(recipe.places, recipe.document_shares, recipe.shares, recipe.tokens_per_document, strict=True)
    shares = "".join(
        f"    {quoted(place)}: {rows_share:.9f},  # {share:.6f} of the tokens, at {length:,.1f} tokens per row\n"
        for place, rows_share, share, length in rows
    )
    return {
        "hf_mixture.py": f"{comment(recipe, *NOTES)}from datasets import interleave_datasets\n\n"
        f"PROBABILITIES = {{  # of rows, not of tokens\n{shares}}}\n{CODE}"
    }


def read(files: Files) -> dict[str, float]:
    return assigned(files["hf_mixture.py"], "PROBABILITIES")


FORMAT = Format(
    "Hugging Face datasets (Python)",
    write,
    read,
    "rows",
    "places",
    weights="document_shares",
    checked="by the loader of datasets itself",
    remarks=NOTES,
    rule=ROWS,
)
