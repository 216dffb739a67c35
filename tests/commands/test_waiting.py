"""While one command waits, others look and act; a request asked twice is one job, whose state is told."""

import json
import urllib.error
import urllib.request

import pytest

from engine.commands.client import Remote, connect
from engine.core.errors import Problem
from tests.support.running import answer, copied, engine, said
from tests.support.working import small_text


def test_others_look_and_act_while_a_command_waits(workspace, tmp_path):
    client = connect(workspace)
    try:
        with client.open_endpoint():
            assert answer(workspace.root, "list") == []
            told = answer(workspace.root, "corpus", "--name", "mine", "--folder", str(small_text(tmp_path / "text")))
            assert told == {"corpus": "mine", "job": "corpus-mine", "already_there": False, "state": "queued"}
            assert client.call("job", job_id="corpus-mine")["state"] == "queued", "it is the same store"
            assert "Cannot find the study 'x'" in said(workspace.root, "show", "x")
        assert "another command owns it" in said(workspace.root, "list")
    finally:
        client.close()
    assert answer(workspace.root, "jobs")[0]["id"] == "corpus-mine"


def test_the_endpoint_answers_its_token_alone(workspace):
    client = connect(workspace)
    try:
        with client.open_endpoint():
            url = json.loads((workspace.root / "web.json").read_text())["url"]
            assert (workspace.root / "web.json").stat().st_mode & 0o777 == 0o600
            request = urllib.request.Request(f"{url}/api/v1/list_studies", b"{}", {"Authorization": "Bearer x"})
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(request, timeout=5)
            with pytest.raises(Problem, match="no_command"):
                Remote.owner_of(workspace).call("no_command")
            with pytest.raises(Problem, match="there is no 'wrong'"):
                Remote.owner_of(workspace).call("list_studies", wrong=1)
    finally:
        client.close()


def test_an_endpoint_that_a_killed_command_left_is_named(workspace):
    (workspace.root / "web.json").write_text('{"url": "http://127.0.0.1:9", "token": "x"}')
    lock = workspace.lock("owner")
    assert lock and "Cannot reach the process that owns this workspace" in said(workspace.root, "list")


@pytest.mark.slow
def test_a_fit_is_named_whatever_its_state(finished, tmp_path):
    desk = copied(finished, tmp_path / "workspace")
    study = answer(desk, "list")[0]["study"]
    told = answer(desk, "fit", study)
    assert told["state"] == "done" and told["job"].startswith(f"{study}-fit-")
    assert engine(desk, "fit", study, "--wait").stdout.startswith("{"), "and waiting for it gives the leaderboard"
