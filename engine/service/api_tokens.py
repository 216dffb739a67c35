"""Tokens of the HTTP API: each acts for its creator, with at most their permissions. Uses the store.

A token is `mixdesk_<id>_<secret>`. It is shown once; the journal keeps a hash of the secret part, keyed with the
workspace's own secret, so a copy of the journal opens nothing. Its permissions are checked at every use: a role lost in
access.toml is lost for the tokens as well.
"""

import hashlib
import hmac
import re
import secrets
import time
from contextlib import suppress

from engine.core.checks import is_number
from engine.core.errors import Missing, Problem, Unavailable
from engine.core.people import ROLES, NotSignedIn, Person, Refused, acting, allows, local_user, need
from engine.core.secret import secret
from engine.core.sign_in import Access
from engine.jobs.api import TokenCreated, TokenRevoked, TokenUsed
from store import api_tokens
from store.api_tokens import TokenRow
from store.database import Store

FORM = re.compile(r"mixdesk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
DAYS = 90  # a token's default life
MOST_DAYS = 3650
USED_SECONDS = 3600.0  # a use is written down when the last one was so long ago


def create(store: Store, label: str, role: str | None = None, days: float = DAYS) -> tuple[str, TokenRow]:
    """Create a token for the acting user: the token itself, shown only once, and its row.

    role: the most it may do, default its maker's. Raises Problem if the role exceeds that, or the life or
    the label is invalid.
    """
    person = need("viewer", "make a token")
    role = role or person.role
    if role not in ROLES:
        raise Problem(f"Cannot make a token with the role {role!r}: choose one of {', '.join(ROLES)}.")
    if not allows(person, role):
        raise Refused(f"Cannot make a token with the role {role}: you are a {person.role}, and it acts for you.")
    if not isinstance(label, str) or not 0 < len(label.strip()) <= 80:
        raise Problem(f"Cannot make a token called {label!r}: say in 1 to 80 characters what it is for.")
    if not is_number(days, 0, MOST_DAYS) or days == 0:
        raise Problem(f"Cannot make a token for {days!r} days: use a number above 0 and up to {MOST_DAYS:,}.")
    token_id, key = secrets.token_hex(6), secrets.token_urlsafe(32)
    created = TokenCreated(
        token=token_id,
        person=person.name,
        local=person == local_user(),
        role=role,
        label=label.strip(),
        hash=_hash(store, key),
        expires_at=time.time() + 86400 * days,
        groups=list(person.groups) or None,
    )
    store.write(created)
    return f"mixdesk_{token_id}_{key}", api_tokens.find(store, token_id)


def listed(store: Store) -> list[TokenRow]:
    """The tokens of whoever asks, newest first; an operator sees everybody's."""
    person = need("viewer", "list tokens")
    return [row for row in api_tokens.all_tokens(store) if row.person == person.name or allows(person, "operator")]


def revoke(store: Store, token_id: str) -> TokenRow:
    """End a token of one's own; an operator may end anybody's. Raises Missing if there is none."""
    need("viewer", "revoke a token")
    if token_id not in {row.id for row in listed(store)}:
        raise Missing(f"Cannot revoke the token {token_id!r}: there is none of that id among those you may see.")
    store.write(TokenRevoked(token_id))
    return api_tokens.find(store, token_id)


def person_of(store: Store, token: str, access: Access | None) -> Person:
    """Whom a token acts for, with what it may do now. Raises NotSignedIn for one that opens nothing (any more), and
    Refused where its person has no role any more.

    access: who may come in; None where nobody has to sign in.
    """
    form = FORM.fullmatch(token)
    row = api_tokens.find(store, form[1]) if form else None
    if not hmac.compare_digest(row.hash if row else "", _hash(store, form[2] if form else "")):
        raise NotSignedIn("Cannot do that: the token is missing or wrong. `python -m engine token create` makes one.")
    if row.revoked_at is not None:
        raise NotSignedIn(f"Cannot do that: the token {row.id} ({row.label}) was revoked. Make a new one.")
    if row.expires_at is not None and row.expires_at < time.time():
        raise NotSignedIn(f"Cannot do that: the token {row.id} ({row.label}) has expired. Make a new one.")
    role = _role_now(row, access)
    if row.used_at is None or row.used_at < time.time() - USED_SECONDS:
        with suppress(Unavailable):  # a full disk keeps nobody from looking
            store.write(TokenUsed(row.id), by=row.person)
    return Person(row.person, min(row.role, role, key=ROLES.index))


def _role_now(row: TokenRow, access: Access | None) -> str:
    """The role of a token's person now."""
    if row.local:
        return local_user().role
    role = access.role_of(row.person, tuple(row.groups or ())) if access else None
    if role is None:
        raise Refused(f"Cannot do that: {row.person}, whom the token {row.id} acts for, has no role here any more.")
    return role


def _hash(store: Store, key: str) -> str:
    return hmac.new(secret(store.workspace.root), f"api\n{key}".encode(), hashlib.sha256).hexdigest()


def shown(row: TokenRow) -> dict:
    """A token as shown to people, without its hash."""
    by = acting()
    return {
        "token": row.id,
        "label": row.label,
        "role": row.role,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "used_at": row.used_at,
        **({} if row.person == by.name else {"person": row.person}),
    }
