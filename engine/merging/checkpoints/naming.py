"""One tensor under two names: with or without outer names (model., bert.), before and after a library's renaming.

Checkpoints of one architecture differ in these: the oldest GPT-2 and BERT files lack or bear their module's name, and
call a norm's weight and bias gamma and beta; vision-language models wrap their text model otherwise since transformers
4.52.
"""

import re
from collections import Counter
from collections.abc import Iterable

OUTER = frozenset(("model", "language_model", "transformer", "module", "base_model", "_orig_mod"))
OLD = {"gamma": "weight", "beta": "bias"}  # of norms
NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")  # of a layer or an expert


def meeting(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """The names that others has otherwise, and only once: name -> the other's name."""
    own, theirs = ({NUMBER.sub("#", name) for name in some} for some in (names, others))
    here, there = own - theirs, theirs - own
    if not here or not there:
        return {}
    outer = OUTER | families(here, there) | families(there, here)
    met = {core(name, outer): name for name in there}
    counts = Counter(core(name, outer) for name in here), Counter(core(name, outer) for name in there)
    pairs = {name: met[inner] for name in here if all(one[inner := core(name, outer)] == 1 for one in counts)}
    found = {name: pairs[template] for name in names if (template := NUMBER.sub("#", name)) in pairs}
    return {name: numbered(other, NUMBER.findall(name)) for name, other in found.items()}


def core(name: str, outer: Iterable[str]) -> str:
    """A name without its outer names, and with a norm's weight and bias called so."""
    parts = name.split(".")
    while len(parts) > 2 and parts[0] in outer:
        parts = parts[1:]
    return ".".join([*parts[:-1], OLD.get(parts[-1], parts[-1])])


def families(names: set[str], others: set[str]) -> set[str]:
    """Outer names of some tensors (bert, roberta) that others go without."""
    known, inner = {core(name, OUTER) for name in others}, {core(name, OUTER) for name in names}
    firsts = {name.split(".", 1)[0] for name in inner}
    return {first for first in firsts if any(core(name, {*OUTER, first}) in known for name in inner - known)}


def numbered(template: str, numbers: list[str]) -> str:
    """A template's name with these layers' numbers."""
    left = iter(numbers)
    return ".".join(next(left) if part == "#" else part for part in template.split("."))
