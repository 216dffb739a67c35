"""What keeps the project kept: the package's one version, its command, its extras, the lanes of tests, the ratchet."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
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
        for call in ast.walk(tree(path)):
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


@pytest.mark.parametrize(
    ("failed", "status", "said"),
    [
        (["test_one.py::test_steady"], 0, "Unsteady"),
        (["test_one.py::test_broken"], 1, "1 failed"),
        (["test_one.py::test_steady", "test_one.py::test_broken"], 1, "1 failed"),
        ([f"test_one.py::test_{n}" for n in range(6)], 1, ""),  # so many have a cause
        ([], 1, ""),  # no test failed, so something else did
    ],
)
def test_what_failed_beside_others_is_run_once_more_alone(tmp_path, failed, status, said):
    (tmp_path / "test_one.py").write_text("def test_steady(): pass\ndef test_broken(): assert not 1\n")
    cache = tmp_path / ".pytest_cache/v/cache/lastfailed"
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps(dict.fromkeys(failed, True)))
    code = (
        f"import pathlib, tests.support.alone as alone; raise SystemExit(alone.main(pathlib.Path({str(tmp_path)!r})))"
    )
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=path)
    assert done.returncode == status and said in done.stdout, done.stdout + done.stderr


# Small files, and one of everything ---------------------------------------------------------------------------

ROOMS = ("engine", "store", "dashboard", "benchmarks", "docs", "tests")
PRODUCT = ("engine", "store", "dashboard")
FILE_LINES, FUNCTION_LINES = 350, 42  # without a function's docstring
STATISTICS = "engine/spec/statistics.py"
PLACES = "engine/league/standing.py"  # which picks by places, whole numbers that `ordered` gave
SAME = 65  # characters of a body, from which on two functions that do the same are one written twice


def sources(rooms: tuple[str, ...] = ROOMS) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def functions(path: Path) -> list[ast.FunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree(path)) if isinstance(node, kinds)]


def body_of(one: ast.FunctionDef) -> list[ast.stmt]:
    """A function's statements without its docstring."""
    return one.body[1:] if ast.get_docstring(one) else one.body


def test_files_and_functions_stay_small_and_say_what_they_are_for():
    wrong = []
    for path in sources():
        place, text = path.relative_to(ROOT).as_posix(), path.read_text()
        if text.strip() and not ast.get_docstring(tree(path)):
            wrong.append(f"{place} does not say what it is for")
        if (lines := len(text.splitlines())) > FILE_LINES:
            wrong.append(f"{place} has {lines} lines")
        for one in functions(path):
            described = one.body[0].end_lineno - one.body[0].lineno + 1 if ast.get_docstring(one) else 0
            if (lines := one.end_lineno - one.lineno + 1 - described) > FUNCTION_LINES:
                wrong.append(f"{place}: {one.name} has {lines} lines")
    assert wrong == []


def test_public_functions_say_what_they_do():
    """Those longer than a few lines; a page's `render`, a program's `main` and the like are what their file says."""
    silent = [
        f"{path.relative_to(ROOT)}: {one.name}"
        for path in sources(PRODUCT)
        for one in tree(path).body
        if isinstance(one, ast.FunctionDef)
        if not one.name.startswith("_") and one.name.split("_")[0] not in ("render", "main", "add", "write", "read")
        if one.end_lineno - one.lineno >= 10 and not ast.get_docstring(one)
    ]
    assert silent == []


def test_the_formatter_is_never_switched_off():
    switch = re.compile(r"#\s*(fmt|yapf):\s*" + r"(skip|off)")
    assert [path.name for path in sources() if switch.search(path.read_text())] == []


def same_work(one: ast.FunctionDef) -> str:
    """A function's body with its own names numbered: the same for two functions that do the same."""
    copy = ast.parse(ast.unparse(one)).body[0]
    copy.body, numbers = body_of(copy) or [ast.Pass()], {}
    own = {node.arg for node in ast.walk(copy) if isinstance(node, ast.arg)}
    own |= {node.id for node in ast.walk(copy) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(copy):
        if isinstance(node, ast.Name) and node.id in own:
            node.id = f"_{numbers.setdefault(node.id, len(numbers))}"
    return "\n".join(map(ast.unparse, copy.body))


def shape(one: ast.FunctionDef) -> tuple[type, ...]:
    """The kinds of the nodes of a function's body: the same wherever `same_work` is, and found sooner."""
    return tuple(type(node) for part in body_of(one) for node in ast.walk(part))


def test_functions_that_do_the_same_are_found():
    one, other, third = ast.parse(
        "def f(a):\n b = a + 1\n return b\ndef g(x):\n 'g.'\n y = x + 1\n return y\ndef h(x): return x"
    ).body
    assert same_work(one) == same_work(other) != same_work(third)
    assert shape(one) == shape(other) != shape(third)


def test_no_function_is_written_twice():
    alike: dict[tuple[type, ...], list[tuple[Path, ast.FunctionDef]]] = {}
    for path in sources((*PRODUCT, "benchmarks")):
        for one in functions(path):
            alike.setdefault(shape(one), []).append((path, one))
    found: dict[str, list[str]] = {}
    for path, one in (pair for pairs in alike.values() if len(pairs) > 1 for pair in pairs):
        if len(work := same_work(one)) >= SAME:
            found.setdefault(work, []).append(f"{path.relative_to(ROOT)}: {one.name}")
    assert [places for places in found.values() if len(places) > 1] == []


@pytest.mark.parametrize(
    ("what", "pattern", "homes"),
    [
        ("an atomic write", r"os\.replace\(|\bpart\.replace\(path", {"engine/core/files.py"}),
        ("rank correlation", r"def spearman|spearmanr|def kendall", {STATISTICS}),
        ("a knob", r"^class Knob\b", {"engine/spec/merge_knobs.py"}),
        ("states that have not ended", r"^UNFINISHED\b", {"engine/jobs/spec.py"}),
        ("null for no number", r"if (np|math)\.isfinite\(\w+\) else None", {"engine/core/checks.py"}),
        ("a number and its noun", r"else ['\"]s['\"]|== 1 else f?['\"]\{", {"engine/core/short_names.py"}),
        ("a list cut short", r"\b[Aa]nd \{.*\} more\b|, \.\.\.['\"](?!\"\")", {"engine/core/short_names.py"}),
        ("markup that is escaped", r"&lt;", set()),
        ("a study's kind", r"['\"]merge['\"] (not )?in (\w+\.)?spec\b", set()),
        ("deviations of an interval", r"(?<!\d)(1\.96|1\.9599\d*|1\.64[45]\d*|2\.57[56]\d*|1\.281\d+)\b", {STATISTICS}),
        (
            "a pick by a score",
            r"key=\w+\.__getitem__|key=lambda \w+: -?\w+(\[\")?\.?(aggregate|strength|score)\b",
            {PLACES},
        ),
        ("an aggregate", r"@ (self\.)?(metric_weights|(by|aggregate|here)\.weights)\b", set()),
    ],
)
def test_there_is_one_of_everything(what, pattern, homes):
    """Of what was there many times; an aggregate is formed by `weighted_sum`, or ties hang on the processor."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (*sources((*PRODUCT, "benchmarks")), *(ROOT / "dashboard").rglob("*.js"))
        if re.search(pattern, path.read_text(), re.M)
    }
    assert found == homes, what


def test_what_a_merge_study_turns_are_coordinates():
    """Its domains are text; pages and models of both halves speak of coordinates."""
    both = (
        "dashboard/views/merges",
        "dashboard/models",
        "dashboard/charts",
        "dashboard/report",
        "engine/studies/merges",
    )
    looked = [path for room in both for path in (ROOT / room).rglob("*.py")]
    assert len(looked) > 30
    wrong = r"\b(study|names)\.domains\b|named_of\(\w+\)\.domains"
    assert [str(path.relative_to(ROOT)) for path in looked if re.search(wrong, path.read_text())] == []


def test_what_a_kept_project_has():
    for name in ("LICENSE", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "Dockerfile", "docs/LICENSES.md"):
        assert (ROOT / name).stat().st_size > 200, name
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:400]
    assert len((ROOT / "README.md").read_text().splitlines()) <= 50  # one screen
