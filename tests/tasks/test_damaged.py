"""Files of a workspace's tasks and answers that are damaged: named, and in nobody's way."""

import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.service.owner import clear_left
from engine.studies import tasks
from engine.tasks import outcomes
from engine.tasks.bigbench import METRICS
from engine.tasks.files import from_bytes
from engine.tasks.generated import generate
from engine.tasks.lines import ANSWERS, CHOICES, PARTS, PROMPTS
from engine.tasks.task import check_task
from tests.support.mutations import CHANGES, FUZZ, damaged, json_values


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


WORDS = st.sampled_from(["a", "B", "1", "red", "-1", ""]) | st.integers(-1, 3)
ANY = json_values(WORDS | st.lists(WORDS, max_size=3))
ROWS = st.lists(
    st.dictionaries(st.sampled_from(("question", "choices", "answer")), WORDS | st.just(["a", "1", "red"]) | ANY)
    | st.dictionaries(st.sampled_from((*PROMPTS, *PARTS, *CHOICES, *ANSWERS, "id")), ANY, max_size=4)
    | ANY,
    max_size=4,
)
EXAMPLES = st.lists(st.dictionaries(st.sampled_from(("input", "target", "target_scores")), ANY), max_size=3) | ANY
BIGBENCH = st.fixed_dictionaries(
    {"examples": EXAMPLES},
    optional={
        "metrics": ANY | st.lists(st.sampled_from([*METRICS, "bleu"])),
        "preferred_score": ANY,
        "task_prefix": ANY,
        "stop_string": ANY,
        "description": ANY,
    },
)
FILES = [
    json.dumps([{"question": "1 + 1", "choices": ["2", "3"], "answer": one} for one in (0, "A")]).encode(),
    "\n".join(json.dumps({"text": f"t{k}", "label": k % 2}) for k in range(4)).encode(),
    json.dumps({"examples": [{"input": "a", "target_scores": {"x": 1, "y": 0}}] * 2, "metrics": []}).encode(),
]


def takes(data: bytes) -> None:
    try:
        check_task(from_bytes(data, "t"))
    except Problem as problem:
        assert len(str(problem)) > 20


def written(rows, whole, as_lines: bool) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode() if as_lines else json.dumps(whole or rows).encode()


@settings(FUZZ, max_examples=60)
@given(rows=ROWS, whole=st.none() | BIGBENCH, as_lines=st.booleans(), file=st.sampled_from(FILES), changes=CHANGES)
@pytest.mark.slow
def test_any_task_is_read_or_a_sentence(rows, whole, as_lines, file, changes):
    takes(written(rows, whole, as_lines))
    takes(damaged(file, changes))


@pytest.mark.soak
@settings(FUZZ, max_examples=4000)
@given(rows=ROWS, whole=st.none() | BIGBENCH, as_lines=st.booleans(), file=st.sampled_from(FILES), changes=CHANGES)
def test_any_task_is_read_or_a_sentence_long(rows, whole, as_lines, file, changes):
    takes(written(rows, whole, as_lines))
    takes(damaged(file, changes))
