"""Commands on candidates: nominate, show, comment, vote, decide, confirm, compare."""

import numpy as np

from engine.core.errors import Problem
from engine.core.people import takes
from engine.review import acts, ballots, compare, confirming
from engine.review import dossier as dossiers
from engine.review import inbox as inboxes
from engine.studies.schedules import place_of, read_phases
from store import reviews, studies
from store.database import Store


def list_candidates(store: Store, name: str) -> dict:
    """The candidates of a study, its rules, and the votes' result (engine/review/dossier.py)."""
    return dossiers.overview(store, studies.get(store, name))


def dossier(store: Store, candidate: str) -> dict:
    """Everything about one candidate."""
    return dossiers.dossier(store, candidate)


@takes("reviewer", "nominate a candidate")
def nominate(
    store: Store,
    name: str,
    called: str,
    rationale: str,
    candidate: str | None = None,
    point: dict[str, float] | None = None,
    surrogate: str | None = None,
    priorities: dict | None = None,
    schedule: list[dict[str, float]] | None = None,
) -> dict:
    """Nominate a point of a study under a name: one that has a name or is a run (as in `export`), or {name: value};
    schedule: or the shares of every phase.
    """
    study = studies.get(store, name)
    if sum(given is not None for given in (candidate, point, schedule)) != 1:
        raise Problem(
            "Cannot nominate that: give one of the name of a point (or a run's id), its values, and the shares of "
            "every phase."
        )
    if point is not None and set(point) != set(study.coordinates):
        raise Problem(f"Cannot nominate {called!r}: give one number for each of {', '.join(study.coordinates)}.")
    if schedule is not None:
        at = read_phases(study, schedule)
    elif point is None:
        at = place_of(store, study, candidate)
    else:
        at = np.array([point[name] for name in study.coordinates], float)
    made = acts.nominate(store, study, at, called, rationale, surrogate, priorities)
    return {"candidate": made, "study": study.id}


@takes("reviewer", "comment")
def comment(store: Store, candidate: str, text: str) -> dict:
    """Comment on a candidate; tells whom of the workspace's people it mentions (@name)."""
    mentioned = acts.comment(store, candidate, text)
    return standing(store, candidate) | {"mentions": mentioned}


def inbox(store: Store) -> dict:
    """What mentions you, what was decided of yours, and what needs your vote or decision, in all studies."""
    return inboxes.inbox(store)


@takes("viewer", "mark entries of their inbox as read")
def mark_read(store: Store, lines: list[int] | None = None) -> dict:
    """Mark entries of your inbox as read, by their `n`; all of them by default."""
    inboxes.mark_read(store, lines)
    return {"unread": inboxes.inbox(store)["unread"]}


def ballot(store: Store, name: str) -> dict:
    """The pair of a study's candidates that you are to vote on next, without their names, and how many pairs wait."""
    return ballots.ballot(store, studies.get(store, name))


@takes("reviewer", "vote")
def vote(store: Store, one: str, other: str, neither: bool = False, blind: bool = False) -> list[dict]:
    """Prefer one candidate to another (or neither); returns the result of all votes of the study, empty until you have
    voted on every pair that others have. `blind`: their names were hidden."""
    acts.vote(store, one, other, neither, blind)
    study = studies.get(store, reviews.get(store, one).study)
    return dossiers.overview(store, study)["votes"]


@takes("reviewer", "decide")
def decide(
    store: Store, candidate: str, verdict: str, reason: str = "", seen: str | None = None, successor: str | None = None
) -> dict:
    """Approve, reject or supersede a candidate; only an approval may go without a reason. `seen`: refuse if something
    changed since that revision."""
    acts.decide(store, candidate, verdict, reason, seen, successor)
    return standing(store, candidate)


def standing(store: Store, candidate: str) -> dict:
    """A candidate's standing."""
    found = dossiers.dossier(store, candidate)
    return {key: found[key] for key in ("id", "study", "revision", "standing")}


@takes("operator", "set the rules")
def set_rules(store: Store, name: str, approvals: int, author_alone: bool = False) -> dict:
    """How many people must approve a candidate of a study, and whether its author alone may."""
    study = studies.get(store, name)
    acts.set_rules(store, study, approvals, author_alone)
    return dossiers.overview(store, study)["rules"]


@takes("operator", "confirm a candidate")
def confirm_candidate(store: Store, candidate: str, times: float = 4, seeds: int = 3) -> dict:
    """Measure a candidate beside the baselines with several seeds, at the study's size and `times` as large."""
    runs = confirming.confirm(store, candidate, times, seeds)
    found = reviews.get(store, candidate)
    return {"candidate": candidate, "study": found.study, "runs": runs, "already_there": not runs}


def compare_candidates(store: Store, candidates: list[str], reference: str, tokens: float | None = None) -> dict:
    """Two to six candidates side by side against a reference, with regressions in the text."""
    found = compare.compare(store, candidates, reference, tokens)
    for row in found["rows"]:
        row["flips"] = None if row["difference"] is None else compare.flips_against(store, row["id"], found)
    return found


def history(store: Store, name: str) -> list[dict]:
    """The history of a study's candidates, oldest first; others' votes once you have voted on the same pairs."""
    events, _ = ballots.seen_by(store, studies.get(store, name))
    return [dossiers.line(event) for event in events]


COMMANDS = (
    list_candidates,
    dossier,
    nominate,
    comment,
    inbox,
    mark_read,
    ballot,
    vote,
    decide,
    set_rules,
    confirm_candidate,
    compare_candidates,
    history,
)
