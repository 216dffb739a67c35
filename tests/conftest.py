"""What the tests share: real workspaces, real stores, the shared folder where it is there."""

import pathlib

import pytest

from engine.workspace import Workspace
from store.database import Store

SHARED = pathlib.Path(__file__).parents[2] / "shared"


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture
def store(workspace):
    opened = Store(workspace)
    yield opened
    opened.close()
