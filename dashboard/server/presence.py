"""Who is here and what they look at: kept in memory by the page's process alone, gone a minute after the last sign.

No journal has it: where somebody looked is nobody's business tomorrow. All who may come in may see every study, so they
may see who is in it.
"""

import threading
import time
from dataclasses import dataclass, replace

from streamlit import runtime

GONE = 60.0  # seconds without a sign
MOST = 500  # visitors that are remembered at once
Query = dict[str, list[str]]


@dataclass(frozen=True)
class Place:
    """What somebody looks at: the path of a page, and every parameter of its link."""

    page: str
    query: Query

    def first(self, name: str) -> str:
        """A parameter's first value, empty without one."""
        return next(iter(self.query.get(name, ())), "")


@dataclass(frozen=True)
class Visitor:
    """Somebody in one tab. session: Streamlit's; t, moved: monotonic seconds of the last sign and of the last move."""

    session: str
    name: str
    place: Place
    t: float
    moved: float


class Room:
    """The visitors of the process; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._visitors: dict[str, Visitor] = {}

    def sign(self, session: str, name: str, place: Place, now: float | None = None) -> None:
        """A tab of somebody is open at a place."""
        now = time.monotonic() if now is None else now
        with self._lock:
            before = self._visitors.get(session)
            moved = before.moved if before and before.place == place else now
            if before or len(self._visitors) < MOST:
                self._visitors[session] = Visitor(session, name, place, now, moved)
            self._forget(now)

    def _forget(self, now: float) -> None:
        """Forget whoever gave no sign for a minute, or whose tab was closed."""
        for session, one in list(self._visitors.items()):
            if now - one.t > GONE or not connected(session):
                del self._visitors[session]

    def others(self, session: str, name: str, now: float | None = None) -> list[Visitor]:
        """Everybody else by name, each where they moved last."""
        with self._lock:
            self._forget(time.monotonic() if now is None else now)
            there = sorted(self._visitors.values(), key=lambda one: one.moved)
        latest = {one.name: one for one in there if one.session != session and one.name != name}
        return [latest[one] for one in sorted(latest)]

    def free_name(self, session: str, wanted: str) -> str:
        """The wanted name, or with a number where somebody else here has that name."""
        with self._lock:
            self._forget(time.monotonic())
            taken = {one.name for one in self._visitors.values() if one.session != session}
        numbered = (f"{wanted} {n}" for n in range(2, MOST + 3))
        return wanted if wanted not in taken else next(one for one in numbered if one not in taken)

    def rename(self, session: str, name: str) -> None:
        """Somebody is called otherwise from now on."""
        with self._lock:
            if session in self._visitors:
                self._visitors[session] = replace(self._visitors[session], name=name)


def connected(session: str) -> bool:
    """Whether a session's tab is still open, as far as the server knows."""
    return not runtime.exists() or runtime.get_instance().is_active_session(session)


ROOM = Room()
