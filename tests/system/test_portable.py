"""What Linux alone can do has a fallback: the same results where macOS lacks the call."""

import os

import pytest

from engine.jobs.backends import slurm
from engine.merging.checkpoints.writer import reserve
from engine.surrogates.base import cores


def test_a_file_has_its_size_where_room_cannot_be_reserved(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with open(tmp_path / "shard", "wb") as file:
        reserve(file.fileno(), 12_345)
    assert (tmp_path / "shard").stat().st_size == 12_345


def test_cores_are_counted_where_no_process_is_bound_to_some(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()


@pytest.mark.parametrize(
    ("answer", "lives"),
    [(b"Ss   python -m submitit.core._submit /w\n", True), (b"Z    python -m submitit\n", False), (b"", False)],
)
def test_a_controller_is_found_by_ps_without_proc(monkeypatch, answer, lives):
    monkeypatch.setattr(slurm, "PROC", slurm.PROC / "not-here")
    monkeypatch.setattr(slurm.subprocess, "run", lambda *_, **__: type("Done", (), {"stdout": answer}))
    assert slurm.is_controller("1") is lives
