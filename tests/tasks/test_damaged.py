"""Files of a workspace's tasks and answers that are damaged: named, and in nobody's way."""

import zipfile

import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.service.owner import clear_left
from engine.studies import tasks
from engine.tasks import outcomes
from engine.tasks.generated import generate


def test_a_damaged_task_hides_no_other_and_can_be_removed(store):
    for name in ("good", "torn"):
        tasks.add(store, generate("brackets", name, 4, 1))
    torn = store.workspace.root / "tasks" / "torn.json"
    torn.write_text(torn.read_text()[:100])
    good, bad = COMMANDS["list_tasks"](store)
    assert good["items"] == 4 and bad["name"] == "torn" and "Take it from a backup, or remove it" in bad["problem"]
    with pytest.raises(Problem, match="the task 'torn'"):
        COMMANDS["show_task"](store, "torn")
    COMMANDS["remove_task"](store, "torn")
    assert [one["name"] for one in COMMANDS["list_tasks"](store)] == ["good"]
    with pytest.raises(Problem, match="Cannot find the task 'torn'"):
        COMMANDS["remove_task"](store, "torn")


@pytest.mark.parametrize("damage", ["no zip", "cut off", "bytes", "other arrays"])
def test_damaged_answers_are_named(tmp_path, damage):
    path = tmp_path / "run-1.npz"
    answered = outcomes.Outcome(scores=outcomes.np.array([1.0, 0.0]), answers=["a" * 400, "b"])
    outcomes.save(path, {"t": answered})
    assert outcomes.load(path)["t"].answers == answered.answers
    whole = path.read_bytes()
    if damage == "no zip":
        path.write_bytes(b"PK\x03\x04" + bytes(100))
    elif damage == "cut off":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "bytes":
        path.write_bytes(whole[:60] + bytes(30) + whole[90:])
    else:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("scores t.npy", b"x")
    with pytest.raises(Problem, match="Cannot read the answers of run-1"):
        outcomes.load(path)


@pytest.mark.parametrize("place", ["tasks", "imports/Mine/metrics", "imports/uploads/0a1b", "uploads/web/a"])
def test_what_killed_writers_left_goes_with_the_next_start(workspace, place):
    folder = workspace.root / place
    folder.mkdir(parents=True)
    (folder / ".closing.json.1a2b3c4d.part").write_text("{")
    (folder / "closing.json").write_text("{}")
    clear_left(workspace.root)
    assert [path.name for path in folder.iterdir()] == ["closing.json"]
