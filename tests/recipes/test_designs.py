"""Designs: planned runs of an external trainer in a loader's format, their manifest, and the client that reports."""

import json
import subprocess
import sys
import urllib.error
from contextlib import closing
from functools import partial

import pytest
import yaml

from engine.commands.endpoint import Endpoint
from engine.core import files
from engine.core.errors import Problem, Unavailable
from engine.recipes import FORMATS, designs, mixdesk_report
from engine.service.results_folder import ResultsFolder
from store.database import Store
from tests.support.external import DOMAINS, call, losses, planned, rows
from tests.support.running import answer, said

LENGTHS = dict.fromkeys(DOMAINS, 1.0)


@pytest.fixture
def ids(store):
    return planned(store)


def design(store, format="megatron", **more) -> dict[str, str]:
    return call(store, "export_design", name="Lab", format=format, **more)["files"]


@pytest.fixture
def folder(store, ids, tmp_path):
    """The design on a disk of the cluster's."""
    for path, text in design(store).items():
        (tmp_path / "design" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "design" / path).write_text(text)
    return tmp_path / "design"


@pytest.mark.parametrize("format", FORMATS)
def test_every_run_has_a_recipe_in_the_loaders_format(store, ids, format):
    made = call(store, "export_design", name="Lab", format=format, tokens_per_document=LENGTHS)
    files = made["files"] | made["binary"]
    manifest = json.loads(files["manifest.json"])
    assert [row["run"] for row in manifest["runs"]] == ids and manifest["format"] == format
    there = rows(store)
    for row in manifest["runs"]:
        assert row["mixture"] == there[row["run"]]["weights"] and row["seed"] == there[row["run"]]["seed"]
        assert (row["parameters"], row["tokens"]) == (64, 3840) and row["folder"] == f"runs/{row['run']}"
        assert row["files"] and all(f"{row['folder']}/{name}" in files for name in row["files"])
    assert not any("draft" in path for path in files) and "planned" in files[f"runs/{ids[0]}/provenance.json"]


def test_a_recipe_says_its_run_its_budget_and_its_repetition(store, ids):
    sources = yaml.safe_load(design(store, "olmo_core", paths={"web": "/data/web"})[f"runs/{ids[0]}/sources.yaml"])
    assert sources["sources"][0]["paths"] == ["/data/web/*.npy"]
    text = design(store, "olmo_core")[f"runs/{ids[2]}/sources.yaml"]
    assert f"planned run {ids[2]}" in text and "3,840 tokens" in text


def test_only_what_awaits_results_is_exported(store, ids):
    call(store, "submit_runs", name="Lab", runs=[{"run": ids[0], "losses": losses({})}])
    assert [row["run"] for row in json.loads(design(store)["manifest.json"])["runs"]] == ids[1:]
    chosen = design(store, runs=[ids[0], ids[0], ids[3]])
    assert [row["run"] for row in json.loads(chosen["manifest.json"])["runs"]] == [ids[0], ids[3]]
    with pytest.raises(Problem, match="planned no run of that id"):
        design(store, runs=["lab-0-00001"])
    call(store, "give_up_runs", name="Lab", runs=ids[1:])
    with pytest.raises(Problem, match="no planned run awaits"):
        design(store)


def test_a_manifest_that_comes_back_different_is_not_written(store, ids, monkeypatch):
    dumps = json.dumps
    monkeypatch.setattr(
        designs.json, "dumps", lambda value, **more: dumps(value, **more).replace('"seed": 1', '"seed": 2')
    )
    with pytest.raises(Problem, match="its seed came back different"):
        design(store)


# The client -----------------------------------------------------------------------------------------------------


def test_the_client_is_one_file_that_any_python_runs(folder, ids, tmp_path):
    """In a process of its own, isolated from all that is installed."""
    (tmp_path / "loss.json").write_text('{"web": 2.5, "code": NaN, "books": 2.0}')
    (tmp_path / "curve.jsonl").write_text(
        '{"step": 1, "tokens": 64, "loss": 3.0}\n{"step": 2, "tokens": 128, "loss": NaN}\n'
    )
    words = ["--run", ids[1], "--metrics", "loss.json", "--curve", "curve.jsonl", "--folder", "out"]
    command = [sys.executable, "-I", str(folder / "report" / "mixdesk_report.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    (sent,) = json.loads((tmp_path / json.loads(done.stdout)["file"]).read_text())["runs"]
    manifest = {row["run"]: row for row in json.loads((folder / "manifest.json").read_text())["runs"]}
    assert sent["weights"] == manifest[ids[1]]["mixture"] and sent["seed"] == manifest[ids[1]]["seed"]
    assert sent["losses"] == {"web": 2.5, "code": None, "books": 2.0} and sent["curve"][1]["loss"] is None
    assert "mixdesk_report:main" in (folder / "report" / "pyproject.toml").read_text()


def test_it_reports_to_a_server_and_says_what_that_refuses(store, workspace, folder, ids):
    with Endpoint(workspace, store) as endpoint:
        to = {"server": f"http://127.0.0.1:{endpoint.server.server_port}", "token": endpoint.token}
        to["manifest"] = folder / "manifest.json"
        assert mixdesk_report.report(ids[0], losses(rows(store)[ids[0]]["weights"]), **to)["filled"] == [ids[0]]
        assert mixdesk_report.report(ids[0], losses(rows(store)[ids[0]]["weights"]), **to)["already_there"] == [ids[0]]
        curve = [{"step": 1, "tokens": 64, "loss": 2.0}]
        assert mixdesk_report.report(ids[1], curve=curve, state="running", **to)["in_training"] == [ids[1]]
        with pytest.raises(mixdesk_report.Refused, match="other numbers"):
            mixdesk_report.report(ids[0], losses({}), **to)
        with pytest.raises(mixdesk_report.Refused, match="has no run 'lab-9'"):
            mixdesk_report.report("lab-9", losses({}), **to)


def test_a_manifest_edited_by_hand_is_told(store, workspace, folder, ids):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["runs"][2]["mixture"] = {"web": 0.9, "code": 0.1, "books": 0.0}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with Endpoint(workspace, store) as endpoint:
        to = {"server": f"http://127.0.0.1:{endpoint.server.server_port}", "token": endpoint.token}
        with pytest.raises(mixdesk_report.Refused, match="Was the manifest edited"):
            mixdesk_report.report(ids[2], losses({}), manifest=folder / "manifest.json", **to)
    (folder / "manifest.json").write_text('{"runs": 3}')
    with pytest.raises(mixdesk_report.Refused, match="cannot be read"):
        mixdesk_report.planned(ids[2], folder / "manifest.json")


def test_what_a_server_cannot_be_given_goes_into_the_folder(store, ids, tmp_path, monkeypatch):
    monkeypatch.setattr(mixdesk_report, "WAITS", (0.0,))
    to = {"server": "http://127.0.0.1:9", "token": "x"}
    with pytest.raises(mixdesk_report.Refused, match="cannot be reached"):
        mixdesk_report.report(ids[0], {"web": 2.0}, **to)
    with pytest.raises(mixdesk_report.Refused, match="Name a server"):
        mixdesk_report.report(ids[0], {"web": 2.0})
    assert "file" in mixdesk_report.report(ids[0], {"web": 2.0}, folder=tmp_path / "out", **to)
    assert issubclass(urllib.error.URLError, OSError)


# The watched folder ---------------------------------------------------------------------------------------------


def test_files_in_the_watched_folder_are_taken_once_they_are_whole(store, workspace, ids):
    watched, inbox = ResultsFolder(workspace.root), workspace.root / "results"
    assert watched.take(store) == 0, "there is no folder"
    mixdesk_report.report(ids[0], losses(rows(store)[ids[0]]["weights"]), folder=inbox)
    lines = [{"run": run, "losses": losses(rows(store)[run]["weights"])} for run in ids[1:3]]
    (inbox / "more.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (inbox / "half.json").write_text('{"run": ')
    (inbox / "other.json").write_text('[{"run": "lab-0-00009", "losses": {"web": 1}}]')
    (inbox / ".part.json").write_text("{}")
    assert watched.take(store) == 0, "they may still be written"
    (inbox / "half.json").write_text('{"run": "')
    assert watched.take(store) == 3
    assert [rows(store)[run]["state"] for run in ids[:4]] == ["done", "done", "done", "planned"]
    assert watched.take(store) == 1
    assert sorted(path.name for path in inbox.iterdir() if path.is_file()) == [".part.json"]
    assert "not JSON" in (inbox / "refused" / "half.json.why.txt").read_text()
    assert "no planned run has that id" in (inbox / "refused" / "other.json.why.txt").read_text()
    assert len(list((inbox / "taken").iterdir())) == 2


def test_one_file_in_the_watched_folder_stops_nothing_and_a_full_disk_refuses_none(store, workspace, ids, monkeypatch):
    """The owner looks here before it reads the journals: what a file raises would have stopped all studies."""
    watched, inbox = ResultsFolder(workspace.root), workspace.root / "results"
    mixdesk_report.report(ids[0], losses(rows(store)[ids[0]]["weights"]), folder=inbox)
    monkeypatch.setattr(files, "ROOM", 1 << 60)  # as if the disk had less free than that
    watched.take(store)
    with pytest.raises(Unavailable):
        watched.take(store)
    assert not (inbox / "refused").exists() and rows(store)[ids[0]]["state"] == "planned"
    monkeypatch.undo()
    odd = {"study": "Lab", "runs": [{"run": ids[1], "losses": {"web": 2.0}, "device": {"a": []}, "weights": [[]]}]}
    (inbox / "odd.json").write_text(json.dumps(odd))
    (inbox / "deep.json").write_text("[" * 100_000)
    watched.take(store)
    assert watched.take(store) == 2 and rows(store)[ids[0]]["state"] == "done"
    assert {path.name for path in (inbox / "refused").iterdir()} >= {"odd.json.why.txt", "deep.json.why.txt"}
    (inbox / "taken").rename(inbox / "elsewhere")
    (inbox / "taken").write_text("no folder")
    mixdesk_report.report(ids[2], losses(rows(store)[ids[2]]["weights"]), folder=inbox)
    assert [watched.take(store) for _ in range(3)] == [0, 1, 0], "it is left alone until it changes"


# The command line -----------------------------------------------------------------------------------------------


def test_the_command_line_exports_and_takes_results(workspace, tmp_path):
    out, run = str(tmp_path / "out"), partial(answer, workspace.root)
    with closing(Store(workspace)) as opened:
        ids = planned(opened)
    assert run("export-design", "Lab", "--format", "nanotron", "--out", out)["runs"] == len(ids)
    assert "exists" in said(workspace.root, "export-design", "Lab", "--format", "nanotron", "--out", out)
    results = [{"run": one, "losses": {"web": 2.0, "code": 2.5, "books": 2.0}} for one in ids[:3]]
    (tmp_path / "results.json").write_text(json.dumps(results))
    manifest = ["--manifest", f"{out}/manifest.json"]
    assert run("submit-runs", "Lab", "--file", str(tmp_path / "results.json"), *manifest)["filled"] == ids[:3]
    assert run("submit-runs", "Lab", "--run", ids[3], "--loss", "web=2", "--seconds", "9")["filled"] == [ids[3]]
    (tmp_path / "table.csv").write_text("name,eval/web_loss,code,other\n" + f"{ids[4]},2.25,2.5,9\nelse,1,1,1\n")
    told = run("submit-runs", "Lab", "--file", str(tmp_path / "table.csv"))
    assert told["filled"] == [ids[4]] and "1 run that no plan has" in told["notes"][0]
    assert run("give-up-runs", "Lab", ids[5])["awaited"] == len(ids) - 6
    assert "one of --run" in said(workspace.root, "submit-runs", "Lab", "--loss", "web=2")
    assert "--weight for each" in said(workspace.root, "submit-runs", "Lab", "--id", "mine", "--loss", "web=2")
