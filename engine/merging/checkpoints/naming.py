"""One tensor under two names: with or without outer names (model., bert.), before and after a library's renaming.

Checkpoints of one architecture differ in these: the oldest GPT-2 and BERT files lack or bear their module's name, and
call a norm's weight and bias gamma and beta; vision-language models wrap their text model otherwise since transformers
4.52.
"""

import re
from collections.abc import Collection, Iterable

OUTER = frozenset(("model", "language_model", "transformer", "module", "base_model", "_orig_mod"))
OLD = {"gamma": "weight", "beta": "bias"}  # of norms
# Of what a trainer puts around modules, wherever it stands, and of weights that are kept as a length and a direction.
WRAPPERS = frozenset(("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
PARAMETRIZED = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")  # of a layer or an expert; # in a template


def meeting(names: Collection[str], others: Collection[str]) -> dict[str, str]:
    """The names that others has otherwise, one for one: name -> the other's name."""
    own, theirs = ({NUMBER.sub("#", name) for name in some} for some in (names, others))
    here, there = own - theirs, theirs - own
    outer = OUTER | families(here, there) | families(there, here)
    inner, met = by_core(here, outer), by_core(there, outer)
    pairs = {name: met[core] for core, name in inner.items() if name and met.get(core)}
    found = {name: pairs.get(NUMBER.sub("#", name)) for name in names}
    return {name: numbered(other, NUMBER.findall(name)) for name, other in found.items() if other}


def by_core(templates: Iterable[str], outer: Collection[str]) -> dict[str, str | None]:
    """Templates by their cores; None where two share one."""
    found: dict[str, str | None] = {}
    for name in templates:
        core = core_of(name, outer)
        found[core] = None if core in found else name
    return found


def core_of(name: str, outer: Collection[str]) -> str:
    """A name without its outer names, and with a norm's weight and bias called so."""
    for new, old in PARAMETRIZED.items():
        name = name.removesuffix(new) + (old if name.endswith(new) else "")
    parts = [part for part in name.split(".") if part not in WRAPPERS]
    while len(parts) > 2 and parts[0] in outer:
        parts = parts[1:]
    return ".".join([*parts[:-1], OLD.get(parts[-1], parts[-1])])


def families(templates: Iterable[str], others: Iterable[str]) -> set[str]:
    """Outer names of some tensors (bert, roberta) that the others go without."""
    known = {core_of(name, OUTER) for name in others}
    inner = {core_of(name, OUTER) for name in templates} - known
    firsts = {name.split(".", 1)[0] for name in inner} - {"#"}
    return {first for first in firsts if any(core_of(name, {*OUTER, first}) in known for name in inner)}


def numbered(template: str, numbers: list[str]) -> str:
    """A template's name with these numbers."""
    left = iter(numbers)
    return ".".join(next(left) if part == "#" else part for part in template.split("."))
