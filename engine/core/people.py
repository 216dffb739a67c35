"""Who acts, and what they may do: every function that changes something asks here, whichever way it was reached."""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from engine.core.errors import Problem

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
ROLES = ("viewer", "reviewer", "operator")  # each may do what those before it may


class Refused(Problem):
    """Somebody's role does not allow what they asked for."""


class NotSignedIn(Problem):
    """Nobody has signed in where somebody must, or their sign-in has ended."""


@dataclass(frozen=True)
class Person:
    """Somebody who acts. name: how others see them, unique in a workspace; role: one of ROLES; groups: of their
    provider's, those that have a role here."""

    name: str
    role: str
    groups: tuple[str, ...] = ()


SYSTEM = Person("Mixdesk", "operator")  # what the owner does by itself: nobody asked for it


def local_user() -> Person:
    """Who sits at this machine where nobody signs in: they own the workspace's files, and may do everything."""
    try:
        return Person(getpass.getuser(), "operator")
    except (KeyError, OSError):  # a user id without a name, as in containers
        return Person("local user", "operator")


_acting: ContextVar[Person | None] = ContextVar("acting", default=None)
_asked: list[Callable[[], Person | None]] = []
_taken: dict[Callable[..., object], tuple[str, str]] = {}  # function -> role, and what it does


def ask_first(who: Callable[[], Person | None]) -> None:
    """Let the page say whose session asks; None where no session does. It raises NotSignedIn where one must."""
    _asked[:] = [who]


@contextmanager
def as_person(person: Person) -> Iterator[None]:
    """All that is done within is done by this person."""
    token = _acting.set(person)
    try:
        yield
    finally:
        _acting.reset(token)


def acting() -> Person:
    """Who does what is being done now. Raises NotSignedIn where somebody must sign in first."""
    return _acting.get() or next((found for who in _asked if (found := who())), None) or local_user()


def allows(person: Person, role: str) -> bool:
    """Whether somebody may do what takes this role."""
    return ROLES.index(person.role) >= ROLES.index(role)


def need(role: str, what: str) -> Person:
    """Who acts, if they have at least this role. Raises Refused, naming what they wanted, if not."""
    person = acting()
    if not allows(person, role):
        raise Refused(
            f"Cannot {what}: {person.name} is a {person.role} here, and that takes the role {role}. "
            "Ask whoever runs this workspace."
        )
    return person


def takes(role: str, what: str) -> Callable[[Callable[Given, Answer]], Callable[Given, Answer]]:
    """Mark a function that takes a role: it refuses everybody else, and `need_for` tells so before it is called."""

    def marked(function: Callable[Given, Answer]) -> Callable[Given, Answer]:
        @wraps(function)
        def checked(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
            need(role, what)
            return function(*args, **kwargs)

        _taken[checked] = (role, what)
        return checked

    return marked


def only_reads(function: Callable[..., object]) -> bool:
    """Whether a function takes no role, because it changes nothing."""
    return function not in _taken


def need_for(function: Callable[..., object]) -> None:
    """Raise Refused if who acts may not call a function that is marked by `takes`."""
    if not only_reads(function):
        need(*_taken[function])
