"""A workspace for jobs, beside a text of which a corpus can be built."""

import pytest

from engine.jobs.spool import Spool
from tests.support.working import small_text


@pytest.fixture
def spool(tmp_path) -> Spool:
    small_text(tmp_path / "text")
    return Spool(tmp_path / "workspace")
