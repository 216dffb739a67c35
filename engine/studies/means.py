"""Whether a study's means are relative to the natural mixture, as a byte is not the same in every script or alphabet.

A study says so itself, or it follows from the letters of its domains. Uses the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.spec.alphabets import differing, in_words, is_known
from engine.spec.objectives import BITS, TOKEN_NATS
from store import studies

ASKED = (
    "Each domain's loss was divided by the one that was measured at the natural mixture, as a byte is not the same in "
    "every script and alphabet."
)
WAITING = "Means become relative to the natural mixture once a run of it is done, and are plain until then."
UNKNOWN = (
    "Whether these domains are of one script or alphabet is not known here. Where they are not, a byte is not the same "
    "in each, and a plain mean is mostly that of one: set the study's means relative to the natural mixture."
)


@dataclass(frozen=True)
class Mean:
    """relative: whether losses are to be divided by those of the natural mixture. alphabets: the alphabets of the
    domains that count, where they differ and nobody chose the mean; kind: of the study's points; known: whether the
    domains' letters are known, or somebody chose."""

    relative: bool
    alphabets: Mapping[str, list[str]]
    kind: str = "mixture"
    known: bool = True

    def note(self, measured: bool) -> str | None:
        """What is to be known of such a mean, in sentences; measured: whether some run is of the natural mixture."""
        apart = f"the domains are of different scripts or alphabets ({in_words(self.alphabets)})"
        if not self.known:
            return UNKNOWN
        if self.alphabets and self.kind == "merge":
            return (
                f"{apart[0].upper()}{apart[1:]}, where a byte is not the same: this plain mean is mostly that of the "
                "domain whose bytes say most. Priorities weigh it otherwise."
            )
        if not self.relative:
            return None
        if not measured:
            return f"{apart[0].upper()}{apart[1:]}. {WAITING}" if self.alphabets else WAITING
        if not self.alphabets:
            return ASKED
        return (
            f"Means are relative to the natural mixture, as {apart}, where a byte is not the same: each domain's loss "
            "was divided by the one that was measured there. More, on the study's card, sets plain means."
        )


def mean_of(study: studies.Study, priorities: dict[str, float] | None = None) -> Mean:
    """How the losses of a planned study are averaged, by its own priorities or others; studies of before this was
    asked have plain means."""
    weights = priorities or {}
    counted = [
        one.domain
        for one in study.objectives
        if one.domain and one.unit in (BITS, TOKEN_NATS) and weights.get(one.metric, one.priority)
    ]
    asked, facts = study.spec.get("relative", False), (study.corpus or {}).get("domains", {})
    if asked is not None or len(counted) < 2:
        return Mean(bool(asked), {}, study.kind)
    found = differing(counted, facts)
    return Mean(bool(found) and study.kind == "mixture", found, study.kind, is_known(counted, facts))
