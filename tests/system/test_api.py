"""The HTTP API as programs meet it: docs/API.md is run with a real curl, and its table is the table of commands."""

import inspect
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from engine.commands import COMMANDS
from engine.core.people import ROLES, Person
from engine.core.workspace import Workspace
from store.database import Store
from store.from_journals import rebuild
from tests.core.test_people import refused
from tests.store.test_store import everything
from tests.support.api import opened
from tests.support.running import ROOT, Page, engine
from tests.system.test_server import ask, post

TEXT = (ROOT / "docs" / "API.md").read_text()


def role_of(name: str) -> str:
    """The least role that a command is not refused to."""
    return next(role for role in ROLES if not refused(COMMANDS[name], Person("somebody", role)))


def table() -> str:
    """The commands as docs/API.md lists them."""
    rows = ["| command | takes | arguments | does |", "|---|---|---|---|"]
    for name, command in COMMANDS.items():
        given = list(inspect.signature(command).parameters.values())[1:]
        words = [
            f"`{one.name}`" if one.default is one.empty else f"`{one.name}={json.dumps(one.default)}`"
            for one in given
            if one.kind != one.VAR_KEYWORD
        ]
        words += [f"`{one.name}`, any" for one in given if one.kind == one.VAR_KEYWORD]
        said = " ".join(inspect.getdoc(command).split("\n\n")[0].split()).replace("|", "\\|")
        rows.append(f"| `{name}` | {role_of(name)} | {', '.join(words) or '-'} | {said} |")
    return "\n".join(rows) + "\n"


def test_the_table_in_the_docs_is_the_table_of_commands():
    """Write it anew with: python -c "from tests.system.test_api import table; print(table())"."""
    assert TEXT.partition("checked by a test.\n\n")[2] == table()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server on an empty workspace, and an operator's token of it."""
    workspace = tmp_path_factory.mktemp("api") / "workspace"
    token = json.loads(engine(workspace, "token", "create", "tests").stdout)["secret"]
    page = Page(workspace)
    page.workspace, page.token = workspace, token
    yield page
    page.stop()


@pytest.fixture(scope="module")
def examples(server, tmp_path_factory) -> list[tuple[str, str]]:
    """Every line of the curl examples in the docs, run in their order: (line, what it printed)."""
    if shutil.which("curl") is None:
        pytest.skip("curl is missing: apt-get install curl")
    blocks = re.findall(r"```sh\n(.*?)```", TEXT.partition("## Commands")[2], re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    folder, place = tmp_path_factory.mktemp("curl"), {"MIXDESK": server.url, "TOKEN": server.token}
    ran = []
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env={**os.environ, **place}, capture_output=True, text=True
        )
        assert done.returncode == 0, (line, done.stderr, done.stdout)
        ran.append((line, done.stdout))
    assert yaml.safe_load((folder / "mixture.yaml").read_text())["train"] == {"web": 0.5, "code": 0.5}
    return ran


@pytest.mark.slow
def test_the_examples_do_what_they_say(examples, server):
    asked = [(line.rsplit("/", 1)[-1].strip('"'), text) for line, text in examples if text]
    answers = {name: json.loads(text)["result"] for name, text in asked}
    assert answers["list_studies"] == [] and answers["runs.csv"] == {"file": "uploads/runs.csv"}
    assert answers["import_runs"]["runs"] == 3 and answers["submit_runs"]["added"] == ["slurm-4711"]
    runs = answers["list_runs"]
    assert [run["label"] for run in runs] == ["a", "b", "c", "slurm-4711"]
    assert runs[-1]["weights"] == {"web": 0.6, "code": 0.4} and runs[-1]["role"] == "submitted"
    assert runs[-1]["losses"] == {"metric/web_loss": 3.0, "metric/code_loss": 2.4} and runs[-1]["tokens"] == 10**9
    assert answers["show"]["runs"] == 4


def submit(server, runs, name="Cluster", **more):
    return post(server, "submit_runs", json.dumps({"name": name, "runs": runs, **more}).encode())


def run(number: int, **changed) -> dict:
    share = (number % 7 + 1) / 10
    losses = {"metric/web_loss": 3 + share, "metric/code_loss": 3 - share}
    return {"id": f"job-{number}", "weights": {"web": share, "code": 1 - share}, "losses": losses, **changed}


@pytest.mark.slow
def test_the_same_run_is_one_run_and_two_at_once_lose_nothing(examples, server, tmp_path):
    """Forty posts, each twice, eight at a time: forty runs, numbered once each, and a rebuild gives the same."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: submit(server, [run(n % 40)]), range(80)))
    assert all(status == 200 for status, _ in answers)
    added = [one for _, answer in answers for one in answer["result"]["added"]]
    there = [one for _, answer in answers for one in answer["result"]["already_there"]]
    assert sorted(added) == sorted(there) == sorted(f"job-{n}" for n in range(40))
    rows = post(server, "list_runs", b'{"name": "Cluster"}')[1]["result"]
    assert [row["number"] for row in rows] == list(range(1, 45))
    server.stop()
    place = Workspace(server.workspace)
    rebuild(place, tmp_path / "again.duckdb")
    opened, again = Store(place), Store(place, tmp_path / "again.duckdb")
    assert everything(again) == everything(opened)
    opened.close()
    again.close()
    server.restart()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": ""}, "id of 1 to 120"),
        ({"id": 7}, "id of 1 to 120"),
        ({"speed": 1}, "'speed'"),
        ({"weights": {"web": 0.5}}, "sum to 0.5"),
        ({"weights": {"web": 1.5, "code": -0.5}}, "at least 0"),
        ({"weights": {"moon": 1.0}}, "'moon'"),
        ({"weights": [0.5, 0.5]}, "object of numbers"),
        ({"weights": {"web": "x", "code": 1}}, "finite number"),
        ({"losses": {}}, "measured nothing"),
        ({"losses": {"metric/web_loss": None}}, "finite number"),
        ({"losses": {"web": 1.0}}, "'web'"),
        ({"losses": {"metric/web_loss": True}}, "finite number"),
        ({"seed": -1}, "seed is -1"),
        ({"tokens": 1.5}, "tokens is 1.5"),
        ({"seconds": "long"}, "seconds is 'long'"),
        ({"id": "job-0", "seed": 99}, "other numbers"),
    ],
)
def test_runs_that_are_wrong_are_refused_with_a_sentence_and_nothing_is_added(examples, server, changed, said):
    submit(server, [run(0)])
    before = post(server, "list_runs", b'{"name": "Cluster"}')
    status, answer = submit(server, [run(100), {**run(101), **changed}])
    assert status == 400 and said in answer["error"]
    assert post(server, "list_runs", b'{"name": "Cluster"}') == before


def test_posts_that_cannot_be(examples, server):
    nan = json.dumps({"name": "Cluster", "runs": [run(102, seconds=float("nan"))]}).encode()
    assert post(server, "submit_runs", nan)[0] == 400
    assert submit(server, [])[0] == 400 and submit(server, [run(n) for n in range(1001)])[0] == 400
    assert "same id" in submit(server, [run(103), run(103)])[1]["error"]
    assert submit(server, [run(104)], name="nowhere")[0] == 404
    assert submit(server, [run(104)], colour="red")[0] == 400


def test_a_viewer_reads_and_submits_nothing(examples, server):
    body = json.dumps({"label": "reader", "role": "viewer"}).encode()
    weak = post(server, "create_token", body)[1]["result"]["secret"]
    assert post(server, "list_studies", token=weak)[0] == 200
    status, said = post(server, "submit_runs", b'{"name": "Cluster", "runs": []}', token=weak)
    assert status == 403 and "takes the role operator" in said["error"]
    assert put(server, "x.csv", b"a,b\n", weak)[0] == 403
    assert post(server, "create_token", b'{"label": "more", "role": "operator"}', token=weak)[0] == 403


def put(server, name: str, data: bytes, token: str) -> tuple[int, bytes]:
    wish = urllib.request.Request(
        f"{server.url}/api/v1/imports/{name}", data, {"Authorization": f"Bearer {token}"}, method="PUT"
    )
    try:
        with urllib.request.urlopen(wish, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("name", ["..%2F..%2Fevil.csv", "%2e%2e%2fevil", ".hidden", "a%20b.csv", "x" * 80, "a%00b"])
def test_files_stay_in_the_imports_folder(server, name):
    status, _ = put(server, name, b"a,b\n", server.token)
    assert status in (400, 404)
    assert not list(server.workspace.parent.rglob("*evil*"))


def test_a_recipe_of_nothing(examples, server):
    for query, wanted in (
        ("nowhere?format=csv", 404),
        ("Cluster?format=docx&candidate=uniform", 400),
        ("Cluster?candidate=uniform", 400),
        ("Cluster?format=csv&candidate=uniform&tokens=many", 400),
        ("Cluster?format=csv&candidate=uniform&x=1", 400),
        ("Cluster?format=csv&candidate=uniform&file=../../etc/passwd", 404),
    ):
        status, _, text = ask(f"{server.url}/api/v1/recipe/{query}", authorization=f"Bearer {server.token}")
        assert status == wanted and json.loads(text)["error"]
    assert ask(f"{server.url}/api/v1/recipe/Cluster?format=csv")[0] == 401


def test_guessing_is_seen_in_the_log(server):
    for _ in range(3):
        assert post(server, "list_studies", token="mixdesk_000000000000_" + "x" * 43)[0] == 401
    assert "had no valid token" in server.log.read_text()


@pytest.mark.parametrize("item", ["[[[[]]]]", "{}", "1", '{"a":{}}'])
def test_millions_of_values_are_refused_before_they_are_read(tmp_path, item):
    """Small as bytes, they took two minutes to read and held up every other request meanwhile."""
    body = f'{{"name": "x", "weights": [{",".join([item] * 1_200_000)}]}}'
    with opened(tmp_path / "workspace") as client:
        began = time.monotonic()
        told = client.post("/api/v1/predict", content=body)
        assert told.status_code == 413 and "too large" in told.json()["error"]
        assert time.monotonic() - began < 5
