"""The workspace: the one folder that holds everything of an installation, its version and its locks."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.core.errors import Problem
from engine.core.files import open_regular, write_text
from engine.core.short_names import listed
from engine.core.shown import shown

VERSION = 1  # of the folder's layout; a newer one is refused, never half read
MOST_VERSION = 100  # bytes of the file that says it
OWNER_JOURNAL = Path("journal", "owner", "events.jsonl")  # what people decided
TASKS = "tasks"  # the folder of what people added without a line of it: items that models answer
# What people may lay into a folder before it becomes a workspace; what says that it is meant for one, or was one; and
# what systems leave in folders that are empty.
PREPARED = {"imports", "exports", "experts", "checkpoints", "corpora", "evaluators", TASKS}
SIGNS = ("version", "access.toml", "mixdesk.duckdb", str(OWNER_JOURNAL), "jobs/queued")
OF_SYSTEMS = re.compile(
    r"lost\+found|Thumbs\.db|desktop\.ini|@eaDir|System Volume Information|\$RECYCLE\.BIN|aquota\..*|"
    r"\.(fseventsd|Spotlight-.*|TemporaryItems|AppleDouble|apdisk|snapshots|zfs)|"
    r"\.(DS_Store|gitkeep|gitignore|keep|directory|snapshot|Trash.*|nfs.*|stfolder)|"
    r"nohup\.out|[^.].*\.log|"  # what a process writes that was started with its output into the folder
    r"\.(version|secret)\..*|(owner|worker)\.lock|secret"  # the last: of a process that starts at this moment
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Workspace:
    """A folder with `version`, `mixdesk.duckdb`, `journal/`, `jobs/`, `corpora/`, `surrogates/`."""

    root: Path

    @classmethod
    def open(cls, root: Path | None = None) -> "Workspace":
        """Open or create a workspace (default: $MIXDESK_WORKSPACE, else ./workspace).

        Raises Problem for one from a newer Mixdesk, for a folder that cannot be written, and for one that holds other
        things.
        """
        root = path_of(root)
        version_file = root / "version"
        try:
            root.mkdir(parents=True, exist_ok=True)
            if not version_file.exists():
                refuse_foreign(root)
                write_text(version_file, str(VERSION))  # atomically: page and worker may both be starting
            with open_regular(version_file) as file:
                found = file.read(MOST_VERSION).decode(errors="replace").strip()
        except OSError as error:
            raise Problem(
                f"Cannot use {root} as workspace: {error.strerror}. Choose a folder that you can write to, "
                "with --workspace or MIXDESK_WORKSPACE."
            ) from error
        if not found.isdecimal():
            raise Problem(
                f"Cannot open the workspace {root}: its file `version` holds {shown(found)}, and no number. If the "
                f"folder is one of Mixdesk's, write {VERSION} into that file; else choose another workspace with "
                "MIXDESK_WORKSPACE. Nothing was changed."
            )
        if int(found) > VERSION:
            raise Problem(
                f"Cannot open the workspace {root}: its version is {found!r}, and this Mixdesk knows up to {VERSION}. "
                "Update Mixdesk, or choose another workspace with MIXDESK_WORKSPACE. Nothing was changed."
            )
        return cls(root)

    @classmethod
    def there(cls, root: Path | None = None) -> "Workspace":
        """Open one that exists. Raises Problem, and creates nothing, where there is none."""
        found = path_of(root)
        if not (found / "version").exists():
            raise Problem(f"Cannot use {found}: there is no workspace. Name one with --workspace or MIXDESK_WORKSPACE.")
        return cls.open(found)

    @classmethod
    @contextmanager
    def for_a_first_decision(cls, root: Path | None = None) -> Iterator["Workspace"]:
        """Open a workspace, or create it for the block; one that was created, and in which nothing was decided, goes
        again, so that a mistyped name leaves nothing behind. Raises Problem where its parent folder is missing."""
        root = path_of(root)
        if (root / "version").exists():
            yield cls.open(root)
            return
        if not root.parent.exists():
            near = next((one for one in root.parents if one.is_dir()), root.parent)
            raise Problem(
                f"Cannot make the workspace {root}: there is no folder {root.parent}. The nearest that is there is "
                f"{near}. Correct the path of --workspace or MIXDESK_WORKSPACE, or make that folder first. "
                "Nothing was changed."
            )
        before = set(root.iterdir()) if root.is_dir() else set()
        if before:
            refuse_foreign(root)
        created = [folder for folder in (root, *root.parents) if not folder.exists()]
        try:
            yield cls.open(root)
        finally:
            if root.is_dir():  # else it could not be made, and says so
                cls(root).clear_unused(before, created)

    def clear_unused(self, before: set[Path], created: list[Path]) -> None:
        """Remove a workspace in which nothing was decided or added. before: what else lies in its folder, and stays;
        created: the folders that go with it, where they are empty. What another process uses stays as it is."""
        journal = self.root / OWNER_JOURNAL
        decided = journal.exists() and journal.stat().st_size
        if self.is_held("worker") or decided or any((self.root / TASKS).glob("*.json")):
            return
        with suppress(Problem, OSError):  # somebody owns it by now, or it could not even be made
            descriptor = self.lock("owner")
            for one in set(self.root.iterdir()) - before:
                if one.is_dir() and not one.is_symlink():
                    shutil.rmtree(one, ignore_errors=True)
                else:
                    one.unlink(missing_ok=True)
            os.close(descriptor)
        for folder in created:
            with suppress(OSError):  # something lies in it
                folder.rmdir()

    def lock(self, role: str) -> int:
        """Become the one "owner" (of the database) or "worker" of this workspace; returns the lock's descriptor.

        Raises Problem when a living process is that already. The lock ends with the process, however it ends.
        """
        descriptor = os.open(self.root / f"{role}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        for wait in (0.05, 0.1, 0):  # somebody may only be asking whether it is held
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(wait)
        else:
            holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise Problem(
                f"Cannot be the {role} of {self.root}: {holder or 'another process'} is that already. Use that one, "
                "stop it first, or set MIXDESK_WORKSPACE to another folder. Nothing was lost."
            )
        with suppress(OSError):  # the name serves only the sentence above: a full disk does not matter here
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
        return descriptor

    def is_held(self, role: str) -> bool:
        """Whether a living process has that role."""
        try:
            descriptor = os.open(self.root / f"{role}.lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def corpus(self, name: str) -> Path:
        """The folder of a corpus. Raises Problem for a name that could leave the workspace."""
        return self.root / "corpora" / checked_name(name, "corpus")

    def surrogates(self, study: str, fingerprint: str) -> Path:
        """The folder of the surrogates fitted on one set of runs of a study."""
        return self.root / "surrogates" / checked_name(study, "study") / checked_name(fingerprint, "fingerprint")

    def free_bytes(self) -> int:
        """Disk space left where the workspace lies."""
        usage = os.statvfs(self.root)
        return usage.f_bavail * usage.f_frsize


def refuse_foreign(root: Path) -> None:
    """Raise Problem for a folder that is no workspace and holds what belongs to somebody else: a mistyped path, or a
    folder of documents, is not filled with a workspace's files."""
    names = sorted(one.name for one in root.iterdir())
    foreign = [one for one in names if one not in PREPARED and not OF_SYSTEMS.fullmatch(one)]
    # Looked at last: page and worker start together, and by now the other one may have made the workspace.
    if foreign and not any((root / one).exists() for one in SIGNS):
        raise Problem(
            f"Cannot make a workspace of {root}: it holds other things ({listed([shown(one) for one in foreign], 4)}). "
            f"Name a new or an empty folder, such as {root / 'mixdesk'}, with --workspace or MIXDESK_WORKSPACE. "
            "Nothing was changed."
        )


def path_of(root: Path | None) -> Path:
    """Where a workspace lies: the folder that was named, else $MIXDESK_WORKSPACE, else ./workspace."""
    return Path(root or os.environ.get("MIXDESK_WORKSPACE", "workspace")).expanduser().resolve()


def checked_name(name: str, what: str) -> str:
    """The name, if it can stand as a folder's. Raises Problem otherwise."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Problem(
            f"Cannot use {shown(name)} as the name of a {what}: use 1 to 64 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit."
        )
    return name


def within(folder: Path, name: str) -> Path:
    """A path below a folder, links in it not followed. Raises Problem for one that would leave it."""
    path = Path(os.path.normpath(folder / str(name)))
    if not str(name).strip() or "\0" in str(name) or folder not in path.parents:
        raise Problem(f"Cannot use {shown(name)}: it must be a path below {folder}, and must not leave it.")
    return path
