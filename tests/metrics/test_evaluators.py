"""Programs that get a merged checkpoint and tell its metrics: a study with one, and all that may be wrong with one."""

import math
import os
import shutil
import time

import pytest

from engine.core.errors import Problem, Stopped
from engine.core.workspace import Workspace
from engine.metrics.evaluators import evaluated, programs_in, try_evaluators
from engine.spec.merge import MergeSpec
from store import runs, studies
from store.database import Store
from tests.support.running import answer, copied, said

SIZE = """
import json, pathlib, sys
from safetensors import safe_open
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
folder, size = pathlib.Path(given["--checkpoint"]), 0.0
assert (folder / "config.json").exists() and (folder / "tokenizer.json").exists()
for file in folder.glob("*.safetensors"):
    with safe_open(file, "numpy") as tensors:
        size += sum(float((tensors.get_tensor(name).astype("float64") ** 2).sum()) for name in tensors.keys())
told = {"metrics": {"size": size**0.5, "one": 1}, "stderr": {"size": 0.5}}
pathlib.Path(given["--out"]).write_text(json.dumps(told))
"""
STUDY = """
name = "Judged"
corpus = "small"
domains = ["python", "prose"]
runs = 8
surrogates = ["ridge"]
[merge]
base = "base"
experts = {python = "python", prose = "prose"}
eval_bytes = 2048
[merge.evaluators]
"size.py" = {size = "lower", one = "higher"}
"odd.py" = {odd = "lower"}
"""
ODD = """
import pathlib, sys
calls = pathlib.Path(__file__).with_suffix(".calls")
calls.write_text("x" + (calls.read_text() if calls.exists() else ""))
if len(calls.read_text()) == 3:
    sys.exit(3)
pathlib.Path(sys.argv[4]).write_text('{"metrics": {"odd": %d}}' % len(calls.read_text()))
"""


@pytest.mark.slow
def test_a_study_measures_what_a_program_tells_of_its_merges(finished, tiny_llamas, tmp_path):
    """The length of all weights, as a program reads it from the checkpoint that it is given."""
    pytest.importorskip("transformers", reason="transformers is not installed: requirements-transformers.txt")
    from engine.merging.measuring.language_models import loaded

    desk = copied(finished, tmp_path / "workspace")
    shutil.copytree(tiny_llamas, desk / "checkpoints", dirs_exist_ok=True)
    (tmp_path / "study.toml").write_text(STUDY)
    assert "put a program of that name into the folder evaluators" in said(desk, "start", str(tmp_path / "study.toml"))
    (desk / "evaluators").mkdir()
    (desk / "evaluators" / "size.py").write_text(SIZE)
    (desk / "evaluators" / "odd.py").write_text(ODD)
    answer(desk, "start", str(tmp_path / "study.toml"), "--wait")
    store = Store(Workspace.open(desk))
    study = studies.get(store, "Judged")
    table = runs.table(store, study.id).to_pylist()
    rows = {row["label"]: row for row in table if row["label"]}
    store.close()
    assert study.metrics == ["prose", "python", "size", "one", "odd"]
    assert [one.higher_is_better for one in study.objectives] == [False, False, False, True, False]
    (lost,) = [row for row in table if row["message"]]
    assert lost["message"].startswith("Cannot measure by the evaluator 'odd.py': it ended with 3")
    assert lost["state"] == "done" and lost["losses"][4] is None and None not in lost["losses"][:4], "nothing else"
    for label, folder in (("base", "base"), ("python alone", "python")):
        model, _ = loaded(tiny_llamas / folder, "cpu")
        known = math.sqrt(sum(float(value.double().square().sum()) for value in model.parameters()))
        assert rows[label]["losses"][2:4] == pytest.approx([known, 1], rel=1e-5)
    assert rows["base"]["losses"][2] != rows["python alone"]["losses"][2]


def made(workspace, text: str, name: str = "own.py"):
    (workspace / "evaluators").mkdir(exist_ok=True)
    (workspace / "evaluators" / name).write_text(text)
    checkpoint = workspace / "checkpoint"
    checkpoint.mkdir(exist_ok=True)
    return checkpoint


WRITES = "import sys, pathlib; pathlib.Path(sys.argv[4]).write_text({!r})"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise SystemExit(3)", "it ended with 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "it was ended by SIGKILL"),
        ("pass", "without writing the result"),
        (WRITES.format("{"), "is not JSON"),
        (WRITES.format("[" * 100_000), "is not JSON"),
        (WRITES.format("[1]"), 'has no "metrics" by name'),
        (WRITES.format('{"metrics": {"other": 1}}'), "told nothing of 'score'. The metrics that it told are other"),
        (WRITES.format('{"metrics": {"score": "much"}}'), "'much' of 'score' is not a number"),
        (WRITES.format('{"metrics": {"score": NaN}}'), "nan of 'score' is not a number"),
        (WRITES.format('{"metrics": {"score": true}}'), "True of 'score' is not a number"),
        (WRITES.format(" " * (2 << 20)), "larger than 1 MB"),
    ],
)
def test_what_a_program_does_wrong_is_said(tmp_path, text, words):
    checkpoint = made(tmp_path, text)
    with pytest.raises(Problem) as refused:
        evaluated("own.py", ["score"], tmp_path, checkpoint, lambda: None)
    assert words in str(refused.value)
    assert list(tmp_path.glob("*.json")) == []


def test_programs_are_tried_on_the_base_whose_folder_stays_as_it_is(tmp_path):
    base = tmp_path / "models" / "base"
    base.mkdir(parents=True)
    (base / "config.json").write_text("{}")
    link = tmp_path / "base"
    link.symlink_to(base)
    reads = "; at = pathlib.Path(sys.argv[2]); (at / 'more').write_text((at / 'config.json').read_text())"
    made(tmp_path, WRITES.format('{"metrics": {"score": 1}}') + reads)
    try_evaluators({"own.py": {"score": "higher"}}, tmp_path, link, lambda: None)
    assert [one.name for one in base.iterdir()] == ["config.json"]
    with pytest.raises(Problem, match=r"told nothing of 'other'.*It was tried on the base, and nothing is merged"):
        try_evaluators({"own.py": {"other": "higher"}}, tmp_path, link, lambda: None)
    assert programs_in(tmp_path) == ["own.py"] and programs_in(tmp_path / "none") == []


def test_numbers_and_errors_are_read(tmp_path):
    told = {"metrics": {"score": 0.5, "more": 3}, "stderr": {"score": 0.1, "more": None}}
    checkpoint = made(tmp_path, WRITES.format(str(told).replace("'", '"').replace("None", "null")))
    values, errors = evaluated("own.py", ["more", "score"], tmp_path, checkpoint, lambda: None)
    assert values == [3, 0.5] and math.isnan(errors[0]) and errors[1] == 0.1


def test_a_program_and_its_children_end_with_the_job(tmp_path):
    text = "import subprocess, sys, time\nchild = subprocess.Popen(['sleep', '300'])\n"
    text += f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\ntime.sleep(300)"
    checkpoint = made(tmp_path, text)

    def beat():
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise Stopped

    with pytest.raises(Stopped):
        evaluated("own.py", ["score"], tmp_path, checkpoint, beat)
    pid, deadline = int((tmp_path / "pid").read_text()), time.monotonic() + 20
    while time.monotonic() < deadline and runs_still(pid):
        time.sleep(0.05)
    assert not runs_still(pid)


def runs_still(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def test_only_programs_of_the_workspace_are_run(tmp_path):
    made(tmp_path, "pass")
    (tmp_path / "outside.py").write_text("pass")
    (tmp_path / "evaluators" / "link.py").symlink_to(tmp_path / "outside.py")
    for name in ("../outside.py", "link.py", "none.py"):
        with pytest.raises(Problem):
            evaluated(name, ["score"], tmp_path, tmp_path / "checkpoint", lambda: None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"a.py": {}}, "name its metrics and which way is better"),
        ({"a.py": {"x": "up"}}, "which way is better"),
        ({"a.py": ["x"]}, "an object of objects of strings"),
        ({"a.py": {"x": "lower"}, "b.py": {"x": "higher"}}, "'x' twice"),
        (["a.py"], "an object of objects of strings"),
    ],
)
def test_evaluators_of_a_study_name_their_metrics(given, words):
    with pytest.raises(Problem, match=words):
        MergeSpec(base="base", experts={"python": "python"}, evaluators=given)
    with pytest.raises(Problem, match="they take checkpoints"):
        MergeSpec(evaluators={"a.py": {"x": "lower"}})
