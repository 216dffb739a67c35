"""Stacks and memory: refused before they begin, parted, halved, and gone on with."""

import pytest
import torch

from engine.core.errors import Problem
from engine.proxies import device, reporter
from engine.proxies.train import Training, run
from engine.spec.compute import stack_bytes
from tests.proxies.test_train import QUICK, finished, make_job, workspace  # noqa: F401
from tests.support.working import read_events


@pytest.mark.slow
def test_what_the_machine_cannot_hold_is_refused_before_it_begins(workspace, tmp_path, monkeypatch):  # noqa: F811
    """And more than fit at once are trained one after the other."""
    monkeypatch.setattr(device, "machine_mb", lambda: 0)
    with pytest.raises(Problem, match=r"one proxy of this shape needs about 0\.0 GB of memory, and 0\.0 GB are free"):
        run(make_job(workspace, tmp_path / "none"))
    assert not read_events(tmp_path / "none")
    monkeypatch.setattr(device, "machine_mb", lambda: 2)
    one, two = (stack_bytes(QUICK, 256, members, "cpu") for members in (1, 2))
    assert one < 2 << 20 < two, "of this machine one fits"
    run(make_job(workspace, tmp_path / "one"))
    (note,) = [event["text"] for event in read_events(tmp_path / "one") if event["kind"] == "job.note"]
    assert note.endswith("1 at a time.") and len(finished(tmp_path / "one")) == 3


@pytest.mark.slow
def test_a_group_that_does_not_fit_is_halved_and_says_so(workspace, tmp_path, monkeypatch):  # noqa: F811
    """There is no card here: the error that torch raises is injected for every stack of more than one."""

    class Small(Training):
        def advance(self) -> None:
            if len(self.ids) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            super().advance()

    run(make_job(workspace, tmp_path / "whole"))
    monkeypatch.setattr("engine.proxies.train.Training", Small)
    run(make_job(workspace, tmp_path / "halved"))
    events = read_events(tmp_path / "halved")
    assert [event["text"].split(":")[1].strip() for event in events if event["kind"] == "job.note"] == [
        "training 1 at a time.",
        "training 1 at a time.",
    ]
    whole, halved = finished(tmp_path / "whole"), finished(tmp_path / "halved")
    for name in whole:
        assert halved[name]["losses"] == pytest.approx(whole[name]["losses"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["measuring", "half way"])
def test_halves_go_on_from_where_the_whole_did_not_fit(workspace, tmp_path, monkeypatch, when):  # noqa: F811
    """Measuring takes other memory than training: a stack that was trained to its end is not trained again."""
    steps: list[tuple[int, int]] = []

    class Small(Training):
        def advance(self) -> None:
            steps.append((len(self.ids), self.step))
            if when == "half way" and len(self.ids) > 1 and self.step == QUICK.steps // 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            super().advance()

    def sums(stack, *given, real=reporter.window_sums):
        if stack.members > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(stack, *given)

    run(make_job(workspace, tmp_path / "whole"))
    monkeypatch.setattr("engine.proxies.train.Training", Small)
    monkeypatch.setattr(reporter, "window_sums", sums)
    run(make_job(workspace, tmp_path / "halved"))
    whole, halved = finished(tmp_path / "whole"), finished(tmp_path / "halved")
    for name in whole:
        assert halved[name]["losses"] == pytest.approx(whole[name]["losses"], rel=1e-4)
    alone = [step for members, step in steps if members < len(whole)]
    assert not alone if when == "measuring" else min(alone) == QUICK.steps // 2
    assert not list((tmp_path / "halved").glob("checkpoint-*"))
    spent = sum(one["seconds"] for one in halved.values())
    assert spent > 0 and halved.keys() == whole.keys()
