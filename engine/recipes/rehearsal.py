"""A loader's rehearsal: what training would see of a mixture, by the rule of its format, before it begins. D domains.

A file holds what was asked. What is seen also hangs on how the loader draws and on the lengths of documents: samples of
one length that are cut from joined documents keep shares of tokens, whereas rows and examples are cut, or dropped,
where they are longer than the context, so sets of long documents shrink. Shares carry a 95% interval: of draws by
chance, and of lengths that are a sample of a set's.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from engine.core.checks import check, is_whole, or_null
from engine.core.errors import Problem
from engine.recipes import FORMATS
from engine.recipes.base import Recipe
from engine.recipes.rules import Rule

REPLICATES = 400  # of draws by chance and of lengths, for the interval
MOST_CONTEXT = 1 << 24


@dataclass(frozen=True)
class Rehearsal:
    """What a loader would do.

    rows: D of {"domain", "asked": share of tokens, "realised", "low", "high": its 95% interval, none where what is cut
    or dropped is by a mean length alone, "tokens", "drawn":
    samples or documents, "passes", "repeats_after": tokens of training after which it begins again, "lost": share of
    its tokens that are cut off or dropped, "split": share of its documents that stand in several samples}; what is not
    known is None. unit: what is drawn; tokens: that are seen, of `budget`; ends, notes: sentences; plan: a hash of all
    that decides it.
    """

    format: str
    context: int
    rows: tuple[dict, ...]
    unit: str
    tokens: float
    budget: float
    ends: str
    notes: tuple[str, ...]
    plan: str

    def to_dict(self) -> dict:
        return asdict(self)


def rehearse(
    recipe: Recipe, format: str, context: int, lengths: Mapping[str, np.ndarray] | None = None, seed: int = 0
) -> Rehearsal:
    """Rehearse a recipe by the rule of a format.

    context: tokens of a sample; lengths: domain -> tokens of its documents (M,), or of a sample of them; where none are
    known, all are as long as the recipe says. Raises Problem for a format that no loader reads, where there is no
    budget, and for lengths that are none.
    """
    rule = rule_of(recipe, format, context)
    known, notes = known_lengths(recipe, dict(lengths or {}), rule)
    units = per_document(known, context, rule) if rule.unit == "documents" else [None] * len(recipe.domains)
    weights, total = planned(recipe, rule, context)
    counts = weights * total if rule.drawn else counted_out(weights, total)
    means = np.array([context if seen is None else seen.mean() for seen in units])
    guessed = rule.long in ("cut", "dropped") and not set(recipe.domains) <= set(lengths or {})
    nothing: list[float | None] = [None] * len(recipe.domains)
    bounds = (
        (nothing, nothing)
        if guessed
        else interval(rule, weights, total, counts, units, means, np.random.default_rng(seed))
    )
    reads = [context if units[i] is None else known[name].mean() for i, name in enumerate(recipe.domains)]
    tokens = counts * means
    if not tokens.sum():
        raise Problem(f"It would see nothing: every document is longer than {context:,} tokens. Give a longer context.")
    rows = tuple(
        {
            "domain": name,
            "asked": recipe.shares[i],
            "realised": float(tokens[i] / tokens.sum()),
            "low": bounds[0][i],
            "high": bounds[1][i],
            "tokens": float(tokens[i]),
            "drawn": float(counts[i]),
            **passes(recipe, i, float(counts[i] * reads[i]), float(tokens.sum())),
            **lost(known[name], units[i], context),
        }
        for i, name in enumerate(recipe.domains)
    )
    plan = plan_of(recipe, format, context, seed, known)
    budget, ends = recipe.target_tokens, rule.ends
    return Rehearsal(format, context, rows, rule.unit, float(tokens.sum()), budget, ends, notes, plan)


def rule_of(recipe: Recipe, format: str, context: int) -> Rule:
    """The rule of a format. Raises Problem where nothing can be rehearsed by it."""
    check(is_whole(context, 1, MOST_CONTEXT), context, "the context", f"a whole number from 1 to {MOST_CONTEXT:,}")
    if format not in FORMATS:
        raise Problem(f"Cannot rehearse {format!r}: the formats are {', '.join(FORMATS)}.")
    one = FORMATS[format]
    if one.rule is None:
        raise Problem(f"Cannot rehearse {one.title}: no loader reads it as it is. Choose another format.")
    if not recipe.target_tokens:
        raise Problem("Cannot rehearse without a target budget. Give the tokens of the real run.")
    one.wanted(recipe)
    return one.rule


def known_lengths(recipe: Recipe, given: dict, rule: Rule) -> tuple[dict[str, np.ndarray | None], tuple[str, ...]]:
    """Each domain's lengths, and what to say of those that are not known. Raises Problem for lengths that are none."""
    if unknown := [name for name in given if name not in recipe.domains]:
        raise Problem(f"Cannot take lengths of {unknown[0]!r}: the domains are {', '.join(recipe.domains)}.")
    found: dict[str, np.ndarray | None] = {}
    for i, name in enumerate(recipe.domains):
        told = given.get(name)
        if told is not None:
            found[name] = np.asarray(told, float)
            if not found[name].size or not np.isfinite(found[name]).all() or found[name].min() < 1:
                raise Problem(f"Cannot take the lengths of {name!r}: they must be numbers of tokens of at least 1.")
        elif recipe.tokens_per_document is not None:
            found[name] = np.array([recipe.tokens_per_document[i]])
        else:
            found[name] = None
    mean_only = [name for name in recipe.domains if name not in given]
    if not mean_only:
        return found, ()
    unknown = "how many are longer than the context is not" if rule.unit == "documents" else "splits are by it"
    return found, (f"Of {', '.join(mean_only)} only the mean length is known: {unknown}.",)


def per_document(known: Mapping[str, np.ndarray | None], context: int, rule: Rule) -> list[np.ndarray]:
    """Of each domain, the tokens of its documents that are seen (M,)."""
    seen = []
    for name, lengths in known.items():
        if lengths is None:
            raise Problem(f"Cannot rehearse documents of {name!r}: their lengths are not known. Give them.")
        kept = {
            "cut": np.minimum(lengths, context),
            "dropped": np.where(lengths <= context, lengths, 0.0),
            "whole": lengths,
        }
        seen.append(kept[rule.long])
    return seen


def planned(recipe: Recipe, rule: Rule, context: int) -> tuple[np.ndarray, int]:
    """The share of each domain in what is drawn (D,), and how much is drawn in all."""
    if rule.unit == "samples":
        return np.array(recipe.shares), max(1, int(recipe.target_tokens // context))
    if not rule.drawn:
        examples = np.array(recipe.examples)
        return examples / examples.sum(), int(examples.sum())
    shares = np.array(recipe.document_shares)
    return shares, max(1, round(recipe.target_tokens / float(shares @ np.array(recipe.tokens_per_document))))


def counted_out(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers (D,) that sum to the total and lie within one of their weights, as greedy blending ends."""
    counts = np.floor(weights * total)
    left = np.argsort(counts - weights * total, kind="stable")[: round(total - counts.sum())]
    counts[left] += 1
    return counts


def interval(
    rule: Rule,
    weights: np.ndarray,
    total: int,
    counts: np.ndarray,
    units: list[np.ndarray | None],
    means: np.ndarray,
    rng: np.random.Generator,
) -> tuple[list[float], list[float]]:
    """The 95% interval of the realised shares, D of each end."""
    drawn = (
        rng.multinomial(total, weights / weights.sum(), REPLICATES) if rule.drawn else np.tile(counts, (REPLICATES, 1))
    )
    errors = np.array([0.0 if one is None or len(one) < 2 else one.std(ddof=1) / np.sqrt(len(one)) for one in units])
    spread = np.array([0.0 if one is None else one.std() for one in units]) * np.sqrt(drawn)
    noise = rng.standard_normal((2, REPLICATES, len(weights)))
    tokens = np.maximum(drawn * (means + errors * noise[0]) + spread * noise[1], 0.0)
    shares = tokens / np.maximum(tokens.sum(axis=1, keepdims=True), 1e-300)
    low, high = np.quantile(shares, [0.025, 0.975], axis=0).tolist()
    return low, high


def passes(recipe: Recipe, place: int, read: float, total: float) -> dict[str, float | None]:
    """How often a domain is passed when so many of its tokens are read, and when in the training it begins again."""
    there = None if recipe.available_tokens is None else recipe.available_tokens[place]
    if not there:
        return {"passes": None, "repeats_after": None}
    many = read / there
    return {"passes": many, "repeats_after": total / many if many > 1 else None}


def lost(lengths: np.ndarray | None, seen: np.ndarray | None, context: int) -> dict[str, float | None]:
    """What of documents of some lengths (M,) is lost, or stands in several samples where these begin anywhere; seen:
    the tokens of each (M,) that are seen, None where they are joined."""
    if lengths is None:
        return {"lost": None, "split": None}
    if seen is None:
        return {"lost": 0.0, "split": float(np.minimum(1.0, (lengths - 1) / context).mean())}
    return {"lost": float(1 - seen.mean() / lengths.mean()), "split": None}


def plan_of(recipe: Recipe, format: str, context: int, seed: int, known: Mapping[str, np.ndarray | None]) -> str:
    """A hash of all that decides what the loader does."""
    told = {
        "format": format,
        "places": recipe.places,
        "shares": or_null(recipe.shares),
        "budget": recipe.target_tokens,
        "context": context,
        "seed": seed,
        "lengths": {
            name: hashlib.sha256(np.asarray(one, float)).hexdigest() for name, one in known.items() if one is not None
        },
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
