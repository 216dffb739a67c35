"""Blind votes: two candidates without their names, and what was voted once somebody has. Uses the store."""

import hashlib
import itertools

from engine.core.people import acting, allows
from engine.jobs.reviews import VERDICTS
from engine.review.standing import Standing, last_votes, standings
from store import reviews, studies
from store.database import Store

GONE = set(VERDICTS) - {"approved"}  # candidates that nobody needs to weigh any more


def ballot(store: Store, study: studies.Study) -> dict:
    """The pair that who acts is to vote on next: {"left": pairs that wait for them, "pair": two candidates without
    names, each {"id", "point", "predicted", "baselines"}, empty where none waits}. The pair with the fewest votes
    comes first; which candidate stands first is drawn for each person, so that no name has a side."""
    found = {one.id: one for one in reviews.of_study(store, study.id)}
    waiting = waiting_pairs(reviews.history(store, study.id), list(found), acting().name)
    return {"left": len(waiting), "pair": [blind(found[one]) for one in waiting[0]] if waiting else []}


def waiting_pairs(events: list[reviews.Event], candidates: list[str], person: str) -> list[tuple[str, str]]:
    """The pairs of candidates that a person has not voted on, the one with the fewest votes first."""
    stand = standings(events)
    left = [one for one in candidates if stand.get(one, Standing()).state not in GONE]
    given = last_votes(events)
    counts: dict[frozenset[str], int] = {}
    for _, pair in given:
        counts[pair] = counts.get(pair, 0) + 1
    waiting = [pair for pair in itertools.combinations(left, 2) if (person, frozenset(pair)) not in given]

    def draw(pair: tuple[str, str]) -> str:
        return hashlib.sha256("/".join((person, *sorted(pair))).encode()).hexdigest()

    waiting.sort(key=lambda pair: (counts.get(frozenset(pair), 0), draw(pair)))
    return [tuple(sorted(pair, reverse=int(draw(pair)[-1], 16) % 2 == 1)) for pair in waiting]


def seen_by(store: Store, study: studies.Study) -> tuple[list[reviews.Event], bool]:
    """A study's history as who acts may see it, and whether all of it is open to them: they vote on nothing, or have
    voted on every pair that others have. Until then it is without others' votes. Whoever answers with a history, or
    with what was made of its votes, takes it from here."""
    events, me = reviews.history(store, study.id), acting()
    candidates, voted = [one.id for one in reviews.of_study(store, study.id)], {pair for _, pair in last_votes(events)}
    waiting = waiting_pairs(events, candidates, me.name) if allows(me, "reviewer") else []
    opened = not any(frozenset(pair) in voted for pair in waiting)
    return [one for one in events if opened or one.what != "vote" or one.author == me.name], opened


def blind(found: reviews.Candidate) -> dict:
    """A candidate without whatever tells whose it is."""
    frozen = found.frozen
    return {
        "id": found.id,
        "point": dict(zip(frozen["names"], frozen["point"], strict=True)),
        "predicted": frozen["predicted"],
        "baselines": {name: there["difference"] for name, there in frozen["baselines"].items()},
    }


def votes_on(store: Store, study: studies.Study, pair: list[str]) -> list[dict]:
    """The votes that count on a pair, the oldest first: {"author", "t", "preferred": an id, or None for neither,
    "blind": whether the names were hidden}."""
    given = last_votes(reviews.history(store, study.id))
    about = sorted((event for (_, of), event in given.items() if of == frozenset(pair)), key=lambda event: event.n)
    return [
        {
            "author": event.author,
            "t": event.t,
            "preferred": None if event.body["neither"] else event.candidate,
            "blind": event.body.get("blind", False),
        }
        for event in about
    ]
