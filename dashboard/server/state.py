"""What all sessions of the web process share: the owner of the workspace, who has access, the token for commands."""

import secrets

from engine.core.access import Watched
from engine.core.people import NotSignedIn, Person
from engine.core.sign_in import Access, sign_in_of
from engine.service.owner import Owner
from engine.studies.merges.live import Live
from store import api_tokens, jobs
from store.database import Store

TOKEN = secrets.token_urlsafe(32)  # new with every start; commands on this machine read it from web.json

_owner: Owner | None = None
_live: Live | None = None
_access: Watched | None = None


def use(owner: Owner | None, access: Watched | None = None) -> None:
    """Called when the server starts, before any session, and with None when it stops."""
    global _owner, _access, _live
    if _live is not None:
        _live.close()
    _owner, _access, _live = owner, access, owner and Live(owner.workspace.root)


def owner() -> Owner:
    if _owner is None:
        raise RuntimeError("The page was started without its server. Start it with `python -m dashboard`.")
    return _owner


def live() -> Live:
    """What measures merges while a fader moves."""
    owner()
    return _live


def store() -> Store:
    return owner().store


def access() -> Access | None:
    """Who has access, as access.toml says now; None if nobody has to sign in."""
    return _access.now() if _access is not None else None


def person_of(claims: dict) -> Person | None:
    """Who signed in with these claims; None if nobody has to. Raises Problem as Access.person does, and for a sign-in
    that was ended by signing out."""
    found = access()
    if found is None:
        return None
    person = found.person(claims)
    if sign_in_of(claims) in api_tokens.ended_sign_ins(store()):
        raise NotSignedIn("You signed out. Sign in again to go on.")
    return person


def busy() -> bool:
    """Whether any job is active or may be about to be: only then do pages poll."""
    return owner().answered < store().version or jobs.any_busy(store())
