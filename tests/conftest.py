"""What the tests share: real workspaces, real stores, one finished small study, a running page."""

import contextlib
import fcntl
import gc
import os
import pathlib
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable

import pytest

# One thread each, as in jobs, before anything loads numpy: pools of several processes on the same cores spin against
# each other, and cost a test ten times what it computes.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Hundreds of processes are started: each would compile this checkout anew where no bytecode may be kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from engine.core.workspace import Workspace
from store.database import Store
from tests.support.running import CHROMIUM, MERGE, PATIENCE, STUDY, TINY, Page, copied, engine, write_domains

sys.dont_write_bytecode = False
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background by a script: programs under test
    signal.signal(signal.SIGINT, signal.default_int_handler)  # would ignore Ctrl-C, too
TRAINED = {"finished", "merged", "tasked", "learning_desk", "page"}  # fixtures that train models first
LONGEST = (  # by CPU seconds; the first needs no trained workspace: it runs while others wait for that
    *("test_backends", "test_every_page", "test_pages", "test_candidate_pages", "test_merge_study", "test_docs"),
    *("test_sign_in", "test_rounds", "test_additions", "test_organise", "test_merge_pages", "test_import_page"),
    *("test_help", "test_desk", "test_jobs_page", "test_server", "test_language_models", "test_base_path"),
    *("test_command_line", "test_evidence", "test_corpus_page", "test_new_study", "test_asked"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that need no trained workspace, no browser and no long wait come first: what is broken shows early. Then
    the longest files, so that no process is left alone with one at the end. Two tests of one name are refused: several
    processes would run one of them."""
    names = Counter(item.nodeid for item in items)
    if twice := [name for name, count in names.items() if count > 1]:
        raise pytest.UsageError(f"{names[twice[0]]} tests are called {twice[0]}: give each a name of its own.")
    for item in items:
        if TRAINED & set(item.fixturenames) or item.get_closest_marker("soak"):
            item.add_marker("slow")

    late = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}

    def place(item: pytest.Item) -> int:
        if item.path not in late:
            return 0
        return 1 + (LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Ten thousand tests and what they import stay to the end: the garbage collector need not look at them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """A folder of this process, copied from one that the first of the tests' processes has built for all.

    `build(folder)` writes into an empty folder. Two processes cannot own one workspace, so each has its copy.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = shared / f"{name}-built"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # and whoever waits here finds it built
        if not (made / "whole").exists():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            build(made)
            (made / "whole").touch()
    return copied(made, factory.mktemp(name) / "copy")


@pytest.fixture(autouse=True)
def own_main(monkeypatch):
    """A script that Streamlit runs becomes __main__ and stays it: processes that are spawned later would run it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture
def store(workspace):
    opened = Store(workspace)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> pathlib.Path:
    """A workspace whose one small study was built, trained, fitted and searched from the command line."""

    def build(root: pathlib.Path) -> None:
        write_domains(root / "text")
        (root / "study.toml").write_text(STUDY)
        engine(root / "workspace", "corpus", "--name", "small", "--folder", str(root / "text"), "--wait")
        engine(root / "workspace", "start", str(root / "study.toml"), "--wait")

    return built_once(tmp_path_factory, "finished", build) / "workspace"


@pytest.fixture(scope="session")
def merged(finished, tmp_path_factory) -> pathlib.Path:
    """A copy of that workspace with a merge study beside the other, finished: experts, merges, fits, a search."""

    def build(root: pathlib.Path) -> None:
        copied(finished, root / "workspace")
        (root / "merge.toml").write_text(MERGE)
        engine(root / "workspace", "start", str(root / "merge.toml"), "--wait")

    return built_once(tmp_path_factory, "merged", build) / "workspace"


@pytest.fixture(scope="session")
def tasked(finished, tmp_path_factory) -> pathlib.Path:
    """A copy of that workspace with a small study that measures a task, finished."""

    def build(root: pathlib.Path) -> None:
        copied(finished, root / "workspace")
        measures = 'tasks = ["brackets"]\nflips = true\n[fidelity]'
        asked = TINY.replace('"Tiny"', '"Tasked"').replace("[fidelity]", measures).replace("repeats = 0", "repeats = 2")
        (root / "study.toml").write_text(asked)
        engine(root / "workspace", "add-task", "brackets", "--generate", "brackets", "--items", "40")
        engine(root / "workspace", "start", str(root / "study.toml"), "--wait")

    return built_once(tmp_path_factory, "tasked", build) / "workspace"


@pytest.fixture(scope="session")
def tiny_llamas(finished, tmp_path_factory) -> pathlib.Path:
    """A folder of tiny Llamas, trained on the finished study's text; an empty one without transformers."""
    from tests.support import language_models  # torch takes seconds, and not all tests need it

    def build(root: pathlib.Path) -> None:
        (root / "checkpoints").mkdir()
        with contextlib.suppress(ImportError):
            language_models.family(root / "checkpoints", finished / "corpora" / "small")

    return built_once(tmp_path_factory, "llamas", build) / "checkpoints"


@pytest.fixture(scope="session")
def learning_desk(merged, tiny_llamas, tmp_path_factory) -> pathlib.Path:
    """A copy for what is learned from text, with tiny Llamas where transformers is installed."""
    desk = copied(merged, tmp_path_factory.mktemp("learning") / "workspace")
    shutil.copytree(tiny_llamas, desk / "checkpoints", dirs_exist_ok=True)
    return desk


@pytest.fixture(scope="session")
def page(finished, tmp_path_factory):
    """The page, serving a copy of the finished study: its tests start others beside it."""
    running = Page(copied(finished, tmp_path_factory.mktemp("page") / "workspace"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def browser():
    if not os.path.exists(CHROMIUM):
        pytest.skip("no browser: apt-get install chromium-headless-shell")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        # A tab of tests lives for seconds: what V8 would optimise of a page's scripts is thrown away.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--js-flags=--no-opt"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        opened.new_context(reduced_motion="reduce")  # of the tab that tests take in turn
        yield opened
        opened.close()
