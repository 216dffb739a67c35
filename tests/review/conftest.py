"""The workspace that tests of reviews share: a finished study, in which they nominate, discuss and decide."""

import pytest

from engine.core.workspace import Workspace
from store import studies
from store.database import Store
from tests.support.running import copied


@pytest.fixture(scope="module")
def desk(finished, tmp_path_factory):
    """A copy of the finished workspace that these tests may change."""
    return copied(finished, tmp_path_factory.mktemp("review") / "workspace")


@pytest.fixture
def open_desk(desk):
    """The desk's store and study; candidates of earlier tests are there."""
    store = Store(Workspace.open(desk))
    yield store, studies.get(store, "Small")
    store.close()
