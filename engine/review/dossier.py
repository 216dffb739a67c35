"""Everything about a candidate as plain values, for pages, reports and commands. Uses the store."""

from dataclasses import asdict

import numpy as np

from engine.review.answers import by_losses, learnt
from engine.review.ballots import seen_by
from engine.review.evidence import evidence, measured_runs, of_candidate
from engine.review.standing import Standing, as_dict, rules_of, standings, wins
from engine.review.votes import bradley_terry
from engine.spec.statistics import ordered
from store import confirm_runs, reviews, studies
from store.database import Store


def dossier(store: Store, candidate: str) -> dict:
    """One candidate: {"id", "study", "frozen", "t", "revision", "standing", "rules", "comments", "history",
    "evidence"}. Raises Problem if there is none."""
    found = reviews.get(store, candidate)
    study = studies.get(store, found.study)
    events, _ = seen_by(store, study)
    rules, standing = rules_of(events), standings(events)[found.id]
    about = [event for event in events if event.candidate == found.id or event.body.get("over") == found.id]
    return {
        "id": found.id,
        "study": found.study,
        "frozen": found.frozen,
        "t": found.t,
        "revision": revision(store, found),
        "standing": as_dict(standing, rules, found.frozen["author"]),
        "rules": asdict(rules),
        "comments": [
            {"author": event.author, "t": event.t, "text": event.body["text"]}
            for event in about
            if event.what == "comment"
        ],
        "history": [line(event) for event in about],
        "evidence": evidence(store, study, found.frozen),
    }


def line(event: reviews.Event) -> dict:
    """A line of the history as plain values."""
    return {
        "n": event.n,
        "what": event.what,
        "author": event.author,
        "t": event.t,
        "candidate": event.candidate,
        **event.body,
    }


def overview(store: Store, study: studies.Study) -> dict:
    """All candidates of a study, newest first, with votes and history: {"candidates", "rules", "votes": by
    Bradley-Terry, "taste": by a Gaussian process over the points, "losses": by what is predicted, "history",
    "votes_open": whether who acts sees others' votes, and so the first two at all (engine/review/ballots.py)}."""
    found, (events, opened) = reviews.of_study(store, study.id), seen_by(store, study)
    rules, stand = rules_of(events), standings(events)
    done = [run for run in confirm_runs.confirmations(store, study.id, schedules=True) if run.losses is not None]
    said: dict[str, int] = {}
    last: dict[str, int] = {}
    for event in events:
        if event.what == "comment":
            said[event.candidate] = said.get(event.candidate, 0) + 1
        if event.candidate is not None and is_about(event, event.candidate):
            last[event.candidate] = event.n
    measured = {one.id: len(of_candidate(done, one.frozen)) for one in found}
    rows = [
        {
            "id": one.id,
            "name": one.frozen["name"],
            "author": one.frozen["author"],
            "t": one.t,
            "standing": as_dict(stand.get(one.id, Standing()), rules, one.frozen["author"]),
            "point": dict(zip(one.frozen["names"], one.frozen["point"], strict=True)),
            "predicted": one.frozen["predicted"],
            "runs": one.frozen["surrogate"]["runs"],
            "aggregate": one.frozen["aggregate"],
            "baselines": {name: there["difference"] for name, there in one.frozen["baselines"].items()},
            "comments": said.get(one.id, 0),
            "measured": measured[one.id],
            "revision": f"{last.get(one.id, 0)}.{measured[one.id]}",
        }
        for one in found
    ]
    return {
        "candidates": rows,
        "rules": asdict(rules),
        "votes": preferences(events, [one.id for one in found]) if opened else [],
        "taste": learnt(events, found) if opened else None,
        "losses": by_losses(found),
        "votes_open": opened,
        "history": [line(event) for event in events],
    }


def preferences(events: list[reviews.Event], candidates: list[str]) -> list[dict]:
    """The votes' result for each candidate that has any, the strongest of each group first.

    {"id", "strength", "half" (95%, log odds), "group", "won", "of", "tied": candidates tied with it}.
    """
    table = np.array(wins(events, candidates), float).reshape(len(candidates), len(candidates))
    games = table + table.T
    voted = np.flatnonzero(games.sum(axis=1) > 0)
    if not len(voted):
        return []
    found = bradley_terry(table[np.ix_(voted, voted)])
    rows = [
        {
            "id": candidates[place],
            "strength": float(found.strength[k]),
            "half": float(found.ci_half_width[k]),
            "group": int(found.group[k]),
            "won": float(table[place].sum()),
            "of": float(games[place].sum()),
            "tied": [
                candidates[voted[j]]
                for j in range(len(voted))
                if j != k and found.group[j] == found.group[k] and not found.apart(k, j)
            ],
        }
        for k, place in enumerate(voted)
    ]
    return sorted((rows[k] for k in ordered(-found.strength.round(9))), key=lambda row: row["group"])


def revision(store: Store, found: reviews.Candidate) -> str:
    """A candidate's revision, checked by decisions: its last comment or decision, and its number of measured runs."""
    about = [event.n for event in reviews.history(store, found.study) if is_about(event, found.id)]
    return f"{max(about, default=0)}.{len(measured_runs(store, found.frozen))}"


def is_about(event: reviews.Event, candidate: str) -> bool:
    """Whether an event may affect a decision on a candidate."""
    return event.candidate == candidate and event.what in ("put", "comment", "decision")


def changes_since(store: Store, found: reviews.Candidate, seen: str) -> str:
    """The changes since a revision, in words."""
    try:
        number, measured = (int(part) for part in seen.split("."))
    except ValueError:
        return "what you saw is not known here"
    new = [event for event in reviews.history(store, found.study) if event.n > number and is_about(event, found.id)]
    said = [
        f"{event.author} commented" if event.what == "comment" else f"{event.author} decided: {event.body['verdict']}"
        for event in new
    ]
    if (more := len(measured_runs(store, found.frozen)) - measured) > 0:
        said.append(f"{more} of its runs were measured")
    return ", ".join(said) or "it has changed"
