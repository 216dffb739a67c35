"""Fixtures of the tests of the whole system."""

import contextlib

import pytest

from tests.support.two_studies import desk


@pytest.fixture
def two(tmp_path):
    store = desk(tmp_path / "workspace")
    yield store
    with contextlib.suppress(OSError):  # some tests close it
        store.close()
