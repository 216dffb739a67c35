"""Instruction sets: a mixture as so many examples of each set, and a script that writes them into one file.

Trainers of instructions count examples. Sets differ in the length of theirs, so shares of tokens become numbers of
examples at the budget, by each set's mean length. Where a trainer can say no such number, or only whole passes, the
script draws: every whole pass, the rest at random without repeats, all shuffled. It needs the standard library only.
"""

from collections.abc import Callable

from engine.recipes.base import Files, Format, Recipe, comment, quoted
from engine.recipes.litgpt import assigned
from engine.recipes.rules import Rule

SCRIPT = "mix_examples.py"
MIXED = "mixture.jsonl"
REMARKS = (
    "Examples differ in length: shares of tokens hold on average, by each set's mean length, and for sets of examples "
    "that are not cut short.",
    "What counts for the loss may be the answers only: give lengths of these, if your shares are of such tokens.",
)

CODE = """

def drawn(lines: list, count: int, rng: random.Random) -> list:
    return lines * (count // len(lines)) + rng.sample(lines, count % len(lines))


def main(root: Path = Path("."), out: Path = Path("mixture.jsonl"), seed: int = 42) -> None:
    rng, mixture = random.Random(seed), []
    for place, count in EXAMPLES.items():
        lines = [line for line in (root / place).read_text(encoding="utf-8").split("\\n") if line.strip()]
        if not lines:
            sys.exit(f"{place} holds no examples")
        print(f"{place}: {count:,} examples, {count / len(lines):.3g} passes over its {len(lines):,}", file=sys.stderr)
        mixture += drawn(lines, count, rng)
    rng.shuffle(mixture)
    out.write_text("".join(f"{line}\\n" for line in mixture), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
"""


def counting(title: str, write: Callable, read: Callable, rule: Rule, *remarks: str) -> Format:
    """A format whose files hold numbers of examples; remarks: besides those of all such formats."""
    told = {"unit": "examples", "keys": "places", "weights": "examples", "positive": True, "rule": rule}
    return Format(f"{title} (instructions)", write, read, remarks=(*REMARKS, *remarks), **told)


def script(recipe: Recipe) -> str:
    """The script that draws a recipe's examples from files of JSON lines, one of each domain."""
    rows = zip(recipe.places, recipe.examples, recipe.shares, strict=True)
    counts = "".join(
        f"    {quoted(place)}: {count},  # {share:.6f} of the tokens\n" for place, count, share in rows if count
    )
    return (
        f"{comment(recipe, f'`python {SCRIPT} FOLDER {MIXED}` draws the examples of its files of JSON lines.')}"
        f"import random\nimport sys\nfrom pathlib import Path\n\nEXAMPLES = {{  # of each file\n{counts}}}\n{CODE}"
    )


def counts_in(files: Files) -> dict[str, float]:
    """What the script of some files draws: path -> examples."""
    found: dict[str, float] = assigned(str(files[SCRIPT]), "EXAMPLES")
    return found
