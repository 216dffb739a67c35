"""What the tests share: real workspaces, real stores, one finished small study, a running page."""

import contextlib
import os
import pathlib

import pytest

from engine.core.workspace import Workspace
from store.database import Store
from tests.support.running import CHROMIUM, MERGE, PATIENCE, STUDY, Page, copied, engine, write_domains


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that need no trained workspace, no browser and no long wait come first: what is broken shows early."""

    def is_long(item: pytest.Item) -> bool:
        return bool({"finished", "browser"} & set(item.fixturenames) or item.get_closest_marker("slow"))

    late = {item.path for item in items if is_long(item)}
    items.sort(key=lambda item: item.path in late)


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
    root = tmp_path_factory.mktemp("finished")
    write_domains(root / "text")
    (root / "study.toml").write_text(STUDY)
    engine(root / "workspace", "corpus", "--name", "small", "--folder", str(root / "text"), "--wait")
    engine(root / "workspace", "start", str(root / "study.toml"), "--wait")
    return root / "workspace"


@pytest.fixture(scope="session")
def merged(finished, tmp_path_factory) -> pathlib.Path:
    """A copy of that workspace with a merge study beside the other, finished: experts, merges, fits, a search."""
    root = tmp_path_factory.mktemp("merged")
    copied(finished, root / "workspace")
    (root / "merge.toml").write_text(MERGE)
    engine(root / "workspace", "start", str(root / "merge.toml"), "--wait")
    return root / "workspace"


@pytest.fixture(scope="session")
def learning_desk(merged, tmp_path_factory) -> pathlib.Path:
    """A copy for what is learned from text, with tiny Llamas where transformers is installed."""
    from tests.support import language_models  # torch takes seconds, and not all tests need it

    root = copied(merged, tmp_path_factory.mktemp("learning") / "workspace")
    with contextlib.suppress(ImportError):
        language_models.family(root / "checkpoints", root / "corpora" / "small")
    return root


@pytest.fixture
def one_thread():
    """As in a job: beside others, threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def page(finished, tmp_path_factory):
    """The page, serving a copy of the finished study: its tests start others beside it."""
    running = Page(copied(finished, tmp_path_factory.mktemp("page") / "workspace"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def browser():
    if not os.path.exists(CHROMIUM):
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()
