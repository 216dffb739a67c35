"""Asked once, done once: a request with a key is answered again instead of being done again.

The key is written down before the request is carried out, and its answer afterwards. Who sends the request again,
because the answer was lost, gets the same answer. Where the server was killed in between, that is said, and nothing is
done.
"""

import json
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from engine.commands import SECRET
from engine.core.errors import Conflict, Problem, Unavailable
from engine.core.people import acting
from engine.core.short_names import digest
from engine.jobs.api import RequestBegun, RequestEnded
from store import requests
from store.database import Store

KEY = re.compile(r"[!-~]{1,200}")

_running: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()  # of keys that somebody waits for
_ends: dict[str, str | None] = {}  # key -> the end of its request, where the disk was too full to write it down
_lock = threading.Lock()


def once(store: Store, key: str, name: str, arguments: dict, do: Callable[[], Any]) -> Any:
    """The result of `do`, or the one that it gave when it was asked with this key before.

    Raises Conflict where the key belongs to another request, or to one that was interrupted; Problem for what is no
    key. A request that is refused may be sent again with its key.
    """
    if not KEY.fullmatch(key):
        raise Problem(f"Cannot use {key[:80]!r} as Idempotency-Key: send 1 to 200 printable ASCII characters.")
    if name in SECRET:
        raise Problem(f"Cannot ask for {name} with an Idempotency-Key: its answer is shown once and kept nowhere.")
    asked = digest([acting().name, name, arguments])
    with _lock:
        own = _running.setdefault(key, threading.Lock())
    with own:
        if key in _ends:
            end(store, key, _ends[key])
        if (before := requests.find(store, key)) is not None:
            return answer_of(before, asked)
        store.write(RequestBegun(key, asked))
        try:
            result = do()
        except BaseException:
            with suppress(Unavailable):
                end(store, key, None)
            raise
        with suppress(Unavailable):  # it is done, whatever the disk says to this
            end(store, key, json.dumps(result))
        return result


def end(store: Store, key: str, answer: str | None) -> None:
    """Write down how a request ended, None for refused. Raises Unavailable on a full disk: then it is kept till the key
    comes again."""
    _ends[key] = answer
    store.write(RequestEnded(key, answer))
    del _ends[key]


def answer_of(before: requests.Request, asked: str) -> Any:
    """What a request with this key was answered."""
    if before.asked != asked:
        raise Conflict("Cannot do that: this Idempotency-Key was sent with another request. Use a new key.")
    if before.answer is None:
        raise Conflict(
            "Cannot say whether that was done: the server stopped while it was at it. Look first (`show`, `jobs`), "
            "then ask again with a new Idempotency-Key if it is missing."
        )
    return json.loads(before.answer)
