"""What all sessions of the web process share: the owner of the workspace, who has access, the token for commands."""

import secrets

from engine.core.access import Access, Watched
from engine.service.owner import Owner
from engine.studies.merges.live import Live
from store import jobs
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


def busy() -> bool:
    """Whether any job is active or may be about to be: only then do pages poll."""
    return owner().answered < store().version or jobs.any_busy(store())
