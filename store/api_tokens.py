"""Queries about tokens of the HTTP API."""

from dataclasses import dataclass

from store.database import Store


@dataclass(frozen=True)
class TokenRow:
    """A token; only its hash is stored. person: whom it acts for; local: of the local user, not signed in; role: its
    highest permissions; groups: of that person, when it was made; times in seconds since 1970, None: never."""

    id: str
    person: str
    local: bool
    role: str
    label: str
    hash: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    used_at: float | None
    groups: list[str] | None = None


COLUMNS = ", ".join(TokenRow.__dataclass_fields__)


def find(store: Store, token_id: str) -> TokenRow | None:
    """One token, or None."""
    rows = store.rows(f"SELECT {COLUMNS} FROM api_tokens WHERE id = ?", [token_id])
    return TokenRow(*rows[0]) if rows else None


def ended_sign_ins(store: Store) -> frozenset[str]:
    """The sign-ins that were ended by signing out."""
    every = "SELECT id FROM ended_sign_ins"
    return store.remembered("ended sign-ins", lambda: frozenset(one for (one,) in store.rows(every)))


def all_tokens(store: Store) -> list[TokenRow]:
    """Every token, newest first."""
    return [TokenRow(*row) for row in store.rows(f"SELECT {COLUMNS} FROM api_tokens ORDER BY created_at DESC, id")]
