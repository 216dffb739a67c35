"""Actions in a review: nominate, comment, vote, decide, set the rules. Uses the store.

Each is one line in the owner's journal, with its author and time. A candidate may change between reading and deciding:
`seen` is the revision that the author saw (engine/review/dossier.py), and if it is not the current one, the decision is
refused with a list of the changes. Comments and votes are never refused for that.
"""

import re
import secrets
import unicodedata

import numpy as np

from engine.core.access import nobody_signs_in
from engine.core.checks import is_whole
from engine.core.errors import Problem
from engine.core.people import acting, local_user, need
from engine.jobs.decisions import CandidatePut, NoticeRaised, ReviewAdded
from engine.jobs.reviews import VERDICTS
from engine.review.dossier import changes_since, revision
from engine.review.freeze import freeze
from engine.review.mentions import known_people, mentioned
from engine.review.standing import standings
from engine.spec.phases import PLANNED
from engine.studies.measured import frame_of_study
from engine.studies.points import BEST_MEASURED, BEST_PREDICTED
from engine.studies.schedules import BEST_SCHEDULE, ONE_MIXTURE
from store import reviews, runs, studies
from store.database import Store

NAME, TEXT, IN_NOTICE = 80, 10_000, 300  # characters; the last in a notice
MOST_APPROVALS = 50


def nominate(
    store: Store,
    study: studies.Study,
    place: np.ndarray,
    name: str,
    rationale: str,
    surrogate: str | None = None,
    priorities: dict | None = None,
) -> str:
    """Freeze a point (D,) of the study's space, or a schedule (F, D) of its phases, under a name; returns the
    candidate's id.

    Raises Problem if the name is taken or invalid, the place is invalid, or nothing is fitted yet.
    """
    need("reviewer", "nominate a candidate")
    name, rationale = checked_text(name, "name", NAME, lines=False), checked_text(rationale, "rationale", TEXT)
    about = {"name": name, "rationale": rationale, "author": acting().name}
    with store.alone():
        if name in names_taken(store, study):
            raise Problem(f"Cannot call a candidate {name!r}: {study.name!r} already uses that name. Choose another.")
        if name.startswith(f"{BEST_MEASURED} (") or re.fullmatch(rf"{re.escape(study.id)}-\d+", name):
            raise Problem(f"Cannot call a candidate {name!r}: measured runs are called so. Choose another name.")
        text = freeze(store, study, place, about, surrogate, priorities)
        candidate = reviews.id_of(text)
        store.write(CandidatePut(candidate, study.id, text))
    return candidate


def names_taken(store: Store, study: studies.Study) -> set[str]:
    """Names that commands and links already use for points of the study."""
    there = {one.frozen["name"] for one in reviews.of_study(store, study.id)}
    fixed = {"best", BEST_PREDICTED, "the faders", BEST_SCHEDULE, PLANNED, ONE_MIXTURE}
    return there | fixed | set(frame_of_study(study).baselines) | set(runs.measured_at_all_sizes(store, study.id).ids)


def comment(store: Store, candidate: str, text: str) -> list[str]:
    """Comment on a candidate; returns whom it mentions. Raises Problem if the text is empty, or longer than 10,000
    characters."""
    need("reviewer", "comment")
    found, text = reviews.get(store, candidate), checked_text(text, "comment", TEXT)
    people = [one for one in mentioned(text, known_people(store)) if one != acting().name]
    _add(store, found.study, found.id, "comment", text=text, mentions=people)
    if people:
        _tell(store, found, "mention", f"mentioned {', '.join(people)} on", text)
    return people


def _tell(store: Store, found: reviews.Candidate, outcome: str, did: str, text: str) -> None:
    """Raise a notice of what who acts did to a candidate: the webhook takes it out of the workspace."""
    name, study = found.frozen["name"], found.frozen["study_name"]
    said = f": {text[:IN_NOTICE]}{'…' if len(text) > IN_NOTICE else ''}" if text else "."
    notice = f"{found.id}-{outcome}-{secrets.token_hex(6)}"
    store.write(NoticeRaised(notice, found.study, outcome, f"{acting().name} {did} {name} in the study {study}{said}"))


def vote(store: Store, one: str, other: str, neither: bool = False, blind: bool = False) -> None:
    """Prefer one candidate to another of the same study; the last vote of a person on a pair counts. blind: their
    names were hidden."""
    need("reviewer", "vote")
    better, worse = reviews.get(store, one), reviews.get(store, other)
    if better.study != worse.study or better.id == worse.id:
        raise Problem("Cannot vote between these: choose two different candidates of one study.")
    _add(store, better.study, better.id, "vote", over=worse.id, neither=bool(neither), blind=bool(blind))


def decide(
    store: Store, candidate: str, verdict: str, reason: str = "", seen: str | None = None, successor: str | None = None
) -> None:
    """Approve, reject or supersede a candidate, for a reason, which an approval may go without. Approval follows the
    study's rules.

    seen: the revision that the author saw; None: the current one. successor: the candidate that supersedes it. Raises
    Problem if there are comments, decisions or results since then, or the decision is invalid.
    """
    need("reviewer", "decide")
    if verdict not in VERDICTS:
        raise Problem(f"Cannot decide {verdict!r}: a candidate is {', '.join(VERDICTS)}.")
    found = reviews.get(store, candidate)
    if verdict != "approved" or reason != "":
        reason = checked_text(reason, "reason", TEXT)
    body = {"verdict": verdict, "reason": reason, "successor": None}
    if verdict == "approved":
        body["alone"] = is_only_user(store)
    if verdict == "superseded":
        other = None if successor is None else reviews.get(store, successor)
        if other is None or other.study != found.study or other.id == found.id:
            raise Problem("Cannot supersede a candidate by that: name another candidate of the same study.")
        body["successor"] = other.id
    with store.alone():
        if seen is not None and seen != revision(store, found):
            raise Problem(
                f"Cannot decide on {found.frozen['name']!r} yet: since you opened it, "
                f"{changes_since(store, found, seen)}. Read that, then decide again."
            )
        refuse_repeated(store, found, verdict)
        _add(store, found.study, found.id, "decision", **body)
    _tell(store, found, "decision", verdict, reason)


def is_only_user(store: Store) -> bool:
    """Whether who acts is the one user of a workspace in which nobody signs in."""
    return acting().name == local_user().name and nobody_signs_in(store.workspace.root)


def refuse_repeated(store: Store, found: reviews.Candidate, verdict: str) -> None:
    """Raise Problem if the decision would change nothing."""
    standing = standings(reviews.history(store, found.study))[found.id]
    if verdict == "approved" and acting().name in standing.approvals:
        raise Problem(f"Cannot approve {found.frozen['name']!r} again: {acting().name} has approved it already.")
    if verdict == standing.state == "rejected":
        raise Problem(f"Cannot reject {found.frozen['name']!r} again: it is rejected already. You can comment.")


def set_rules(store: Store, study: studies.Study, approvals: int, author_alone: bool) -> None:
    """Set the rules of approval for a study from now on. Raises Problem if `approvals` is not from 1 to 50."""
    need("operator", "set the rules")
    if not is_whole(approvals, 1, MOST_APPROVALS):
        raise Problem(f"Cannot require {approvals!r} approvals: choose 1 to {MOST_APPROVALS}.")
    _add(store, study.id, None, "rules", approvals=approvals, author_alone=bool(author_alone))


def _add(store: Store, study: str, candidate: str | None, what: str, **body) -> None:
    store.write(ReviewAdded(study, what, acting().name, body, candidate))


def checked_text(text: object, what: str, most: int, lines: bool = True) -> str:
    """The text as written, stripped. Raises Problem if it cannot be stored."""
    if not isinstance(text, str) or not text.strip():
        raise Problem(f"Cannot take an empty {what}: write one.")
    text = text.strip()
    if len(text) > most:
        raise Problem(
            f"Cannot take a {what} of {len(text):,} characters: at most {most:,} are allowed. Shorten it, or put the "
            "long version elsewhere and link to it. Nothing was saved."
        )
    unexpected = [
        letter for letter in text if unicodedata.category(letter) in ("Cc", "Cs") and not (lines and letter in "\n\r\t")
    ]
    if unexpected:
        raise Problem(f"Cannot take a {what} with the control character {unexpected[0]!r}: remove it.")
    return text
