"""The merge study of the finished workspace, for tests that change it."""

import pytest

from engine.core.workspace import Workspace
from engine.merging.measuring.proxies import ProxyMerges
from engine.studies.merges.questions import merge_spec, task_of
from store import studies
from store.database import Store
from tests.support.running import copied


@pytest.fixture(scope="module")
def desk(merged, tmp_path_factory):
    """A copy that these tests may change."""
    return copied(merged, tmp_path_factory.mktemp("merge-desk") / "workspace")


@pytest.fixture
def own(desk):
    """(store, study), while no other process owns the workspace."""
    store = Store(Workspace.open(desk))
    yield store, studies.get(store, "Small merge")
    store.close()


@pytest.fixture
def merges(own):
    store, study = own
    return ProxyMerges(task_of(study, merge_spec(study)), store.workspace.root, "cpu")
