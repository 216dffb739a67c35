"""What lm-evaluation-harness may be asked about: models and files of tasks that lie in the workspace. Names, no torch.

A file of a task may run Python (`!function`) and read any path, so it is one that whoever has the workspace's folder
has put there, as verifiers are; nothing that is sent can name another.
"""

from collections.abc import Sequence
from pathlib import Path

from engine.core.checks import is_texts, is_whole
from engine.core.errors import Problem
from engine.core.safe_yaml import names_in
from engine.core.short_names import listed
from engine.core.workspace import within
from engine.spec.starts import PROXY, starts_in

FOLDER = "harness"  # of the workspace: files of tasks, and what they read
RESULTS = f"{FOLDER}/results"  # a folder for each job
PLACES = ("checkpoints", "exports", "experts")  # where models lie
ENDING = ".yaml"
NAMES = {"task", "group", "class"}  # by which the harness knows what a file is
MOST_TASKS = 1000


def models_in(workspace: Path) -> list[str]:
    """The models that can be asked: folders with a config.json, and saved proxies."""
    folders = [path.parent for place in PLACES[:2] for path in (workspace / place).glob("*/config.json")]
    return sorted([*(path.relative_to(workspace).as_posix() for path in folders), *starts_in(workspace)])


def files_in(workspace: Path) -> list[str]:
    """The files of tasks in the workspace's folder."""
    folder = workspace / FOLDER
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(f"*{ENDING}") if path.is_file())


def is_proxy(model: str) -> bool:
    """Whether a model is one saved proxy, and no language model's folder."""
    return model.endswith(PROXY)


def model_in(workspace: Path, model: str) -> Path:
    """The place of a model. Raises Problem for one that is not there, or lies elsewhere than models do."""
    path = within(workspace, model)
    if path.relative_to(workspace).parts[0] not in PLACES or not path.exists():
        there = listed(models_in(workspace), 8) or "none yet"
        raise Problem(
            f"Cannot find the model {model!r} in {', '.join(f'{one}/' for one in PLACES)} of the workspace. "
            f"There are: {there}."
        )
    if path.is_file() != is_proxy(model):
        raise Problem(f"Cannot ask {model!r}: give the folder of a language model, or a proxy's {PROXY} file.")
    return path


def check_asked(workspace: Path, tasks: Sequence[str], limit: int | None) -> None:
    """Raise Problem unless these tasks may be asked: see `HarnessTask`. Names are the harness' own to know."""
    if not is_texts(tasks) or not tasks or not all(tasks) or len(tasks) > MOST_TASKS:
        raise Problem(f"Cannot run the tasks {tasks!r:.80}: name 1 to {MOST_TASKS} of the harness' tasks, or files.")
    if twice := sorted({one for one in tasks if tasks.count(one) > 1}):
        raise Problem(f"Cannot run {twice[0]!r} twice: name it once.")
    if limit is not None and not is_whole(limit, 1, 10**9):
        raise Problem(f"Cannot ask {limit!r} items of each task: give a whole number of at least 1, or none for all.")
    for name in tasks:
        if name.endswith(ENDING):
            task_file(workspace, name)


def task_file(workspace: Path, name: str) -> Path:
    """A file of a task by its name. Raises Problem where it is missing, leaves the folder, or is of no task."""
    folder = workspace / FOLDER
    path = within(folder, name)
    if not path.is_file() or folder.resolve() not in path.resolve().parents:
        there = listed(files_in(workspace), 8) or "none yet"
        raise Problem(f"Cannot find {name!r} in the workspace's folder {FOLDER}/. There are: {there}.")
    try:
        names = names_in(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise Problem(f"Cannot read the task {name!r}: {error}. Correct the file.") from error
    if not NAMES & set(names):
        raise Problem(
            f"Cannot read the task {name!r}: it has no {' or '.join(sorted(NAMES))}. Write it as the harness' own "
            "files, which begin with the name of their task."
        )
    return path


def stamps(place: Path) -> list[list[object]]:
    """The files at a place: name, size, and when each was changed; the harness' own results aside."""
    files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
    results = Path(RESULTS).name
    return [
        [one.name, one.stat().st_size, one.stat().st_mtime_ns]
        for one in files
        if one.exists() and not (place.name == FOLDER and one.relative_to(place).parts[0] == results)
    ]
