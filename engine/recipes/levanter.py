"""Levanter and Marin: data with configs and train_weights by name, or a list of [step, weights] for phases."""

import yaml

from engine.core.errors import Problem
from engine.recipes.base import STEP_TOKENS, Files, Format, Recipe, comment, quoted
from engine.recipes.rules import BLENDED

BLOCK = (
    32768  # sequences: each domain gets a whole number of every block; 2048, Levanter's own, would drop small shares
)
PHASED_BLOCK = 2048  # with phases, which begin with a whole block: every EVERY steps
EVERY = 8  # steps of 256 sequences
STEPS = (
    f"Phases begin at steps of {STEP_TOKENS:,} tokens (256 sequences), every {EVERY} of which are a block: where yours "
    "have others, change the steps of train_weights."
)
NOTE = "Newer Marin says components for configs. Set tokenizer and cache_dir to yours."


def write(recipe: Recipe) -> Files:
    rows = list(zip(recipe.domains, recipe.places, recipe.shares, strict=True))
    configs = "".join(
        f"    {quoted(domain)}:\n      train_urls:\n      - {quoted(place)}\n" for domain, place, _ in rows
    )
    weights = "".join(f"    {quoted(domain)}: {share:.9f}\n" for domain, _, share in rows)
    if recipe.phases:
        weights = "".join(map(stage_of, recipe.stages, steps_of(recipe)))
    more = (NOTE, STEPS) if recipe.phases else (NOTE,)
    return {
        "levanter.yaml": f"{comment(recipe, *more)}data:\n  tokenizer: gpt2\n  cache_dir: cache\n"
        f"  mixture_block_size: {PHASED_BLOCK if recipe.phases else BLOCK}\n  configs:\n{configs}"
        f"  train_weights:  # of tokens\n{weights}"
    }


def stage_of(recipe: Recipe, step: int) -> str:
    pairs = zip(recipe.domains, recipe.shares, strict=True)
    return f"  - - {step}\n    - {{{', '.join(f'{quoted(domain)}: {share:.9f}' for domain, share in pairs)}}}\n"


def steps_of(recipe: Recipe) -> list[int]:
    """The steps at which phases begin, each with a whole block. Raises Problem for a phase without one."""
    found = [EVERY * round(step / EVERY) for step in recipe.starts()]
    if len(set(found)) < len(found):
        raise Problem(f"Its phases begin every {EVERY} steps of {STEP_TOKENS:,} tokens: the budget is too small.")
    return found


def read_stages(files: Files) -> list[dict[str, float]]:
    data = yaml.safe_load(files["levanter.yaml"])["data"]
    stages = [stage for _, stage in data["train_weights"]]
    if any(set(stage) != set(data["configs"]) for stage in stages):
        raise ValueError("configs and weights differ")
    return [{str(name): share for name, share in stage.items()} for stage in stages]


def read(files: Files) -> dict[str, float]:
    data = yaml.safe_load(files["levanter.yaml"])["data"]
    if set(data["configs"]) != set(data["train_weights"]):
        raise ValueError("configs and weights differ")
    return {str(name): share for name, share in data["train_weights"].items()}


def check(recipe: Recipe) -> None:
    steps_of(recipe)


FORMAT = Format(
    "Levanter / Marin YAML",
    write,
    read,
    "sequences of one length, so tokens",
    check=check,
    checked="by Levanter's own mixture of data sets",
    stages=read_stages,
    phases=f"train_weights is a list of [step, weights]. {STEPS}",
    remarks=(f"Levanter counts out blocks of {BLOCK:,} sequences: a share below 1/{BLOCK:,} gets none.",),
    rule=BLENDED,
)
