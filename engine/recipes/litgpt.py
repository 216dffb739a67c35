"""litgpt's loader as Python: one StreamingDataset per domain, drawn by share from chunks of one length."""

import ast

from engine.recipes.base import Files, Format, Recipe, comment, quoted
from engine.recipes.rules import FIRST_OUT

CODE = """

def train_dataset(root: Path, block_size: int) -> CombinedStreamingDataset:
    used = {place: share for place, share in SHARES.items() if share > 0}
    datasets = [  # a loader each: it remembers open files by the number of a chunk, whichever dataset's that is
        StreamingDataset(
            input_dir=str(root / place), item_loader=TokensLoader(block_size=block_size), shuffle=True, drop_last=True
        )
        for place in used
    ]
    return CombinedStreamingDataset(datasets=datasets, seed=42, weights=tuple(used.values()), iterate_over_all=False)
"""


def write(recipe: Recipe) -> Files:
    rows = zip(recipe.places, recipe.shares, strict=True)
    shares = "".join(f"    {quoted(place)}: {share:.9f},\n" for place, share in rows)
    return {
        "litgpt_mixture.py": f"{comment(recipe)}from pathlib import Path\n\n"
        "from litdata import CombinedStreamingDataset, StreamingDataset, TokensLoader\n\n"
        f"SHARES = {{  # of tokens: items must have one length, as TokensLoader gives them\n{shares}}}\n{CODE}"
    }


def read(files: Files) -> dict[str, float]:
    return assigned(files["litgpt_mixture.py"], "SHARES")


def assigned(text: str, name: str):
    """The value of a constant in a Python file, without running it. Raises ValueError where there is none."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise ValueError(f"no {name} in the file")


FORMAT = Format(
    "litgpt (Python)",
    write,
    read,
    "chunks of one length, so tokens",
    "places",
    checked="by litdata's own loader",
    remarks=("A pass ends with the first domain that runs out; litgpt's trainer then starts the next.",),
    rule=FIRST_OUT,
)
