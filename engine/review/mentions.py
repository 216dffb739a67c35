"""@mentions in comments: only people known to the workspace, named when the comment is written. Uses the store."""

import re

from engine.core.access import nobody_signs_in
from engine.core.access import read as read_access
from engine.core.people import local_user
from store import reviews
from store.database import Store

AT = re.compile(r"(?<![\w@.])@([\w.+-]+(?:@[\w.-]*\w)?)")  # what looks like a mention; names may have more words


def known_people(store: Store) -> list[str]:
    """Who can be mentioned: whoever took part in a review or has a token, and each person with a role of their own."""
    found = set(reviews.people(store))
    if nobody_signs_in(store.workspace.root):
        return sorted(found | {local_user().name})
    access = read_access(store.workspace.root)
    return sorted(found | {who for who in access.roles if not who.startswith(("@", "*"))} if access else found)


def mention_of(name: str) -> re.Pattern[str]:
    """What mentions somebody: @ and their whole name, in either case."""
    return re.compile(rf"(?<![\w@.])@{re.escape(name)}(?![\w@])", re.IGNORECASE)


def mentioned(text: str, people: list[str]) -> list[str]:
    """The people that a text mentions, in the order of `people`; of names that begin alike, the longest counts."""
    found, rest = set(), text
    for name in sorted(people, key=len, reverse=True):
        rest, times = mention_of(name).subn(" ", rest)
        if times:
            found.add(name)
    return [name for name in people if name in found]


def unknown(text: str, people: list[str]) -> list[str]:
    """What looks like a mention of somebody who is not known here."""
    rest = text
    for name in sorted(people, key=len, reverse=True):
        rest = mention_of(name).sub(" ", rest)
    return list(dict.fromkeys(one.rstrip(".-") for one in AT.findall(rest)))
