"""Megatron-LM's arguments: pairs of weight and path, in a file for --data-args-path and as JSON by split.

Neither file can hold a comment, so a note goes beside them.
"""

import json

from engine.core.errors import Problem
from engine.recipes.base import Files, Format, Recipe
from engine.recipes.rules import BLENDED

NOTE = """
Pass data_args.txt with --data-args-path, or per_split.json with --per-split-data-args-path. A path is the prefix of
the .bin and .idx files: put your folder before each, and for validation and test the prefixes of those splits.
"""


def check(recipe: Recipe) -> None:
    if spaced := [place for place in recipe.places if any(letter.isspace() for letter in place)]:
        raise Problem(
            f"Megatron-LM splits its arguments on white space, and {', '.join(map(repr, spaced))} holds some. Give "
            "data paths without any, or choose another format."
        )


def write(recipe: Recipe) -> Files:
    pairs = [(f"{recipe.shares[i]:.9f}", recipe.places[i]) for i in recipe.used]
    flat = [word for pair in pairs for word in pair]
    splits = json.dumps({"train": flat, "valid": flat, "test": flat}, indent=1, ensure_ascii=False)
    return {
        "data_args.txt": "".join(f"{weight} {place}\n" for weight, place in pairs),
        "per_split.json": splits + "\n",
        "README.txt": "\n".join(recipe.header) + "\n" + NOTE,
    }


def read(files: Files) -> dict[str, float]:
    words, splits = files["data_args.txt"].split(), json.loads(files["per_split.json"])
    if any(splits[split] != words for split in ("train", "valid", "test")):
        raise ValueError("the two files differ")
    shares = dict(zip(words[1::2], map(float, words[0::2]), strict=True))
    if min(shares.values()) <= 0:
        raise ValueError("a weight is 0")
    return shares


FORMAT = Format(
    "Megatron-LM arguments",
    write,
    read,
    "samples of one length, so tokens",
    "places",
    positive=True,
    check=check,
    phases="Megatron-LM knows no phases: its files hold one mixture with the same totals, and the order is lost. "
    "Restarted with another blend it counts samples from the blend's beginning, and repeats or skips some.",
    checked="by megatron-core's own data sets",
    rule=BLENDED,
)
