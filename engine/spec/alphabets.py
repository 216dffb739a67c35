"""Whether domains are of different scripts or alphabets: then a mean of their losses per byte is mostly that of one."""

from collections.abc import Mapping, Sequence
from typing import Any

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
    if not any(distance(one, other) > APART for one in parts.values() for other in parts.values()):
        return {}
    found: dict[str, list[str]] = {}
    for name, own in parts.items():
        found.setdefault(max(own.items(), key=lambda pair: pair[1])[0], []).append(name)
    return found


def distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """The part of the letters of two domains that they do not have in common, 0 to 1."""
    return sum(abs(one.get(name, 0.0) - other.get(name, 0.0)) for name in {*one, *other}) / 2


def in_words(found: Mapping[str, Sequence[str]]) -> str:
    """Alphabets and their domains, as part of a sentence."""
    return "; ".join(f"{alphabet}: {listed(list(names), NAMED)}" for alphabet, names in found.items())
