"""Items that need no download: arithmetic and brackets by rule, and what `reasoning-gym` generates where it is there.

Generators are functions rng -> item; GENERATORS lists them, and a new one is a function and a line there.
"""

from collections.abc import Callable

import numpy as np

from engine.core.checks import is_whole
from engine.core.errors import Problem
from engine.tasks.task import MOST_ITEMS, EvalTask, Item, Sampling

PAIRS = ("()", "[]", "{}")
NEAR = (-20, -11, -10, -3, -2, -1, 1, 2, 3, 10, 11, 20)  # wrong answers of a sum, from the right one
TRIES = 20  # draws for each item that is wanted, before items repeat others
GYM = "gym:"  # before the name of a generator of reasoning-gym


def arithmetic(rng: np.random.Generator) -> Item:
    """A sum or difference of two numbers below 100: four choices of as many digits, near each other."""
    a, b = (int(one) for one in rng.integers(1, 100, 2))
    sign = "+" if rng.random() < 0.5 else "-"
    a, b = (a, b) if sign == "+" else (max(a, b), min(a, b))
    right = a + b if sign == "+" else a - b
    near = [right + step for step in NEAR if right + step >= 0 and len(str(right + step)) == len(str(right))]
    choices = [f" {one}" for one in (right, *rng.choice(near, 3, replace=False).tolist())]
    return shuffled(rng, f"{a} {sign} {b} =", choices)


def brackets(rng: np.random.Generator) -> Item:
    """A text with open brackets: which one closes it."""
    opened: list[str] = []
    text = ""
    for _ in range(int(rng.integers(3, 12))):
        if opened and rng.random() < 0.4:
            text += opened.pop()[1]
        else:
            pair = PAIRS[rng.integers(len(PAIRS))]
            opened, text = [*opened, pair], text + pair[0]
    if not opened:
        opened, text = ["()"], text + "("
    right = opened[-1][1]
    return shuffled(rng, text, [right, *(pair[1] for pair in PAIRS if pair[1] != right)])


def different(draw: Callable[[np.random.Generator], Item], rng: np.random.Generator, count: int) -> list[Item]:
    """Items that ask other things each, as far as a rule has so many: after TRIES draws for each some repeat others."""
    found: dict[str, Item] = {}
    others: list[Item] = []
    for _ in range(TRIES * count):
        item = draw(rng)
        if found.setdefault(item.prompt, item) is not item:
            others.append(item)
        if len(found) == count:
            break
    return [*found.values(), *others][:count]


GENERATORS: dict[str, Callable[[np.random.Generator], Item]] = {
    "arithmetic": arithmetic,
    "brackets": brackets,
}


def generate(kind: str, name: str, count: int, seed: int) -> EvalTask:
    """A task of a generator. Raises Problem for one that is unknown, or an invalid count or seed."""
    if not is_whole(count, 2, MOST_ITEMS) or not is_whole(seed, 0, 2**32):
        raise Problem(
            f"Cannot generate {count!r} items from the seed {seed!r}: give 2 to {MOST_ITEMS:,} items, and a whole "
            "number of at least 0."
        )
    if kind.startswith(GYM):
        return from_gym(kind.removeprefix(GYM), name, count, seed)
    if kind not in GENERATORS:
        raise Problem(
            f"Cannot generate items of {kind!r}: the generators are {', '.join(GENERATORS)}, and {GYM}NAME for those "
            "of reasoning-gym."
        )
    items = different(GENERATORS[kind], np.random.default_rng(seed), count)
    return EvalTask(name, ["accuracy", "answer_bits"], items, f"generated: {kind}, {count} items, seed {seed}")


def from_gym(kind: str, name: str, count: int, seed: int) -> EvalTask:
    """A task of reasoning-gym (PyPI): questions with one right answer. Raises Problem where it is not installed."""
    try:
        import reasoning_gym
    except ImportError:
        raise Problem(
            "Cannot generate items of reasoning-gym: the package is missing. Install it: "
            "python -m pip install -r requirements-tasks.txt"
        ) from None
    try:
        drawn = reasoning_gym.create_dataset(kind, size=count, seed=seed)
        rows = [drawn[place] for place in range(count)]
    except Exception as error:  # its generators raise what they like
        raise Problem(
            f"Cannot generate items of reasoning-gym's {kind!r}: {error}. Choose another generator."
        ) from error
    items = [Item(f"{row['question'].strip()}\nAnswer:", answers=[f" {row['answer']}"]) for row in rows]
    longest = max(len(item.gold) for item in items)
    return EvalTask(
        name,
        ["answer_bits", "exact_match"],
        items,
        f"reasoning-gym {kind}, {count} items, seed {seed}",
        sampling=Sampling(most_tokens=min(1000, longest + 8)),
    )


def shuffled(rng: np.random.Generator, prompt: str, choices: list[str]) -> Item:
    """An item whose first choice is right, in a random order."""
    order = rng.permutation(len(choices))
    return Item(prompt, choices=[choices[k] for k in order], scores=[float(k == 0) for k in order])
