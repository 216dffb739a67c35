"""A workspace for commands, with a finished study and a study file beside it; and a command that must fail."""

import pytest

from engine.__main__ import main
from engine.core.workspace import Workspace
from tests.support.running import TINY, answer, copied


@pytest.fixture(scope="module")
def desk(finished, tmp_path_factory):
    """A copy of the finished workspace that these tests may change; the study file lies beside it."""
    root = tmp_path_factory.mktemp("desk")
    copied(finished, root / "workspace")
    (root / "tiny.toml").write_text(TINY)
    return root / "workspace"


@pytest.fixture(scope="module")
def small(desk) -> str:
    """The id of the finished study."""
    return next(study["study"] for study in answer(desk, "list") if study["name"] == "Small")


@pytest.fixture
def refused(capsys, tmp_path):
    """Run a command that must fail in a workspace; gives the one sentence that it said."""
    Workspace.open(tmp_path / "workspace")

    def run(*arguments, workspace=tmp_path / "workspace") -> str:
        assert main(["--workspace", str(workspace), *map(str, arguments)]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        lines = [line for line in said.err.splitlines() if line.strip() and "%|" not in line and "run [" not in line]
        assert len(lines) == 1 and "Traceback" not in said.err, said.err
        return lines[0]

    return run
