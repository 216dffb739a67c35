"""Queries about requests that were sent with a key, so that a repeated one is not done twice."""

from dataclasses import dataclass

from store.database import Store


@dataclass(frozen=True)
class Request:
    """A request. asked: a hash of who asked for what; answer: as JSON, None while it is carried out."""

    key: str
    asked: str
    answer: str | None


def find(store: Store, key: str) -> Request | None:
    """The request that was sent with a key, or None."""
    rows = store.rows("SELECT key, asked, answer FROM requests WHERE key = ?", [key])
    return Request(*rows[0]) if rows else None
