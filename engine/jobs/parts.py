"""What is written for long and appears at once: merged checkpoints, backups, restored workspaces.

It is made in a hidden folder beside its destination, whose lock is held meanwhile. A lock that is free tells whoever
writes into that place next that its process was killed, and that the folder can go.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from engine.jobs.spool import try_lock

WHOLE = "whole"  # in a part: what will be moved to its destination


@contextmanager
def part_of(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out`, removed at the end with its content.

    Its lock is held while the process lives: parts of killed processes are removed here first. Parents of `out` that
    were created for it are removed as well if they are empty.
    """
    made = [folder for folder in out.absolute().parents if not folder.exists()]
    part = None
    with ExitStack() as locks:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            sweep(out.parent)
            part = Path(tempfile.mkdtemp(prefix=f".{out.name}.part-", dir=out.parent))
            with suppress(OSError):  # some file systems have no locks: there, parts of killed processes stay
                locks.enter_context(try_lock(part))
            yield part
        finally:
            if part:
                shutil.rmtree(part, ignore_errors=True)
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()


def sweep(folder: Path) -> None:
    """Remove the parts in a folder whose processes have ended. A part is locked before WHOLE exists in it."""
    for whole in folder.glob(f".*.part-*/{WHOLE}"):
        with suppress(OSError), try_lock(whole.parent) as lock:
            if lock is not None:
                shutil.rmtree(whole.parent, ignore_errors=True)


def placed(finished: Path, out: Path) -> None:
    """Move what is finished to its destination. Raises OSError, with both names, if something is there."""
    if finished.is_dir():
        os.rename(finished, out)  # fails for an existing file, or a folder that is not empty
        return
    try:
        os.link(finished, out)
    except OSError as error:  # some file systems have no links
        if os.path.lexists(out):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(finished), None, str(out)) from error
        os.rename(finished, out)
