"""What all sessions of the web process share: the owner of the workspace, and the token of its HTTP API."""

import secrets

from engine.live import Live
from engine.owner import Owner
from store import jobs
from store.database import Store

TOKEN = secrets.token_urlsafe(32)  # new with every start; commands on this machine read it from web.json

_owner: Owner | None = None
_live: Live | None = None


def use(owner: Owner | None) -> None:
    """Called when the server starts, before any session, and with None when it stops."""
    global _owner, _live
    if _live is not None:
        _live.close()
    _owner, _live = owner, owner and Live(owner.workspace.root)


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


def busy() -> bool:
    """Whether anything runs or waits, or may be about to: only then do pages poll."""
    return owner().answered < store().version or jobs.any_busy(store())
