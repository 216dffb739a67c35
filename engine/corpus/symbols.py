"""What a field writes: the symbols of DNA, SMILES and SELFIES, and what stands in a text that is none of them."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

# The 118 elements, by their first letter.
ELEMENT = (
    "(?:"
    "A[lrsgutcm]|B[eraikh]?|C[laroudsemfn]?|D[ybs]|E[urs]|F[erml]?|G[aed]|H[eofgs]?|I[nr]?|K[r]?|"
    "L[iaurv]|M[gnodtc]|N[eaibdpoh]?|O[sg]?|P[drmtboau]?|R[buhenafg]|S[icernbmg]?|T[icebmalhs]|U|V|"
    "W|X[e]|Y[b]?|Z[nr]"
    ")"
)
CHARGE = r"(?:\++|-+|[+-][0-9]{1,2})?"
CHIRAL = r"(?:@@?(?:TH|AL|SP|TB|OH)?[0-9]{0,2})?"
BRACKETS = rf"\[[0-9]{{0,3}}(?:{ELEMENT}|se|as|te|si|[bcnops*]){CHIRAL}(?:H[0-9]?)?{CHARGE}(?::[0-9]{{1,4}})?\]"
SMILES = rf"{BRACKETS}|Br|Cl|[BCNOPSFI]|[bcnops*]|%[0-9]{{2}}|[0-9\-=#$:/\\.()~<>%]"
BOND = r"(?:[=#/\\]|[-/\\]{2})?"
ATOM = rf"{BOND}[0-9]{{0,3}}{ELEMENT}(?:@@?)?(?:H[0-9]?)?(?:[+-][0-9]{{0,2}})?(?:expl)?"
SELFIES = rf"\[(?:{ATOM}|(?:Expl)?{BOND}(?:Ring|Branch)[1-4](?:_[1-3])?|nop|epsilon|\.)\]|\."
# Of a base that is known, of one that is masked as a repeat (lower case), and of RNA; and of one of several bases.
BASES, MASKED, SEVERAL = "ACGTUN", "acgtun", "RYSWKMBDHV"
BASE = f"[{BASES}{MASKED}{SEVERAL}]"
NAMED = 5  # symbols that are told


@dataclass(frozen=True)
class Kind:
    """Symbols that a field writes, and that are worth telling. said: what they are; pattern: of a character."""

    said: str
    pattern: str


TOLD_OF_DNA = (
    Kind("lower-case letters, as masked repeats have them", f"[{MASKED}]"),
    Kind("'U', as RNA has it", "U"),
    Kind("letters for one of several bases", f"[{SEVERAL}]"),
)


@dataclass(frozen=True)
class Seen:
    """What was seen in some texts. unknown: the part of the characters, blanks aside, in symbols that the field does
    not write; symbols: the most frequent of these; told: the part of each kind that is worth telling; headers: lines of
    FASTA that name a sequence; broken: sequences of several lines."""

    unknown: float
    symbols: list[str]
    told: dict[str, float]
    headers: int = 0
    broken: int = 0

    def facts(self, private: bool) -> dict[str, Any]:
        """For the manifest; nothing of a private text."""
        more = {"told": self.told, "headers": self.headers, "broken": self.broken}
        return {"part": self.unknown, "letters": [] if private else self.symbols, **more}


def look(texts: Iterable[str], token: str, known: str, kinds: Iterable[Kind] = (), fasta: bool = False) -> Seen:
    """What stands in texts whose tokens are split by a pattern, of symbols that are `known` (a pattern, too).

    fasta: whether lines are sequences.
    """
    split, counts, headers, broken = re.compile(token), Counter[str](), 0, 0
    for text in texts:
        counts.update(split.findall(text))
        if fasta:
            headers, broken = headers + heading(text), broken + continued(text)
    sizes = {one: count * len(one) for one, count in counts.items() if not one.isspace()}
    total, fits = max(1, sum(sizes.values())), re.compile(known)
    odd = {one: size for one, size in sizes.items() if not fits.fullmatch(one)}
    letters = Counter[str]()
    for one in sizes.keys() - odd.keys():
        letters.update({letter: counts[one] * count for letter, count in Counter(one).items()})
    told = {
        kind.said: sum(count for letter, count in letters.items() if re.fullmatch(kind.pattern, letter)) / total
        for kind in kinds
    }
    usual = sorted(odd, key=lambda one: (-counts[one], one))[:NAMED]
    return Seen(sum(odd.values()) / total, usual, {said: part for said, part in told.items() if part}, headers, broken)


def heading(text: str) -> int:
    """How many lines of a text name a sequence, as FASTA does."""
    return sum(line.startswith(">") for line in text.splitlines())


def continued(text: str) -> int:
    """How many sequences of a text have several lines: below a header, or in lines that are as long as each other
    but for the last."""
    lines = [line.strip() for line in text.splitlines()]
    if any(line.startswith(">") for line in lines):
        starts = [line.startswith(">") for line in lines if line]
        return sum(
            not one and not other and head for head, one, other in zip(starts, starts[1:], starts[2:], strict=False)
        )
    lines = [line for line in lines if line]
    alike = all(len(one) == len(other) for one, other in pairwise(lines[:-1]))
    wrapped = len(lines) > 2 and alike and len(lines[0]) in WIDTHS and len(lines[-1]) < len(lines[0])
    return int(wrapped)


WIDTHS = range(50, 101)  # of a line that sequences are usually broken at
