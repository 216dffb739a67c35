"""What Linux alone can do has a fallback: the same results where macOS lacks the call.

No Mac is at hand: these tests take away what a Mac lacks. What only a Mac would show, they cannot.
"""

import os
import re
import resource
import subprocess
import sys

import pytest

from engine.jobs.backends import slurm
from engine.merging.checkpoints.writer import reserve
from engine.metrics.verifiers import verdicts
from engine.surrogates.base import cores
from engine.tasks.task import EvalTask, Item, Sampling
from tests.support.running import ROOT

LINUX = (  # functions of `os` that macOS has not
    *("copy_file_range", "eventfd", "fdatasync", "getrandom", "memfd_create", "pidfd_open", "pipe2", "posix_fadvise"),
    *("posix_fallocate", "sched_getaffinity", "sched_setaffinity", "splice", "waitid"),
)


def test_calls_that_macos_lacks_are_asked_for_first():
    wrong = []
    for path in (path for room in ("engine", "store", "dashboard") for path in (ROOT / room).rglob("*.py")):
        text = path.read_text()
        used = set(re.findall(rf"\bos\.({'|'.join(LINUX)})\b", text))
        wrong += [f"{path.relative_to(ROOT)}: os.{name}" for name in used if f'hasattr(os, "{name}")' not in text]
        wrong += [str(path.relative_to(ROOT))] * bool(re.search(r"\bprctl\b|\binotify\b|\bepoll\b", text))
    assert wrong == []


@pytest.mark.slow
def test_the_command_line_and_a_study_are_there_without_them(tmp_path):
    """Whole modules at once, in a process of its own: what is imported when is part of it."""
    (tmp_path / "study.toml").write_text('name = "On a Mac"\n')
    code = f"""
import importlib, os, pkgutil
for name in {LINUX}:
    if hasattr(os, name):
        delattr(os, name)
import engine, store
for package in (engine, store):
    for one in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not one.name.startswith(("engine.proxies", "engine.merging", "engine.__main__")):
            importlib.import_module(one.name)
from engine.cli.command_line import main
raise SystemExit(any(main(["--workspace", "w", *words]) for words in (["start", "study.toml"], ["list"])))
"""
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=path, capture_output=True, text=True)
    assert done.returncode == 0 and '"On a Mac"' in done.stdout, done.stderr


def test_a_file_has_its_size_where_room_cannot_be_reserved(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with open(tmp_path / "shard", "wb") as file:
        reserve(file.fileno(), 12_345)
    assert (tmp_path / "shard").stat().st_size == 12_345


def test_cores_are_counted_where_no_process_is_bound_to_some(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()


def test_a_verifier_runs_where_memory_cannot_be_limited(tmp_path, monkeypatch):
    """There is the constant, and setting it fails."""
    real = resource.setrlimit

    def without(kind, limits):
        if kind == resource.RLIMIT_AS:
            raise ValueError("current limit exceeds maximum limit")
        real(kind, limits)

    monkeypatch.setattr(resource, "setrlimit", without)
    (tmp_path / "verifiers").mkdir()
    (tmp_path / "verifiers/mine.py").write_text("print(1)")
    asked = EvalTask("t", ["best_of_n"], [Item("a", ["b"])], "by hand", sampling=Sampling(verifier="mine.py"))
    assert verdicts(asked, [[["b"]]], tmp_path).tolist() == [[[1.0]]]


@pytest.mark.parametrize(
    ("answer", "lives"),
    [(b"Ss   python -m submitit.core._submit /w\n", True), (b"Z    python -m submitit\n", False), (b"", False)],
)
def test_a_controller_is_found_by_ps_without_proc(monkeypatch, answer, lives):
    monkeypatch.setattr(slurm, "PROC", slurm.PROC / "not-here")
    monkeypatch.setattr(slurm.subprocess, "run", lambda *_, **__: type("Done", (), {"stdout": answer}))
    assert slurm.is_controller("1") is lives
