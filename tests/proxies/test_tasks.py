"""Proxies answer tasks; one that cannot be scored is refused before training, or costs no score but its own."""

import pytest

from engine.core.errors import Problem
from engine.metrics import verifiers
from engine.proxies.train import run
from engine.tasks import outcomes, shelf
from engine.tasks.generated import generate
from engine.tasks.task import EvalTask, Item, Sampling
from tests.proxies.test_train import DOMAINS, finished, make_job, specs, workspace  # noqa: F401
from tests.support.working import read_events


@pytest.mark.slow
def test_items_of_tasks_are_answered_and_kept(workspace, tmp_path):  # noqa: F811
    shelf.save(workspace, generate("brackets", "closing", 40, 0))
    run(make_job(workspace, tmp_path / "job", tasks=["closing"]))
    for name, one in finished(tmp_path / "job").items():
        assert list(one["losses"]) == [*DOMAINS, "closing accuracy", "closing answer bits"]
        assert 0 <= one["losses"]["closing accuracy"] <= 1 and one["losses_se"]["closing answer bits"] > 0
        kept = outcomes.load(outcomes.file_of(workspace, name))["closing"]
        assert kept.scores.mean() == pytest.approx(one["losses"]["closing accuracy"]) and kept.left_out == 0
        assert {*kept.answers} <= {")", "]", "}"}
    with pytest.raises(Problem, match="Choose one of closing"):
        run(make_job(workspace, tmp_path / "bad", tasks=["opening"]))


def judged(workspace, text: str) -> EvalTask:  # noqa: F811
    """A task whose answers a program of the workspace scores."""
    (workspace / "verifiers").mkdir(exist_ok=True)
    (workspace / "verifiers" / "judge.py").write_text(text)
    how = Sampling(most_tokens=2, samples=2, verifier="judge.py")
    return EvalTask("judged", ["best_of_n"], [Item("a", ["b"]), Item("b", ["c"])], "by hand", sampling=how)


FLOODS = "import sys\nlines = sys.stdin.readlines()\nprint(1.0 if len(lines) == 1 else 'x' * 10**6)"


@pytest.mark.slow
def test_a_task_that_cannot_be_scored_in_the_end_costs_its_own_score_only(workspace, tmp_path):  # noqa: F811
    for one in (generate("brackets", "closing", 40, 0), judged(workspace, FLOODS)):
        shelf.save(workspace, one)
    run(make_job(workspace, tmp_path / "job", tasks=["judged", "closing"]))
    for name, one in finished(tmp_path / "job").items():
        assert list(one["losses"]) == [*DOMAINS, "closing accuracy", "closing answer bits"] == list(one["losses_se"])
        assert one["message"].startswith(
            "No score of the task 'judged'. Cannot score answers by the verifier 'judge.py'"
        )
        assert [*outcomes.load(outcomes.file_of(workspace, name))] == ["closing"]


def test_what_cannot_be_scored_is_refused_before_training(workspace, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(verifiers, "SECONDS", 1)
    shelf.save(workspace, judged(workspace, "import time\ntime.sleep(1000)"))
    items = [Item("x" * 30, ["y" * 30 + str(k)]) for k in range(3)]
    shelf.save(workspace, EvalTask("long", ["answer_bits"], items, "by hand"))
    for name, why in (("judged", "had not ended after"), ("long", "0 of its 3 items fit the context of 16 tokens")):
        with pytest.raises(Problem, match=why):
            run(make_job(workspace, tmp_path / name, tasks=[name]))
    (workspace / "verifiers" / "judge.py").unlink()
    with pytest.raises(Problem, match=r"Cannot find the verifier 'judge\.py'"):
        run(make_job(workspace, tmp_path / "gone", tasks=["judged"]))
    assert not any(read_events(tmp_path / name) for name in ("judged", "long", "gone"))
    judged(workspace, "print(0)")
    run(make_job(workspace, tmp_path / "odd", tasks=["judged"], runs=specs([[0.2, 0.3, 0.5]])))
    assert "gives the right answer to the first item of 'judged' a 0" in (tmp_path / "odd" / "events.jsonl").read_text()
