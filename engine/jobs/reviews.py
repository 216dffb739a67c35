"""What a line of a review says: a record for each of comment, decision, vote, confirm and rules."""

from dataclasses import dataclass

from engine.core.errors import Problem
from engine.core.records import Record
from engine.core.shown import shown

VERDICTS = ("approved", "rejected", "superseded")


@dataclass(frozen=True, kw_only=True)
class Commented(Record):
    """mentions: people; null in journals of before 0.3."""

    text: str
    mentions: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Decided(Record):
    """successor: the candidate that supersedes this one; alone: whether its author was the only user."""

    verdict: str
    reason: str
    successor: str | None = None
    alone: bool | None = None

    def __post_init__(self) -> None:
        """Raises Problem for an unknown verdict."""
        if self.verdict not in VERDICTS:
            raise Problem(f"Cannot take a decision: {shown(self.verdict)} is none of {', '.join(VERDICTS)}.")


@dataclass(frozen=True, kw_only=True)
class Voted(Record):
    """over: the other candidate; neither: is preferred; blind: their names were hidden."""

    over: str
    neither: bool
    blind: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Confirmed(Record):
    """times: larger than proxies; runs: how many were new."""

    times: float
    seeds: int
    runs: int


@dataclass(frozen=True, kw_only=True)
class Ruled(Record):
    """approvals: number of people required; author_alone: whether the candidate's author alone is enough."""

    approvals: int
    author_alone: bool | None = None


REVIEWS: dict[str, type[Record]] = {  # what a line of a review says -> its body
    "comment": Commented,
    "decision": Decided,
    "vote": Voted,
    "confirm": Confirmed,
    "rules": Ruled,
}
