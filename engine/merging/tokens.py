"""The tokens of a merge whose file asks for a tokenizer: the plan of its rows, and a table that tells it in words."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tokenizers import AddedToken

from engine.core.errors import Problem
from engine.merging.checkpoints.adapters import Adapted
from engine.merging.checkpoints.aligned import Aligned
from engine.merging.checkpoints.output_tokens import Known, OutputTokens, extended, known_tokens, united
from engine.merging.checkpoints.reader import Checkpoint
from engine.merging.checkpoints.retokenized import Filling, Retokenized, Vocabulary, height_of
from engine.merging.config import MergeConfig
from engine.merging.token_rules import Rule, TokenRules


def retokenized(
    config: MergeConfig,
    models: dict[str, Checkpoint | Adapted | Aligned],
    lead: str,
    is_first: Callable[[str], bool],
) -> dict[str, Retokenized]:
    """Every model with the rows of the merge's tokens. is_first: whether a tensor belongs to the first slice, by its
    name, not to the last. Raises Problem for tokens that cannot be merged as the file says."""
    rules = config.tokens
    assert rules is not None
    heights = {name: height_of(model) for name, model in models.items()}
    told = {name: known_tokens(model.home) for name, model in models.items()}
    lead_known = told[lead]
    if lead_known is None:
        raise Problem(
            f"Cannot merge the tokens of {lead}: it has no tokenizer that can be read (tokenizer.json, vocab.json or "
            "vocab.txt). Save it with transformers, which writes tokenizer.json."
        )
    known = {name: one or lead_known for name, one in told.items()}
    output = output_of(rules, told, heights, lead)
    multiple = rules.multiple or 1
    rows = -(-output.rows // multiple) * multiple
    vocabulary = Vocabulary(output, rows, known, {}, rules.tokens, config.slices[0].base)
    vocabulary.own = {name: own_rows(known[name], heights[name], vocabulary) for name in models}
    groups = [tuple(one.model for one in config.slices[place].sources) for place in (0, -1)]
    fillings: dict[tuple[str, ...], Filling] = {}

    def filling(name: str) -> Filling:
        group = groups[0 if is_first(name) else 1]
        if group not in fillings:
            fillings[group] = vocabulary.filling(group)
        return fillings[group]

    vocabulary.models = {name: Retokenized(model, name, vocabulary, filling) for name, model in models.items()}
    for name, model in vocabulary.models.items():
        model.notes += known[name].notes if told[name] else [unread(name, lead)]
    for group in groups:  # rules that cannot be kept are refused now
        fillings[group] = fillings.get(group) or vocabulary.filling(group)
    return vocabulary.models


def unread(name: str, lead: str) -> str:
    """The warning about a model whose tokens are taken for the lead's."""
    return f"{name} has no tokenizer that can be read: its tokens are taken to be numbered as those of {lead}."


def output_of(rules: TokenRules, known: dict[str, Known | None], heights: dict[str, int], lead: str) -> OutputTokens:
    """The tokens that the rules ask for. known: by model, None where its tokens cannot be read; the lead's can."""
    own = known[lead]
    assert own is not None
    if rules.source == "union":
        others = [(one, heights[name]) for name, one in known.items() if one is not None and name != lead]
        return united(own, heights[lead], others, rules.tokens)
    if rules.source == "base":
        return extended(own, heights[lead], [AddedToken(token) for token in rules.tokens])
    found = known.get(rules.source) or known_tokens(Path(rules.source))
    if found is None:
        raise Problem(
            f"Cannot take the tokenizer of {rules.source}: no tokenizer.json, vocab.json or vocab.txt is there. Name a "
            "model's folder that has one."
        )
    return extended(found, None, [AddedToken(token) for token in rules.tokens])


def own_rows(known: Known, height: int, vocabulary: Vocabulary) -> np.ndarray:
    """(rows,) a model's own row for each of the merge's rows; -1 for none."""
    found = np.full(vocabulary.rows, -1)
    for token, number in vocabulary.output.numbers.items():
        own = known.numbers.get(token, -1)
        found[number] = own if own < height else -1
    return found


def told(config: MergeConfig, models: dict[str, Retokenized], lead: str) -> tuple[list[str], list[dict]]:
    """What becomes of the tokens that differ between models: sentences, and a row for each token.

    A row is {"token", "number": its row, None if it is left out, "models": {model: its row there, or None}, "row": what
    the models without it get}.
    """
    vocabulary = models[lead].vocabulary
    group = tuple(one.model for one in config.slices[0].sources)
    filling, rows = vocabulary.filling(group), []
    for token, number in sorted(vocabulary.output.numbers.items(), key=lambda one: one[1]):
        own = {name: None if at < 0 else int(at) for name in group for at in [vocabulary.own[name][number]]}
        if number in filling.rows or set(own.values()) != {number}:
            rule = vocabulary.rules.get(token, Rule())
            source = sourced(filling.rows.get(number), rule, vocabulary, group)
            rows.append({"token": token, "number": number, "models": own, "row": source})
    left = {
        token: None
        for name in group
        for token, number in vocabulary.known[name].numbers.items()
        if token not in vocabulary.output.numbers and number < vocabulary.models[name].height
    }
    for token in left:
        own = {name: vocabulary.known[name].numbers.get(token) for name in group}
        rows.append({"token": token, "number": None, "models": own, "row": "left out"})
    return sentences(vocabulary, rows), rows


def sourced(sources: list[tuple[str, int]] | None, rule: Rule, vocabulary: Vocabulary, group: tuple[str, ...]) -> str:
    """Where a row comes from, in words."""
    if sources is None:
        return "each model's own"
    forced = ", in all models" if rule.force else ""
    if not sources:
        return f"zeros{forced}"
    names = [name for name, _ in sources]
    if rule.kind == "model_token":
        return f"row {sources[0][1]} of {names[0]}{forced}"
    return f"{'the mean of ' if len(names) > 1 else 'that of '}{', '.join(names)}{forced}"


def sentences(vocabulary: Vocabulary, rows: list[dict]) -> list[str]:
    """What a reader of warnings must know of the table."""
    count = len(vocabulary.output.numbers)
    joined, moved = len(vocabulary.output.joined), sum(one["row"] == "each model's own" for one in rows)
    said = [
        f"The merge has {count:,} tokens in {vocabulary.rows:,} rows, with the tokenizer of "
        f"{vocabulary.output.folder}" + (f" and {joined:,} tokens that joined." if joined else ".")
    ]
    for ending, why in (
        ("left out", "are left out, since the tokenizer that was asked for lacks them"),
        ("zeros", "get rows of zeros: no model of the slice knows them, or a rule says so"),
    ):
        named = [one["token"] for one in rows if one["row"].startswith(ending)]
        if named:
            said.append(f"{len(named):,} tokens ({', '.join(map(repr, named[:5]))}) {why}.")
    if moved:
        said.append(f"{moved:,} tokens have other numbers in some model: their rows are put in the merge's order.")
    return said
