"""The checkpoints that these tests read and damage: one file, and the same model in shards."""

import pytest

from tests.support.checkpoints import llama, write


@pytest.fixture
def model(tmp_path):
    write(tmp_path / "model", llama(0))
    return tmp_path / "model"


@pytest.fixture
def sharded(tmp_path):
    write(tmp_path / "sharded", llama(0), shards=3)
    return tmp_path / "sharded"
