"""The watched folder: results of planned runs that arrive as files in the workspace's folder `results`.

A file is taken once it has been the same for two looks, so one that is still being copied waits. It goes into `taken`,
with what was left out of it beside it, or, with the reason, into `refused`; nothing is lost. Only the owner looks.
"""

import logging
import os
import shutil
from pathlib import Path

from engine.core.errors import Problem, Unavailable
from engine.core.files import write_text
from engine.core.shown import bounded
from engine.core.system import sentence_of
from engine.studies.result_files import MOST_BYTES, by_study, runs_in
from engine.studies.submissions import MOST, submit_runs
from store.database import Store

FOLDER, TAKEN, REFUSED = "results", "taken", "refused"
SUFFIXES = (".json", ".jsonl")
Stamp = tuple[int, int]  # bytes, and when it was written

log = logging.getLogger("mixdesk.results")


class ResultsFolder:
    """The folder of a workspace; `take` is called again and again."""

    def __init__(self, root: Path):
        self.folder = root / FOLDER
        self.seen: dict[str, Stamp] = {}  # of files at the last look
        self.stuck: dict[str, Stamp] = {}  # of files that could be neither taken nor refused

    def take(self, store: Store) -> int:
        """Take the files that have come; how many there were. A full disk raises, and what is left waits."""
        there = self.files()
        ready = [name for name, stamp in there.items() if self.seen.get(name) == stamp != self.stuck.get(name)]
        self.seen = there
        for name in sorted(ready):
            try:
                self.take_one(store, self.folder / name)
            except OSError as error:  # it cannot even be moved away: left alone until it changes
                log.warning("%s", sentence_of(error, f"take the results in {name}"))
                self.stuck[name] = there[name]
        return len(ready)

    def files(self) -> dict[str, Stamp]:
        """The files that lie there, with their stamps; none where there is no folder."""
        try:
            with os.scandir(self.folder) as entries:
                named = [one for one in entries if one.name.endswith(SUFFIXES) and not one.name.startswith(".")]
                stats = {one.name: one.stat() for one in named if one.is_file(follow_symlinks=False)}
        except OSError:
            return {}
        return {name: (one.st_size, one.st_mtime_ns) for name, one in stats.items()}

    def take_one(self, store: Store, path: Path) -> None:
        """Submit what a file holds, and move it away."""
        notes: list[str] = []
        try:
            if path.stat().st_size > MOST_BYTES:
                raise Problem(f"Cannot read {path.name}: it has more than {MOST_BYTES >> 20} MiB. Send it in parts.")
            for study, runs in by_study(store, runs_in(path.read_text("utf-8", "replace"), path.name)).items():
                for first in range(0, len(runs), MOST):
                    notes += submit_runs(store, study, runs[first : first + MOST])["notes"]
        except Unavailable:  # a full disk, say: it waits
            raise
        except (Problem, OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            target, why = self.move(path, REFUSED), str(error)
            if isinstance(error, OSError):
                why = sentence_of(error, "read the file")
            elif not isinstance(error, Problem):  # one file stops no other, nor the journals that are read after it
                log.exception("%s cannot be taken", path.name)
                why = f"Cannot take {path.name}: {type(error).__name__}: {error}"
            write_text(target.with_name(f"{target.name}.why.txt"), f"{bounded(why)}\n")
        else:
            target = self.move(path, TAKEN)
            if notes:
                write_text(target.with_name(f"{target.name}.notes.txt"), "\n".join(dict.fromkeys(notes)) + "\n")

    def move(self, path: Path, where: str) -> Path:
        """Move a file into a folder of the folder; one of that name that is there already stays."""
        target = self.folder / where / path.name
        target.parent.mkdir(exist_ok=True)
        place = 1
        while target.exists():
            place += 1
            target = self.folder / where / f"{path.stem}-{place}{path.suffix}"
        shutil.move(path, target)
        return target
