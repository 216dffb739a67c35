"""Tokens by the custom of a field: a rule says what one token is, and the most frequent ones become the vocabulary.

What a rule does not match is read by characters, and what is in no vocabulary by bytes, so nothing of a text is lost.
Every rule becomes a tokenizer.json like any other: a split by the rule, and a vocabulary without merges.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from engine.core.checks import is_whole
from engine.core.errors import Problem
from engine.corpus.symbols import BASE, SELFIES, SMILES, TOLD_OF_DNA, Kind, Seen, look
from engine.corpus.tokenizers import BLANK, BYTE_PIECES, END, FEWEST, MOST, BytePairs, from_json


@dataclass(frozen=True)
class Rule:
    """title: as pages show it; pattern: a regular expression of one token; symbols: of those that the field writes;
    kinds: of them what is worth telling; fasta: whether lines are sequences."""

    title: str
    pattern: str
    symbols: str = r"[\s\S]"
    kinds: tuple[Kind, ...] = ()
    fasta: bool = False


RULES = {
    "characters": Rule("Single characters", r"[\s\S]"),
    # Atoms, bonds, rings and brackets: Schwaller et al. 2019, "Molecular Transformer".
    "smiles": Rule("SMILES: atoms, bonds and rings", r"\[[^\]\s]{1,30}\]|Br|Cl|%[0-9]{2}|[\s\S]", SMILES),
    # Symbols in brackets: Krenn et al. 2020, "SELFIES".
    "selfies": Rule("SELFIES: symbols in brackets", r"\[[^\]\s]{1,30}\]|[\s\S]", SELFIES),
    # Three letters of a sequence, one after another: a codon where reading begins at one. A letter of a masked or
    # ambiguous base counts: read by itself it would shift the frame of all that follows.
    "codons": Rule("DNA: three letters at a time", rf"{BASE}{{3}}|[\s\S]", rf"{BASE}{{1,3}}", TOLD_OF_DNA, True),
}
USUAL = 4096  # tokens, unless fewer or more are asked for


def seen(texts: Iterable[str], name: str) -> Seen:
    """What stands in some texts that the field of a rule does not write, or that is worth telling."""
    rule = RULES[name]
    return look(texts, rule.pattern, rule.symbols, rule.kinds, rule.fasta)


def check_rule(rule: object) -> None:
    """Raise Problem unless there is a rule of that name."""
    if not isinstance(rule, str) or rule not in RULES:
        raise Problem(f"Cannot make tokens by the rule {rule!r:.80}. Choose one of {', '.join(RULES)}.")


def train_rule(texts: Iterable[str], rule: str, vocabulary: int | None = None) -> BytePairs:
    """The tokenizer of a rule; vocabulary: tokens at most, bytes included. Raises Problem for one that is unknown."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    check_rule(rule)
    size = USUAL if vocabulary is None else vocabulary
    if not is_whole(size, FEWEST, MOST):
        raise Problem(f"Cannot learn a vocabulary of {size!r} tokens. Choose a whole number from {FEWEST} to {MOST}.")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(re.findall(RULES[rule].pattern, text))
    usable = (one for one, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if BLANK not in one)
    known = [*sorted(BYTE_PIECES), *(one for one, _ in zip(usable, range(size - FEWEST), strict=False))]
    model = Tokenizer(
        models.BPE(
            vocab={token: place for place, token in enumerate(dict.fromkeys(known))},
            merges=[],
            byte_fallback=True,
            ignore_merges=True,
        )
    )
    model.pre_tokenizer = pre_tokenizers.Split(Regex(RULES[rule].pattern), "isolated")
    model.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    model.add_special_tokens([AddedToken(END, special=True)])
    return from_json(model.to_str(), f"the tokens of {rule}")
