"""Commands on tokens of the HTTP API: create, list, revoke."""

from engine.core.people import takes
from engine.service import api_tokens
from store.database import Store


@takes("viewer", "make a token")
def create_token(store: Store, label: str, role: str | None = None, days: float = api_tokens.DAYS) -> dict:
    """Create a token that acts for you, with at most your role; it is shown once."""
    token, row = api_tokens.create(store, label, role, days)
    return {"secret": token, **api_tokens.shown(row)}


def list_tokens(store: Store) -> list[dict]:
    """Your tokens; an operator sees everybody's."""
    return [api_tokens.shown(row) for row in api_tokens.listed(store)]


@takes("viewer", "revoke a token")
def revoke_token(store: Store, token: str) -> dict:
    """Revoke a token by its id, immediately."""
    return api_tokens.shown(api_tokens.revoke(store, token))


COMMANDS = (create_token, list_tokens, revoke_token)
