"""Whether domains are of different scripts or alphabets: then a mean of their losses per byte is mostly that of one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.core.short_names import listed

APART = 0.5  # of the letters that two domains do not have in common: then their alphabets differ
NAMED = 4  # domains of an alphabet that a sentence names


def is_known(domains: Sequence[str], facts: Mapping[str, Any]) -> bool:
    """Whether the letters of these domains were counted; facts: by domain, as a manifest has them."""
    return all((facts.get(name) or {}).get("alphabets") is not None for name in domains)


def differing(domains: Sequence[str], facts: Mapping[str, Any]) -> dict[str, list[str]]:
    """Alphabet -> the domains that are mostly written in it, where some of the domains differ in that; else nothing.

    A domain with few letters, such as numbers, differs from none.
    """
    parts = {name: (facts.get(name) or {}).get("alphabets") or {} for name in domains}
    parts = {name: own for name, own in parts.items() if own}
    if not parts or apart(list(parts.values())) <= APART:
        return {}
    found: dict[str, list[str]] = {}
    for name, own in parts.items():
        found.setdefault(max(own.items(), key=lambda pair: pair[1])[0], []).append(name)
    return found


def apart(parts: Sequence[Mapping[str, float]]) -> float:
    """The largest part of their letters that two domains do not have in common, 0 to 1."""
    names = sorted({name for own in parts for name in own})
    table = np.array([[own.get(name, 0.0) for name in names] for own in parts])
    return float(np.abs(table[:, None] - table[None]).sum(axis=2).max() / 2)


def in_words(found: Mapping[str, Sequence[str]]) -> str:
    """Alphabets and their domains, as part of a sentence."""
    return "; ".join(f"{alphabet}: {listed(list(names), NAMED)}" for alphabet, names in found.items())
