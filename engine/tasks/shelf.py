"""The tasks of a workspace on disk: one file each, never changed once it is there, so that runs compare."""

import json
from collections.abc import Sequence
from pathlib import Path

from engine.core.errors import Problem
from engine.core.files import check_room, write_json
from engine.core.short_names import listed
from engine.core.system import UNREADABLE, read_fault
from engine.core.workspace import within
from engine.tasks.task import EvalTask, check_task

FOLDER = "tasks"


def names(workspace: Path) -> list[str]:
    """The tasks that there are, sorted."""
    return sorted(path.stem for path in (workspace / FOLDER).glob("*.json"))


def check_new(workspace: Path, task: EvalTask) -> Path:
    """Where a task may be saved. Raises Problem if it cannot be measured, or its name is taken by another."""
    check_task(task)
    path = file_of(workspace, task.name)
    if path.exists() and (there := load(workspace, task.name)) != task:
        other = "other items" if there.items != task.items else "the same items, measured or shown in another way"
        raise Problem(f"Cannot add the task {task.name!r}: there is one of that name with {other}. Choose another.")
    return path


def save(workspace: Path, task: EvalTask) -> None:
    """Add a task; the same one again changes nothing. Raises Problem as `check_new` does."""
    path = check_new(workspace, task)
    check_room(workspace)
    path.parent.mkdir(exist_ok=True)
    write_json(path, task.to_dict())


def load(workspace: Path, name: str) -> EvalTask:
    """Raises Problem for a task that is not there, or is damaged."""
    path = file_of(workspace, name)
    check_there(workspace, name)
    try:
        return EvalTask.read(json.loads(path.read_text("utf-8")), f"the task {name!r}")
    except UNREADABLE as error:
        raise Problem(
            f"Cannot read the task {name!r}: {read_fault(error, 'Take it from a backup, or remove it.')}"
        ) from error


def check_there(workspace: Path, name: str) -> None:
    """Raise Problem for a task that is not there."""
    if name not in (known := names(workspace)):
        there = f"Choose one of {listed(known)}." if known else "Add it first."
        raise Problem(f"Cannot find the task {name!r}. {there}")


def loaded(workspace: Path, chosen: Sequence[str]) -> list[EvalTask]:
    """The tasks of these names, each once."""
    return [load(workspace, name) for name in dict.fromkeys(chosen)]


def file_of(workspace: Path, name: str) -> Path:
    """Where a task lies."""
    return within(workspace / FOLDER, f"{name}.json")
