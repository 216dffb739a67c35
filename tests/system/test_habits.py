"""What keeps the project kept: the package's one version, its command, its extras, the lanes of tests, the ratchet."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from engine import VERSION
from tests.support.ratchet import allowed, compared
from tests.support.running import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMMAND = Path(sys.executable).with_name("mixdesk")


def test_versions_and_requirements_are_said_once():
    dynamic = PROJECT["tool"]["setuptools"]["dynamic"]
    assert set(PROJECT["project"]["dynamic"]) == {"version", "dependencies", "optional-dependencies"}
    assert dynamic["version"] == {"attr": "engine.VERSION"} and re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    extras = {name: one["file"] for name, one in dynamic["optional-dependencies"].items()}
    ours = {f"requirements-{name}.txt" for name in ("dev", "docs", "loaders")}  # not for people who install Mixdesk
    files = {path.name for path in ROOT.glob("requirements-*.txt")} - ours
    assert extras == {name.removeprefix("requirements-").removesuffix(".txt"): name for name in files}


def test_the_command_is_the_command_line():
    module, name = PROJECT["project"]["scripts"]["mixdesk"].split(":")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.skipif(not COMMAND.exists(), reason="Mixdesk is not installed here; `make run` does it")
def test_the_command_runs_from_any_folder(tmp_path):
    done = subprocess.run([COMMAND, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == VERSION, done.stderr


REFUSALS = {"Problem", "Question", "Refused", "Unavailable", "WholeDomainsLeft", "Unreadable"}
# What only a terminal shows: a workspace at the start, what a scheduler needs, restoring.
TERMINAL = {"engine/core/workspace.py", "engine/jobs/backends/ray_jobs.py", "engine/service/restore.py"}


def test_no_refusal_that_a_page_may_show_names_a_flag_of_the_command_line():
    found = []
    for path in sorted(one for room in ("engine", "store", "dashboard") for one in (ROOT / room).rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if place.startswith("engine/cli/") or place in TERMINAL:
            continue
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in REFUSALS:
                told = " ".join(str(one.value) for one in ast.walk(call) if isinstance(one, ast.Constant))
                found += [f"{place}:{call.lineno}"] if re.search(r"(?<![\w-])--[a-z]", told) else []
    assert not found


def test_every_lane_of_tests_is_there():
    told = (ROOT / "Makefile").read_text()
    for target in ("run", "check", "fast", "test", "soak", "docs"):
        assert re.search(rf"^{target}:", told, re.M), target
    assert "--check" in re.search(r"^check:.*?\n\n", told, re.M | re.S)[0]  # it never edits


def test_the_ratchet_only_shrinks():
    assert compared({"a.py": 2}, {"a.py": 2}) == {}
    assert "1 more errors" in compared({"a.py": 3}, {"a.py": 2})["a.py"]
    assert "more errors" in compared({"b.py": 1}, {})["b.py"]
    assert "write 1" in compared({"a.py": 1}, {"a.py": 2})["a.py"]
    assert "remove its line" in compared({}, {"a.py": 2})["a.py"]
    assert all((ROOT / path).exists() and count > 0 for path, count in allowed().items())
