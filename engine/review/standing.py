"""The standing of candidates, computed from the history of their study alone.

Decisions follow the rules in force at their time: stricter rules later revoke nothing. Where nobody signs in there is
one user, who could never approve what they nominated: until somebody sets rules, each approval says whether it was
given so ("alone"), and such a one by the author is enough. Journals of before have none that do.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from engine.core.short_names import counted
from store.reviews import Event

OPEN = "open"


@dataclass(frozen=True)
class Rules:
    """Rules of approval. approvals: number of people required; author_alone: whether the candidate's author alone is
    enough; None: nobody has set it, and it is where nobody signs in."""

    approvals: int = 1
    author_alone: bool | None = None

    def met_by(self, approvals: dict[str, dict], author: str) -> bool:
        """Whether approvals {person: {"reason", "t", "alone"}} are enough."""
        alone = self.author_alone
        if alone is None:
            alone = approvals.get(author, {}).get("alone", False)
        return len(approvals) >= self.approvals and (alone or bool(set(approvals) - {author}))

    def missing(self, approvals: dict[str, dict], author: str) -> str:
        """The missing approvals, in words; empty if complete."""
        if self.met_by(approvals, author):
            return ""
        if (more := self.approvals - len(approvals)) > 0:
            return counted(more, "more approval")
        return f"an approval from someone other than {author}, who nominated it"


@dataclass
class Standing:
    """state: open, or one of VERDICTS; approvals: {person: {"reason", "t", "alone"}} since it was last
    rejected; decided: the
    last decision {"verdict", "reason", "author", "t", "successor"}, None before one."""

    state: str = OPEN
    approvals: dict[str, dict] = field(default_factory=dict)
    decided: dict | None = None


def rules_of(history: Iterable[Event]) -> Rules:
    """The rules of a study now."""
    rules = Rules()
    for event in history:
        if event.what == "rules":
            rules = Rules(**event.body)
    return rules


def standings(history: Iterable[Event]) -> dict[str, Standing]:
    """The standing of every candidate of a study, by its id."""
    found: dict[str, Standing] = {}
    authors: dict[str, str] = {}
    rules = Rules()
    for event in history:
        if event.what == "rules":
            rules = Rules(**event.body)
        elif event.what == "put":
            found[event.candidate], authors[event.candidate] = Standing(), event.author
        elif event.what == "decision" and event.candidate in found:
            _decide(found[event.candidate], event, rules, authors[event.candidate])
    return found


def _decide(standing: Standing, event: Event, rules: Rules, author: str) -> None:
    """Apply one decision. A rejection cancels all approvals before it; approvals count until they are enough."""
    standing.decided = {**event.body, "author": event.author, "t": event.t}
    if event.body["verdict"] != "approved":
        standing.state, standing.approvals = event.body["verdict"], {}
        return
    decision = {"reason": event.body["reason"], "t": event.t, "alone": event.body.get("alone", False)}
    standing.approvals[event.author] = decision
    standing.state = "approved" if rules.met_by(standing.approvals, author) else OPEN


def last_votes(history: Iterable[Event]) -> dict[tuple[str, frozenset[str]], Event]:
    """(person, pair of candidates) -> their vote on it that counts, the last."""
    return {
        (event.author, frozenset((event.candidate, event.body["over"]))): event
        for event in history
        if event.what == "vote" and event.candidate is not None
    }


def wins(history: Iterable[Event], candidates: list[str]) -> list[list[float]]:
    """(K, K) votes for the row over the column: the last of each person on each pair; half for each if neither."""
    place = {one: number for number, one in enumerate(candidates)}
    table = [[0.0] * len(candidates) for _ in candidates]
    for event in last_votes(history).values():
        if event.candidate not in place or event.body["over"] not in place:
            continue
        one, other = place[event.candidate], place[event.body["over"]]
        table[one][other] += 0.5 if event.body["neither"] else 1.0
        table[other][one] += 0.5 if event.body["neither"] else 0.0
    return table


def as_dict(standing: Standing, rules: Rules, author: str) -> dict:
    """As JSON-able values, for pages and commands. by_author: it is approved, and by nobody but its author."""
    missing = "" if standing.state != OPEN else rules.missing(standing.approvals, author)
    by_author = standing.state == "approved" and set(standing.approvals) == {author}
    return {**asdict(standing), "missing": missing, "by_author": by_author}
