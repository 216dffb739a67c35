"""Verifiers: functions, and programs that answer, hang, print a gigabyte, say nonsense, or are not there."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.metrics import verifiers
from engine.metrics.verifiers import VERIFIERS, check_verifier, try_verifier, verdicts
from engine.tasks.task import EvalTask, Item, Sampling

ITEMS = [Item("1+1=", ["2"]), Item("2+2=", ["4"])]
SAID = [[["2", "3"], ["so it is 4", "5"]]]  # of one model: two samples of each item


def task(verifier: str) -> EvalTask:
    return EvalTask("sums", ["best_of_n"], ITEMS, "by hand", sampling=Sampling(samples=2, verifier=verifier))


def program(workspace, text: str, name: str = "mine.py"):
    folder = workspace / "verifiers"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return workspace


OF_FUNCTIONS = [("exact", [1, 0, 0, 0]), ("last_number", [1, 0, 1, 0]), ("contains", [1, 0, 1, 0])]
JUDGE = """
import json, sys
for line in sys.stdin:
    one = json.loads(line)
    print(float(one["right"][0] in one["answer"]))
"""
NOSY = """
import os, subprocess
subprocess.Popen(["sleep", "1000"])
print(*[float("MIXDESK_SECRET" in os.environ)] * 4)
"""


@pytest.mark.parametrize(("name", "scores"), OF_FUNCTIONS)
def test_functions_by_hand(name, scores):
    np.testing.assert_array_equal(verdicts(task(name), SAID).reshape(-1), scores)


def test_numbers_are_read_as_people_write_them():
    assert VERIFIERS["last_number"]("", "about 1,000.50 in all", ["1000.5"]) == 1.0
    assert VERIFIERS["last_number"]("", "none", ["3"]) == 0.0


def test_a_program_scores_every_answer(tmp_path):
    workspace = program(tmp_path, JUDGE)
    check_verifier("mine.py", workspace)
    np.testing.assert_array_equal(verdicts(task("mine.py"), SAID, workspace).reshape(-1), [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import os\nprint(1)\nos._exit(3)", "it ended with 3"),
        ("print('yes')", "it said 'yes', not a number"),
        ("print(1)", "1 numbers for 4 answers"),
        ("print('2 2 2 2')", "it said 2; a score is from 0 to 1"),
        ("print('nan 1 1 1')", "a score is from 0 to 1"),
        ("print('x' * 10**7)", "it ended|it was ended by SIGXFSZ"),
        ("x = bytearray(5 << 30)", "it ended with 1"),
        ("import time\ntime.sleep(1000)", "had not ended after"),
        ("while True: pass", "it was ended by|had not ended after"),
    ],
)
@pytest.mark.slow
def test_a_program_that_goes_wrong_is_ended_and_named(text, why, tmp_path, monkeypatch):
    monkeypatch.setattr(verifiers, "SECONDS", 1)
    with pytest.raises(Problem, match=why):
        verdicts(task("mine.py"), SAID, program(tmp_path, text))


def test_a_program_sees_nothing_of_the_server(tmp_path, monkeypatch):
    """Neither its environment nor its own children outlive it."""
    monkeypatch.setenv("MIXDESK_SECRET", "hidden")
    np.testing.assert_array_equal(verdicts(task("mine.py"), SAID, program(tmp_path, NOSY)), 0)


def test_a_program_comes_from_the_workspace_only(tmp_path):
    program(tmp_path, "print(1)", "there.py")
    (tmp_path / "verifiers" / "linked.py").symlink_to("/etc/passwd")
    for name in ("missing.py", "linked.py"):
        with pytest.raises(Problem, match="Cannot find the verifier"):
            check_verifier(name, tmp_path)
    with pytest.raises(Problem, match="must not leave it"):
        check_verifier("../there.py", tmp_path)


def test_a_program_that_hung_is_not_waited_for_again_in_a_job(tmp_path, monkeypatch):
    """The next job tries it again, on one right answer."""
    monkeypatch.setattr(verifiers, "SECONDS", 1)
    slow = "import sys, time\nlines = list(sys.stdin)\nif len(lines) > 1: time.sleep(1000)\nprint(1)"
    workspace, asked = program(tmp_path, slow), task("mine.py")
    with pytest.raises(Problem, match="had not ended after 2 seconds"):
        verdicts(asked, SAID, workspace)
    (tmp_path / "verifiers" / "mine.py").write_text("print(1, 1, 1, 1)")
    with pytest.raises(Problem, match="does not ask it again"):
        verdicts(asked, SAID, workspace)
    (tmp_path / "verifiers" / "mine.py").write_text("print(1)")
    assert try_verifier(asked, workspace) == 1
    (tmp_path / "verifiers" / "mine.py").write_text("print(1, 1, 1, 1)")
    np.testing.assert_array_equal(verdicts(asked, SAID, workspace), 1)
