"""Tokens by the custom of a field: a rule says what one token is, and the most frequent ones become the vocabulary.

What a rule does not match is read by characters, and what is in no vocabulary by bytes, so nothing of a text is lost.
Every rule becomes a tokenizer.json like any other: a split by the rule, and a vocabulary without merges.
"""

import re
from collections import Counter
from collections.abc import Iterable

from engine.core.checks import is_whole
from engine.core.errors import Problem
from engine.corpus.tokenizers import BLANK, BYTE_PIECES, END, FEWEST, MOST, BytePairs, from_json

RULES = {
    "characters": r"[\s\S]",
    # Atoms, bonds, rings and brackets: Schwaller et al. 2019, "Molecular Transformer".
    "smiles": r"\[[^\]\s]{1,30}\]|Br|Cl|%[0-9]{2}|[\s\S]",
    # Symbols in brackets: Krenn et al. 2020, "SELFIES".
    "selfies": r"\[[^\]\s]{1,30}\]|[\s\S]",
    # Three letters of a sequence, one after another: a codon where reading begins at one.
    "codons": r"[ACGTN]{3}|[\s\S]",
}
USUAL = 4096  # tokens, unless fewer or more are asked for


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
        counts.update(re.findall(RULES[rule], text))
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
    model.pre_tokenizer = pre_tokenizers.Split(Regex(RULES[rule]), "isolated")
    model.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    model.add_special_tokens([AddedToken(END, special=True)])
    return from_json(model.to_str(), f"the tokens of {rule}")
