"""What the licences of a merge's models ask of the merge, by their identifiers on the hub; no advice of a lawyer's.

Facts are from the licences' own texts, reduced to what two of them can disagree on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

ASKS = "Ask whoever published it."


@dataclass(frozen=True)
class Terms:
    """alike: what is made from it must have the same licence, or its terms; commerce, changes: whether selling it, and
    sharing changed versions, are allowed; by_name: what the result's name must begin with."""

    alike: bool = False
    commerce: bool = True
    changes: bool = True
    by_name: str | None = None


FREE = Terms()
OWN = Terms(alike=True)  # terms of its maker's that go along with all that is made from it
# Identifiers as model cards have them, by what begins them; the longest that fits counts.
TERMS: dict[str, Terms] = {
    **dict.fromkeys(("apache-2.0", "mit", "bsd", "isc", "zlib", "unlicense", "cc0", "cc-by", "odc-by", "pddl"), FREE),
    **dict.fromkeys(("wtfpl", "artistic", "bsl-1.0", "postgresql", "psf", "python", "ms-pl", "cdla-permissive"), FREE),
    **dict.fromkeys(("gpl", "agpl", "lgpl", "mpl", "epl", "eupl", "osl", "cc-by-sa", "odbl", "cdla-sharing"), OWN),
    "cc-by-nc": Terms(commerce=False),
    "cc-by-nc-sa": Terms(alike=True, commerce=False),
    "cc-by-nd": Terms(changes=False),
    "cc-by-nc-nd": Terms(commerce=False, changes=False),
    "llama2": OWN,
    "llama3": Terms(alike=True, by_name="Llama 3"),
    **dict.fromkeys(("llama3.1", "llama3.2", "llama3.3", "llama4"), Terms(alike=True, by_name="Llama")),
    **dict.fromkeys(("gemma", "deepseek", "openrail", "bigscience-", "creativeml-", "bigcode-", "tongyi", "qwen"), OWN),
    **dict.fromkeys(("apple-amlr", "mrl", "qwen-research", "fair-noncommercial"), Terms(alike=True, commerce=False)),
    "intel-research": Terms(commerce=False),
}
UNSAID = (None, "", "other", "unknown")


def terms_of(licence: str | None) -> Terms | None:
    """What a licence asks; None if it is not known here."""
    named = re.sub(r"[\s_]+", "-", str(licence or "").strip().lower())
    fitting = [name for name in TERMS if re.match(rf"{re.escape(name)}(?:$|[-.]|(?<=-))", named)]
    return TERMS[max(fitting, key=len)] if fitting else None


def unknown(licences: Mapping[str, str | None]) -> list[str]:
    """Models whose licence nobody says, or that is not known here, as sentences."""
    found = []
    for name, licence in licences.items():
        if terms_of(licence) is None:
            what = "names no licence" if licence in UNSAID else f"has the licence {licence!r}, which is not known here"
            found.append(f"{name} {what}: whether it may be merged and shared is open. {ASKS}")
    return found


def conflicts(licences: Mapping[str, str | None]) -> list[str]:
    """What the licences of models (name -> licence), ancestors too, forbid or ask of their merge, as sentences."""
    known = {name: terms for name, licence in licences.items() if (terms := terms_of(licence))}
    found = [
        f"The licence of {name} ({licences[name]}) allows no changed versions: a merge may not be shared."
        for name, terms in known.items()
        if not terms.changes
    ]
    alike: dict[str, list[str]] = {}
    for name in [name for name, terms in known.items() if terms.alike]:
        alike.setdefault(str(licences[name]).lower(), []).append(name)
    if len(alike) > 1:
        each = " and ".join(f"{', '.join(names)} ({licence})" for licence, names in alike.items())
        found.append(
            f"{each} each ask that what is made from them has their own terms: the merge cannot have both, unless one "
            f"allows the other. {ASKS}"
        )
    unsold = [f"{name} ({licences[name]})" for name, terms in known.items() if not terms.commerce]
    if unsold:
        found.append(f"The merge may not be used commercially: the licence of {', '.join(unsold)} forbids it.")
    for beginning in sorted({terms.by_name for terms in known.values() if terms.by_name}):
        found.append(f"If the merge is shared, its name must begin with {beginning!r}: a licence asks for it.")
    return found


def claims_more(licence: str | None, parent: str | None) -> bool:
    """Whether a model's licence gives more freedom than that of the model it was made from."""
    own, above = terms_of(licence), terms_of(parent)
    if own is None or above is None or str(licence).lower() == str(parent).lower():
        return False
    return above.alike or (own.commerce and not above.commerce) or not above.changes


def outcome(licences: Mapping[str, str | None]) -> str:
    """The licence that a card may claim: the one that all agree on or that binds the others, else "other"."""
    known = {str(licence or "").lower(): terms_of(licence) for licence in licences.values()}
    if any(terms is None or not terms.changes for terms in known.values()) or not known:
        return "other"
    binding = [licence for licence, terms in known.items() if terms and (terms.alike or not terms.commerce)]
    if len(binding) == 1:
        return binding[0]
    return next(iter(known)) if len(known) == 1 else "other"
