"""The rules by which loaders draw from their sets, as far as a rehearsal needs them."""

from typing import NamedTuple


class Rule(NamedTuple):
    """How a loader draws.

    unit: "samples" of one length, cut from documents that are joined, or "documents"; drawn: whether chance decides how
    many of each set, else they are counted out; long: what becomes of a document that is longer than the context:
    "joined" to the others, "cut", "dropped" or "whole"; ends: where it stops, in a sentence.
    """

    unit: str
    drawn: bool
    long: str
    ends: str


BLENDED = Rule(
    "samples", False, "joined", "It counts samples out by their weights and ends at the budget; sets begin again."
)
DRAWN = Rule("samples", True, "joined", "Each sample's set is drawn by its weight; training ends at the budget.")
FIRST_OUT = DRAWN._replace(ends="A pass ends with the first set that runs out; the trainer then starts the next pass.")
UNREPEATED = BLENDED._replace(
    ends="It ends at the budget, and refuses sets that would be repeated beyond what is written."
)
ROWS = Rule("documents", True, "cut", "Rows are drawn by their weights until the trainer's last step.")
EXAMPLES = Rule("documents", False, "cut", "One epoch holds these numbers of examples.")
DROPPING = EXAMPLES._replace(long="dropped")
WHOLE = EXAMPLES._replace(long="whole")
