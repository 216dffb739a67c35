"""What a merge file says of the result's tokenizer: whose tokens it has, and where rows that models lack come from."""

from dataclasses import dataclass, field

from engine.core.checks import check, is_whole
from engine.core.errors import Problem
from engine.merging.references import Reading, table

KEYS = ("source", "tokens", "pad_to_multiple_of")
RULE = ("source", "force")
SOURCE = ("kind", "model", "token", "token_id")
KINDS = ("model_token", "zero", "mean")


@dataclass(frozen=True)
class Rule:
    """Where a token's row comes from in models that lack it. kind: "model" (that model's row of the token),
    "model_token" (its row of another token, by text or number), "zero", "mean" (of all that know it), or None: as for
    tokens without a rule; force: in all other models, too."""

    kind: str | None = None
    model: str | None = None
    token: str | None = None
    number: int | None = None
    force: bool = False


@dataclass(frozen=True)
class TokenRules:
    """source: "union", "base", or the model whose tokens the result has; tokens: rules by token; multiple: the number
    of rows is a multiple of it."""

    source: str
    tokens: dict[str, Rule] = field(default_factory=dict)
    multiple: int | None = None


def token_rules(values: dict, reading: Reading) -> TokenRules | None:
    """The rules of `tokenizer_source` or `tokenizer`; None if the file has neither. Raises Problem for a bad one."""
    short, long = values.get("tokenizer_source"), values.get("tokenizer")
    if short is not None and long is not None:
        raise Problem("Cannot read the merge: give `tokenizer` or `tokenizer_source`, and not both.")
    if short is not None:
        return TokenRules(whose(short, reading))
    if long is None:
        return None
    reading.unused("`tokenizer`", table("`tokenizer`", long), KEYS, "a tokenizer has no such setting")
    multiple = long.get("pad_to_multiple_of")
    check(multiple is None or is_whole(multiple, 1), multiple, "pad_to_multiple_of", "a whole number of at least 1")
    listed = table("`tokens`", long.get("tokens") or {})
    rules = {str(token): rule_of(str(token), value, reading) for token, value in listed.items()}
    return TokenRules(whose(long.get("source", "union"), reading), rules, multiple)


def whose(value: object, reading: Reading) -> str:
    """ "union", "base" or a model."""
    return value if value in ("union", "base") else str(reading.model(value))


def rule_of(token: str, value: object, reading: Reading) -> Rule:
    """The rule of one token. Raises Problem for a source that cannot be one."""
    where = f"the rule of {token!r}"
    reading.unused(where, table(where, value), RULE, "a token has no such setting")
    source, force = value.get("source"), value.get("force", False)
    check(isinstance(force, bool), force, f"force of {token!r}", "true or false")
    if source is None:
        if force:
            raise Problem(f"Cannot read {where}: force needs a source. Name a model, or a kind of source.")
        return Rule()
    if not isinstance(source, dict) or "kind" not in source:
        return Rule("model", reading.model(source), force=force)
    reading.unused(where, source, SOURCE, "a source has no such setting")
    if source["kind"] not in KINDS:
        raise Problem(f"Cannot use {source['kind']!r:.80} as a kind in {where}: it is one of {', '.join(KINDS)}.")
    if source["kind"] != "model_token":
        return Rule(source["kind"], force=force)
    named, number = source.get("token"), source.get("token_id")
    model = reading.model(source.get("model"))
    if model is None or (named is None) == (number is None):
        raise Problem(f"Cannot read {where}: model_token needs a model, and either token or token_id.")
    check(number is None or is_whole(number, 0), number, f"token_id of {token!r}", "a whole number of at least 0")
    return Rule("model_token", model, None if named is None else str(named), number, force)
