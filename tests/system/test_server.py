"""The server as a user meets it: what is in the way is said, strangers are kept out, and no kill or full disk loses."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from engine.core.workspace import Workspace
from tests.support.running import ROOT, Page, answer, engine, free_port, said, until, write_domains

HEADERS = {"x-frame-options": "DENY", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def ask(url: str, body: bytes | None = None, **headers) -> tuple[int, dict, str]:
    """Status, headers and text of an answer, whatever its status."""
    request = urllib.request.Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, dict(response.headers), response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def door(workspace) -> dict:
    return json.loads((workspace / "web.json").read_text())


@contextlib.contextmanager
def serving(workspace):
    """A running page on a workspace, killed at the end if it still runs."""
    page = Page(workspace)
    try:
        yield page
    finally:
        page.process.kill()
        page.process.wait()


@pytest.fixture(scope="module")
def open_page(tmp_path_factory):
    """A page on an empty workspace, for all questions that change nothing."""
    workspace = tmp_path_factory.mktemp("open") / "workspace"
    with serving(workspace) as page:
        page.workspace = workspace
        page.token = door(workspace)["token"]
        yield page


def post(page, command: str, body: bytes = b"{}", token: str | None = None, **headers):
    """POST a command with the page's token, or another one; gives the status and what it says."""
    token = page.token if token is None else token
    status, _, text = ask(f"{page.url}/api/v1/{command}", body, authorization=f"Bearer {token}", **headers)
    return status, json.loads(text)


# What is in the way before it starts -----------------------------------------------------------------------


def attempt(workspace, **environment) -> subprocess.CompletedProcess:
    """`python -m dashboard` where it cannot start."""
    place = {"PORT": str(free_port()), "MIXDESK_WORKSPACE": str(workspace), "MIXDESK_DEMO": "0"}
    command, whole = [sys.executable, "-m", "dashboard"], {**os.environ, **place, **environment}
    return subprocess.run(command, cwd=ROOT, env=whole, capture_output=True, text=True, timeout=60)


def refusal(workspace, **environment) -> str:
    """What `python -m dashboard` says when it does not start."""
    done = attempt(workspace, **environment)
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr, done.stderr
    return done.stderr


def test_a_taken_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(tmp_path, PORT=str(port))
    assert f"127.0.0.1:{port}: Address already in use" in said and f"PORT={port + 1} make run" in said


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "²", ""])
def test_no_port(tmp_path, port):
    said = refusal(tmp_path, PORT=port)
    assert f"{port!r}: a port is a number from 1 to 65535. Set PORT" in said


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_an_address_for_everybody(tmp_path, address):
    """tests/browser/test_sign_in.py: with access.toml it starts."""
    said = refusal(tmp_path, MIXDESK_ADDRESS=address)
    assert f"Cannot serve on {address}" in said and "SSH tunnel" in said and "access.toml" in said


def test_a_newer_workspace(tmp_path):
    (tmp_path / "version").write_text("99\n")
    said = refusal(tmp_path)
    assert "its version is '99'" in said and "Update Mixdesk" in said


def test_a_workspace_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    said = refusal(tmp_path / "file" / "workspace")
    assert "Not a directory" in said and "Choose a folder that you can write to" in said


@pytest.mark.slow
def test_a_second_server_on_one_workspace(open_page):
    said = refusal(open_page.workspace)
    assert f"process {open_page.process.pid} is that already" in said and "MIXDESK_WORKSPACE" in said


# Who may ask for what --------------------------------------------------------------------------------------


def test_health(open_page):
    status, _, text = ask(f"{open_page.url}/api/v1/health")
    assert (status, json.loads(text)) == (200, {"ok": True, "trouble": None})


def test_the_image_asks_for_its_health(open_page, tmp_path):
    """The Dockerfile's HEALTHCHECK, of this workspace; of one that nobody serves it fails."""
    command = json.loads(re.search(r"^HEALTHCHECK .*? CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.M)[1])
    for place, healthy in ((open_page.workspace, True), (tmp_path, False)):
        words = [sys.executable, *(word.replace("/data", str(place)) for word in command[1:])]
        assert (subprocess.run(words, capture_output=True).returncode == 0) == healthy


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/api/v1/health", "/assets/plotly.min.js", "/nothing.js"])
def test_every_answer_has_the_security_headers(open_page, path):
    _, headers, _ = ask(open_page.url + path)
    headers = {name.lower(): value for name, value in headers.items()}
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("path", ["/", "/api/v1/health", "/_stcore/health"])
def test_a_foreign_host_is_refused(open_page, host, path):
    """DNS rebinding: a page elsewhere whose name resolves to 127.0.0.1."""
    status, headers, _ = ask(open_page.url + path, host=host)
    assert status == 400 and {name.lower() for name in headers} >= set(HEADERS)


@pytest.mark.parametrize("token", ["", "wrong", "ä"])
def test_without_the_token_nothing_is_done(open_page, token):
    status, said = post(open_page, "list_studies", token=token.encode().decode("latin-1"))
    assert status == 401 and "token create" in said["error"]


def test_commands_over_http(open_page):
    assert post(open_page, "list_studies") == (200, {"result": []})
    status, said = post(open_page, "paint")
    assert status == 404 and "list_studies" in said["error"]


@pytest.mark.parametrize(
    ("command", "body", "said"),
    [
        ("show", b'{"name": "nope"}', "Cannot find the study 'nope'"),
        ("export", b'{"name": "x", "format": "docx"}', "Cannot find the study 'x'"),
        ("job", b'{"job_id": "../x"}', "Cannot find the job '../x'"),
        ("revoke_token", b'{"token": "x"}', "Cannot revoke the token 'x'"),
    ],
)
def test_what_is_not_there_is_404(open_page, command, body, said):
    status, answer = post(open_page, command, body)
    assert status == 404 and said in answer["error"]


def test_too_much_is_413(open_page):
    status, answer = post(open_page, "show", b'{"name": "' + b"x" * (17 << 20) + b'"}')
    assert status == 413 and "too large" in answer["error"]


@pytest.mark.parametrize(
    ("command", "body", "said"),
    [
        ("show", b"{}", "name"),
        ("show", b'{"name": "x", "speed": 3}', "speed"),
        ("show", b"[1]", "JSON object"),
        ("show", b"{broken", "line 1"),
        ("show", b"\xff", "utf-8"),
        ("build_corpus", b'{"name": "../x", "spec": {}}', "'../x'"),
        ("start", b'{"spec": {"name": "x", "speed": 1}}', "'speed'"),
        ("show", b"[" * 100_000, "recursion"),
    ],
)
def test_bad_arguments_are_a_sentence(open_page, command, body, said):
    status, answer = post(open_page, command, body)
    assert status == 400 and said in answer["error"]
    assert post(open_page, "list_studies") == (200, {"result": []})


# Starting, stopping, trouble -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_door_is_private_and_goes_with_the_server(tmp_path):
    workspace = tmp_path / "workspace"
    with serving(workspace) as page:
        assert (workspace / "web.json").stat().st_mode & 0o777 == 0o600
        assert door(workspace)["url"] == page.url and len(door(workspace)["token"]) >= 32
        assert Workspace(workspace).is_held("owner")
        page.stop()
        assert page.process.returncode in (0, -signal.SIGTERM)  # uvicorn cleans up, then ends by the signal
    assert not (workspace / "web.json").exists() and not Workspace(workspace).is_held("owner")


@pytest.mark.slow
def test_a_damaged_database_is_a_sentence_with_the_cure(tmp_path):
    workspace = Workspace.open(tmp_path / "workspace").root
    (workspace / "mixdesk.duckdb").write_bytes(b"not a database" * 1000)
    done = attempt(workspace)
    assert done.returncode != 0 and "python -m store.rebuild" in done.stdout + done.stderr


@pytest.mark.slow
def test_trouble_is_shown_and_passes(tmp_path):
    """A journal that cannot be read: health says so, nothing else stops, and all is well when it is mended."""
    workspace = tmp_path / "workspace"
    with serving(workspace) as page:
        obstacle = workspace / "jobs" / "active" / "odd" / "events.jsonl"
        obstacle.mkdir(parents=True)
        _, said = until(lambda: (found := health(page))[0] == 503 and found)
        assert not said["ok"] and "Is a directory" in said["trouble"]
        page.token = door(workspace)["token"]
        assert post(page, "list_studies") == (200, {"result": []})
        shutil.rmtree(obstacle.parent)
        assert until(lambda: (found := health(page))[0] == 200 and found)[1] == {"ok": True, "trouble": None}


def health(page):
    status, _, text = ask(f"{page.url}/api/v1/health")
    return status, json.loads(text)


@pytest.mark.slow
def test_a_killed_server_loses_nothing(tmp_path):
    """Everything that was answered is there again after kill -9; jobs that were queued are queued once."""
    workspace, texts = tmp_path / "workspace", tmp_path / "text"
    write_domains(texts)
    with serving(workspace) as page:
        page.token = door(workspace)["token"]
        for name in ("one", "two"):
            spec = {"source": {"type": "folder", "path": str(texts)}}
            assert post(page, "build_corpus", json.dumps({"name": name, "spec": spec}).encode())[0] == 200
        study = {"name": "S", "corpus": "one", "runs": 8}
        assert post(page, "start", json.dumps({"spec": study}).encode())[0] == 200
        before = [post(page, command) for command in ("list_corpora", "list_studies")]
        page.process.kill()
        page.process.wait()
    assert (workspace / "web.json").exists(), "a kill leaves it, with a token that opens nothing any more"
    old = page.token
    with serving(workspace) as page:
        page.token = door(workspace)["token"]
        assert page.token != old and post(page, "list_studies", token=old)[0] == 401
        assert [post(page, command) for command in ("list_corpora", "list_studies")] == before
        assert sorted(path.name for path in (workspace / "jobs" / "queued").iterdir()) == ["corpus-one", "corpus-two"]


# A full disk -----------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB, filled up to 600 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk, leave: int) -> None:
    """Write a file that leaves so many bytes of the disk."""
    usage = os.statvfs(disk)
    (disk / "ballast").write_bytes(b"x" * (usage.f_bavail * usage.f_frsize - leave))


@pytest.mark.slow
def test_a_full_disk_fails_the_corpus_with_a_sentence_and_a_retry_builds_it(small_disk, tmp_path):
    write_domains(tmp_path / "text")
    workspace = small_disk / "workspace"
    wish = ("corpus", "--name", "c", "--folder", str(tmp_path / "text"), "--wait")
    engine(workspace, *wish[:-1])
    fill(small_disk, 400_000)
    done = engine(workspace, *wish, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "disk is full" in done.stderr.splitlines()[-1]  # of the job; of the request, where the job was quicker
    (small_disk / "ballast").unlink()
    (job,) = answer(workspace, "jobs")
    told = job["state"] == "failed" and job["message"].startswith("The disk is full.") and "retry" in job["message"]
    assert told or job["state"] == "queued"  # the request was refused before it ended, and its worker went with that
    built = json.loads(engine(workspace, *wish).stdout)
    assert built["jobs"] == [{"id": "corpus-c", "state": "done"}]


def test_nothing_is_begun_on_a_full_disk(small_disk, tmp_path):
    write_domains(tmp_path / "text")
    workspace = small_disk / "workspace"
    wish = ("corpus", "--name", "c", "--folder", str(tmp_path / "text"))
    Workspace.open(workspace)
    fill(small_disk, 400_000)
    assert "its disk is full (0.4 MB are left" in said(workspace, *wish)
    assert "its disk is full" in refusal(workspace)
    (small_disk / "ballast").unlink()
    assert answer(workspace, "jobs") == [] and answer(workspace, *wish)["state"] == "queued"


@pytest.mark.slow
def test_a_full_disk_under_a_running_server_and_worker_passes(small_disk, tmp_path):
    """Not a byte is left while a job is to be claimed: both live on, say so, and finish when there is room again."""
    write_domains(tmp_path / "text")
    workspace = small_disk / "workspace"
    spec = {"name": "c", "spec": {"source": {"type": "folder", "path": str(tmp_path / "text")}}}
    with serving(workspace) as page:
        page.token = door(workspace)["token"]
        assert post(page, "build_corpus", json.dumps(spec).encode())[0] == 200
        fill(small_disk, 0)
        command = [sys.executable, "-m", "engine.worker", "--workspace", str(workspace), "--slots", "1"]
        worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            time.sleep(6)
            assert worker.poll() is None and page.process.poll() is None
            (small_disk / "ballast").unlink()
            until(lambda: health(page)[0] == 200)
            until(lambda: over(page))
            if post(page, "job", b'{"job_id": "corpus-c"}')[1]["result"]["state"] == "failed":
                assert post(page, "build_corpus", json.dumps(spec).encode())[0] == 200
            until(lambda: post(page, "job", b'{"job_id": "corpus-c"}')[1]["result"]["state"] == "done")
        finally:
            worker.terminate()
            worker.wait(timeout=20)


def over(page) -> bool:
    return post(page, "job", b'{"job_id": "corpus-c"}')[1]["result"]["state"] in ("done", "failed")
