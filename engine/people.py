"""Who acts, and what they may do: every function that changes something asks here, whichever way it was reached."""

import getpass
from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from engine.errors import Problem

ROLES = ("viewer", "reviewer", "operator")  # each may do what those before it may


@dataclass(frozen=True)
class Person:
    """Somebody who acts. name: how others see them, unique in a workspace; role: one of ROLES."""

    name: str
    role: str


def local_user() -> Person:
    """Who sits at this machine where nobody signs in: they own the workspace's files, and may do everything."""
    try:
        return Person(getpass.getuser(), "operator")
    except (KeyError, OSError):  # a user id without a name, as in containers
        return Person("local user", "operator")


_acting: ContextVar[Person | None] = ContextVar("acting", default=None)
_asked: list[Callable[[], Person | None]] = []


def ask_first(who: Callable[[], Person | None]) -> None:
    """Let the page say whose session asks; None where no session does."""
    _asked[:] = [who]


@contextmanager
def as_person(person: Person):
    """All that is done within is done by this person."""
    token = _acting.set(person)
    try:
        yield
    finally:
        _acting.reset(token)


def acting() -> Person:
    """Who does what is being done now."""
    return _acting.get() or next((found for who in _asked if (found := who())), None) or local_user()


def need(role: str, what: str) -> Person:
    """Who acts, if they have at least this role. Raises Problem, naming what they wanted, if not."""
    person = acting()
    if ROLES.index(person.role) < ROLES.index(role):
        raise Problem(
            f"Cannot {what}: {person.name} is a {person.role} here, and that takes the role {role}. "
            "Ask whoever runs this workspace."
        )
    return person
