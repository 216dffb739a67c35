"""A process pool for one job's tasks, which ends with the job.

The children are spawned (a fork of a process with threads may hang) and inherit the one-thread settings that jobs run
under. Each watches a pipe whose other end only the parent holds: when the block ends early, or the parent is killed,
the pipe closes and they exit at once, in the middle of a task. So no process is left behind by a cancelled job.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from engine.core.errors import Problem

POLL_SECONDS = 0.5  # how often `tick` is called while tasks run

Do = Callable[..., Iterator[tuple[int, Any]]]
Function = Callable[..., Any]
Tick = Callable[[int, int], None]
Tasks = Sequence[tuple[Any, ...]]
_shared: Any = None  # the input shared by this child's tasks


@contextmanager
def process_pool(size: int, shared: Any) -> Iterator[Do]:
    """Yields do(function, tasks, tick): (place, function(shared, *task)) of each task as it ends, in any order.

    size: processes; 1 works in this one. function and shared are pickled; shared is sent once. tick(done, total) is
    called at least twice a second, and may raise to stop. Raises Problem if a child was killed.
    """
    if size == 1:
        yield lambda function, tasks, tick: _alone(shared, function, tasks, tick)
        return
    context = multiprocessing.get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(size, context, _begin, (watched, shared))
    try:
        yield lambda function, tasks, tick: _together(pool, function, tasks, tick)
        pool.shutdown()
    finally:
        held.close()
        pool.shutdown(cancel_futures=True)
        watched.close()


def _alone(shared: Any, function: Function, tasks: Tasks, tick: Tick) -> Iterator[tuple[int, Any]]:
    for place, task in enumerate(tasks):
        tick(place, len(tasks))
        yield place, function(shared, *task)


def _together(pool: ProcessPoolExecutor, function: Function, tasks: Tasks, tick: Tick) -> Iterator[tuple[int, Any]]:
    running = {pool.submit(_do, function, task): place for place, task in enumerate(tasks)}
    try:
        while running:
            tick(len(tasks) - len(running), len(tasks))
            done, _ = wait(running, POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
    except BrokenProcessPool as error:
        raise Problem(
            "Cannot finish: one of this job's processes was killed, perhaps because memory ran out. Retry the job."
        ) from error


def _begin(watched: Connection, shared: Any) -> None:
    """Initialise a child."""
    global _shared
    _shared = shared
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # signals reach the whole group: the parent stops, and this ends with it
    threading.Thread(target=_go_with, args=(watched,), daemon=True).start()


def _go_with(watched: Connection) -> None:
    """End this process when the other end of the pipe is gone."""
    multiprocessing.connection.wait([watched])
    os._exit(1)


def _do(function: Function, task: tuple[Any, ...]) -> Any:
    return function(_shared, *task)
