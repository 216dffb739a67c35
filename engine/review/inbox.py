"""Somebody's inbox: what mentions them, what was decided of theirs, and what waits for their vote or decision. Worked
out from the histories of all studies; only what they have read is kept. Uses the store."""

from engine.core.errors import Problem
from engine.core.people import acting, allows
from engine.jobs.decisions import InboxRead
from engine.review.acts import is_only_user
from engine.review.ballots import waiting_pairs
from engine.review.standing import OPEN, Standing, rules_of, standings
from store import reviews, studies
from store.database import Store

MOST = 200  # entries shown, the newest


def inbox(store: Store) -> dict:
    """The inbox of who acts: {"person", "unread": how many, "entries": the newest first, each {"n": its line, "kind":
    mention | decision, "study", "study_name", "candidate", "name", "author", "t", "text", "read"}, "waiting": for each
    study with something to do {"study", "study_name", "pairs": without their vote, "candidates": to decide on}}."""
    entries, waiting = [], []
    for study in studies.all_studies(store):
        found, events = reviews.of_study(store, study.id), reviews.history(store, study.id)
        entries += entries_of(store, study, found, events)
        if not study.archived and (todo := to_do(store, events, found)):
            waiting.append({"study": study.id, "study_name": study.name} | todo)
    entries.sort(key=lambda one: -one["n"])
    unread = sum(not one["read"] for one in entries)
    return {"person": acting().name, "unread": unread, "entries": entries[:MOST], "waiting": waiting}


def entries_of(
    store: Store, study: studies.Study, found: list[reviews.Candidate], events: list[reviews.Event]
) -> list[dict]:
    """What of a study's history is in the inbox of who acts, in the order in which it happened."""
    person, read = acting().name, reviews.read_lines(store, acting().name)
    authors = {one.id: (one.frozen["author"], one.frozen["name"]) for one in found}
    return [
        entry(event, kind, authors) | {"study": study.id, "study_name": study.name, "read": event.n in read}
        for event in events
        if (kind := kind_for(event, person, authors))
    ]


def kind_for(event: reviews.Event, person: str, authors: dict[str, tuple[str, str]]) -> str | None:
    """Why a line is in a person's inbox, or None; what they did themselves is not."""
    if event.author == person or event.candidate not in authors:
        return None
    if event.what == "comment" and person in event.body.get("mentions", ()):
        return "mention"
    return "decision" if event.what == "decision" and authors[event.candidate][0] == person else None


def entry(event: reviews.Event, kind: str, authors: dict[str, tuple[str, str]]) -> dict:
    """A line as it stands in an inbox."""
    text = event.body["text"] if kind == "mention" else event.body["reason"]
    said = {"verdict": event.body["verdict"]} if kind == "decision" else {}
    where = {"candidate": event.candidate, "name": authors[event.candidate][1]}
    return {"n": event.n, "kind": kind, "author": event.author, "t": event.t, "text": text} | where | said


def to_do(store: Store, events: list[reviews.Event], found: list[reviews.Candidate]) -> dict | None:
    """What of a study waits for who acts; None if nothing does, or their role allows neither votes nor decisions."""
    me = acting()
    if not allows(me, "reviewer"):
        return None
    stand, rules, only = standings(events), rules_of(events), is_only_user(store)
    alone = only if rules.author_alone is None else rules.author_alone

    def mine_to_decide(one: reviews.Candidate) -> bool:
        standing = stand.get(one.id, Standing())
        return (
            standing.state == OPEN and me.name not in standing.approvals and (alone or one.frozen["author"] != me.name)
        )

    candidates = [{"id": one.id, "name": one.frozen["name"]} for one in found if mine_to_decide(one)]
    pairs = len(waiting_pairs(events, [one.id for one in found], me.name))
    return {"pairs": pairs, "candidates": candidates} if pairs or candidates else None


def mark_read(store: Store, lines: list[int] | None = None) -> None:
    """Mark entries of who acts as read, all by default. Raises Problem for a line that is not in their inbox."""
    entries = []
    for study in studies.all_studies(store):
        found, events = reviews.of_study(store, study.id), reviews.history(store, study.id)
        entries += entries_of(store, study, found, events)
    if wrong := set(lines or ()) - {one["n"] for one in entries}:
        raise Problem(f"Cannot mark {min(wrong)!r} as read: no entry of your inbox has that number.")
    unread = {one["n"] for one in entries if not one["read"]}
    if chosen := sorted(unread if lines is None else unread & set(lines)):
        store.write(InboxRead(acting().name, chosen))
