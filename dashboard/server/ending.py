"""How the server ends when it is told to: what it answers may finish, for a moment; nothing holds it up for long."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

GRACE_SECONDS = 1.0  # for what is being answered, before its queries are interrupted
LONGEST_SECONDS = 8.0  # until the process ends, whatever it is at: journals are written to be killed (docs/DESIGN.md)
AGAIN_SECONDS = 0.05  # between two interruptions: a page asks one query after the other


def end_soon(interrupt: Callable[[], None], before_end: Callable[[], object]) -> None:
    """Answer SIGTERM and SIGINT from now on in a few seconds; the handlers that are there come first, so that the
    server ends by itself where it can. interrupt: ends the queries that run; before_end: called where it cannot.

    Call it in the main thread; in any other it does nothing, as only that one hears signals.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    told = threading.Event()

    def hurry(number: int) -> None:
        time.sleep(GRACE_SECONDS)
        deadline = time.monotonic() + LONGEST_SECONDS - GRACE_SECONDS
        while time.monotonic() < deadline:
            interrupt()
            time.sleep(AGAIN_SECONDS)
        before_end()
        os._exit(128 + number)

    def handler_after(there: object) -> Callable[[int, FrameType | None], None]:
        def end(number: int, frame: FrameType | None) -> None:
            if not told.is_set():
                told.set()
                threading.Thread(target=hurry, args=(number,), name="ending", daemon=True).start()
            if callable(there):
                there(number, frame)

        return end

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, handler_after(signal.getsignal(one)))
