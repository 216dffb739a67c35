"""What comes in over HTTP: tokens of the API, sign-ins that ended, and requests that are answered once."""

from dataclasses import dataclass

from engine.jobs.events import Event


@dataclass(frozen=True)
class TokenCreated(Event):
    """A token of the HTTP API. hash: of its secret part; local: it acts for the local user, without a sign-in."""

    kind = "token.created"
    token: str
    person: str
    local: bool
    role: str
    label: str
    hash: str
    expires_at: float | None = None
    groups: list[str] | None = None


@dataclass(frozen=True)
class TokenRevoked(Event):
    """The token was revoked."""

    kind = "token.revoked"
    token: str


@dataclass(frozen=True)
class TokenUsed(Event):
    """The token was used; written at most about once an hour."""

    kind = "token.used"
    token: str


@dataclass(frozen=True)
class SignInEnded(Event):
    """Somebody signed out. sign_in: which of their sign-ins (engine/core/sign_in.py); its cookies open nothing more."""

    kind = "sign_in.ended"
    sign_in: str


@dataclass(frozen=True)
class RequestBegun(Event):
    """A request with a key is being carried out. asked: a hash of who asks for what."""

    kind = "request.begun"
    key: str
    asked: str


@dataclass(frozen=True)
class RequestEnded(Event):
    """The request with that key was answered. answer: as JSON; null: it was refused, and may be sent again."""

    kind = "request.ended"
    key: str
    answer: str | None = None
