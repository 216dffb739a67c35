"""In which scripts and alphabets a text is written: a byte of one says more than a byte of another.

Letters are counted by script. Sequences and molecules are written in letters of the Latin script, and are told from
words by what else may stand in them.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from engine.corpus.symbols import BASES, MASKED, SELFIES, SMILES

CHARACTERS = 100_000  # of a domain that are looked at
FEWEST = 0.2  # of the characters, blanks aside, that are letters or stand in a sequence: fewer name no alphabet
SCRIPTS = {"CJK": "Han", "HIRAGANA": "Kana", "KATAKANA": "Kana", "FULLWIDTH": "Latin", "MATHEMATICAL": "Latin"}
ATOMS, MARKS = "BCNOPSFIbcnops", r"0-9()=#\["
BASE, SEQUENCE, MOSTLY = re.compile(f"[{BASES}{MASKED}]"), 16, 0.8  # of so many characters: others are gaps, or unknown
# What stands between blanks and is no word, but for bases, which come first: they are letters of proteins, too. Groups
# are atomic, so that no text takes longer than its length.
FIELDS = {
    "SELFIES": re.compile(rf"(?=\[)(?>(?:{SELFIES}){{3,}})"),
    "SMILES": re.compile(rf"(?=[^{MARKS}]*[{MARKS}])(?=(?:[^{ATOMS}]*[{ATOMS}]){{3}})(?=.{{6}})(?>(?:{SMILES})+)"),
    "protein": re.compile("[ACDEFGHIKLMNPQRSTVWYX*]{25,}"),
}
CODONS = re.compile(f"(?:[{BASES}]{{3}} ){{5,}}[{BASES}]{{3}}")  # three bases at a time, with blanks between


def alphabets_of(texts: Iterable[str]) -> dict[str, float]:
    """Name of a script or alphabet -> its part of the letters in the first CHARACTERS of some texts; the largest part
    first. Empty where they have too few letters to tell, as numbers have."""
    counts, characters, left = Counter[str](), 0, CHARACTERS
    for text in texts:
        text = text[:left]
        left -= len(text)
        found = written_in(text)
        counts.update(found)
        characters += sum(not one.isspace() for one in text)
        if left <= 0:
            break
    total = sum(counts.values())
    if not total or total < FEWEST * characters:
        return {}
    return {name: count / total for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))}


def written_in(text: str) -> Counter[str]:
    """How many characters of a text are of each script or alphabet."""
    counts, words = Counter[str](), Counter[str]()
    for line in text.splitlines():
        if CODONS.fullmatch(line.strip()):
            counts["DNA"] += len(line) - line.count(" ")
        else:
            words.update(re.split(r'[\s,;"]+', line))
    letters = Counter[str]()
    for word, times in words.items():
        if (field := field_of(word)) is not None:
            counts[field] += times * len(word)
        else:
            letters.update({letter: times * count for letter, count in Counter(word).items()})
    for letter, times in letters.items():
        if letter.isalpha():
            counts[script_of(letter)] += times
    return counts


def field_of(word: str) -> str | None:
    """The alphabet of a field that writes what stands between two blanks; None if it may be a word."""
    if len(word) >= SEQUENCE and len(BASE.findall(word)) >= MOSTLY * len(word):
        return "DNA"
    return next((name for name, pattern in FIELDS.items() if pattern.fullmatch(word)), None)


def script_of(letter: str) -> str:
    """The script of a letter, by its name in Unicode."""
    first = unicodedata.name(letter, "other").split(maxsplit=1)[0].split("-")[0]
    return SCRIPTS.get(first, first.capitalize())
