"""What all sessions of the web process share: the owner of the workspace."""

from engine.owner import Owner
from store.database import Store

_owner: Owner | None = None


def use(owner: Owner | None) -> None:
    """Called once, when the server starts, before any session."""
    global _owner
    _owner = owner


def owner() -> Owner:
    if _owner is None:
        raise RuntimeError("The page was started without its server. Start it with `python -m dashboard`.")
    return _owner


def store() -> Store:
    return owner().store
