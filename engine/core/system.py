"""What the system refuses, in a sentence (the path, what was tried, the cure); standard streams, and how one ends."""

import errno
import io
import os
import signal
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from zipfile import BadZipFile

CURES = {
    errno.ENOSPC: "Free disk space, then try again",
    errno.EDQUOT: "Your quota on that disk is used up: free some of it, then try again",
    errno.EACCES: "You may not use it: choose another place, or ask for its permission",
    errno.EPERM: "You may not use it: choose another place, or ask for its permission",
    errno.ENOENT: "There is nothing of that name: check the path",
    errno.ENOTDIR: "A part of that path is a file, not a folder: check the path",
    errno.EISDIR: "It is a folder: name a file",
    errno.EEXIST: "It exists: choose another name",
    errno.ENAMETOOLONG: "The name is too long: choose a shorter one",
    errno.EINVAL: "It cannot be used for this: choose another file",
    errno.ELOOP: "Its links lead in a circle: name the file itself",
    errno.EROFS: "That disk can only be read: choose another place",
    errno.EMFILE: "Too many files are open: raise `ulimit -n`, or run fewer jobs at once",
    errno.ENFILE: "Too many files are open on this machine: stop something, then try again",
    errno.EIO: "The disk does not answer as it should: check it, and keep a copy elsewhere",
    errno.ESTALE: "The network disk has lost it: mount it again",
}

OTHERWISE = "Check the path, the disk and its permissions, then try again"
# What reading a text file and taking it apart may raise: the system, the text's encoding, its syntax, its depth.
UNREADABLE = (OSError, ValueError, RecursionError)
# What reading arrays from an .npz file may raise: a zip file's damaged directory or parts, arrays other than expected.
DAMAGED = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError),
    *(BadZipFile, zlib.error),
)


def read_fault(error: Exception, cure: str) -> str:
    """Why a file cannot be read and what to do, as the end of a sentence.

    cure: a sentence on what is in the file; for what the system refuses the cure is the system's.
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}. {CURES.get(error.errno or 0, OTHERWISE)}."
    if isinstance(error, UnicodeDecodeError):
        return f"its byte {error.start + 1:,} is no {error.encoding} text. {cure}"
    return f"{'it is nested too deep' if isinstance(error, RecursionError) else error}. {cure}"


def sentence_of(error: OSError, doing: str = "do that") -> str:
    """Why something could not be done. doing: what was tried, after "Cannot"."""
    names = [str(name) for name in (error.filename, error.filename2) if name not in (None, "")]
    where = f" with {' and '.join(names)}" if names else ""
    cure = CURES.get(error.errno or 0, OTHERWISE)
    return f"Cannot {doing}{where}: {error.strerror or error}. {cure}."


def hold_standard_streams() -> None:
    """Open what was closed of standard input, output and errors (`2>&-`) to nothing: the next file that is opened would
    take its number, and what a library prints would be written into a lock or the database. And print letters that a
    terminal's encoding has not as escapes: a name is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest that is free
        os.set_inheritable(number, True)
    os.close(number)


INTERRUPTED = "Query interrupted"  # what DuckDB makes of a Ctrl-C in the middle of a query
ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def like_ctrl_c() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP end things as Ctrl-C does, and what is unfinished is cleared away; another one while
    that goes on changes nothing. Who has them ignored (nohup) keeps that."""
    taken = [one for one in ENDING if signal.getsignal(one) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        taken = []

    ended: list[int] = []

    def end(number: int, _: object) -> None:
        ended.append(number)
        for one in taken:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    for one in taken:
        signal.signal(one, end)
    try:
        yield
    except RuntimeError as error:
        if str(error) != INTERRUPTED:
            raise
        raise KeyboardInterrupt(*ended) from error
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


def end_now(code: int) -> None:
    """End the process with what was printed, and without the interpreter's own end: a Ctrl-C during that is told as a
    fault, and so is what libraries still hold then."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the terminal may be gone
            stream.flush()
    os._exit(code)
