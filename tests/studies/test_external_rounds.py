"""Three rounds with a trainer that is not ours: export, train, report, refit, next runs, and so on."""

import json

import numpy as np
import pytest

from engine.commands.endpoint import Endpoint
from engine.recipes import FORMATS, mixdesk_report
from engine.service.results_folder import ResultsFolder
from store import results
from tests.support.external import DOMAINS, call, fits, planned, report, rows, train, work

pytestmark = pytest.mark.slow


def trained(store, folder, format: str) -> list[tuple[str, dict, list]]:
    """Export what awaits results, and train each run on what its recipe says: (run, losses, curve)."""
    made = call(store, "export_design", name="Lab", format=format, tokens_per_document=dict.fromkeys(DOMAINS, 100.0))
    files, found = made["files"], []
    manifest = json.loads(files["manifest.json"])
    (folder / "manifest.json").write_text(files["manifest.json"])
    for row in manifest["runs"]:
        shares = FORMATS[format].read({name: files[f"{row['folder']}/{name}"] for name in row["files"]})
        assert all(abs(shares.get(name, 0) - share) < 1e-6 for name, share in row["mixture"].items())
        found.append((row["run"], *train({name: shares.get(name, 0.0) for name in DOMAINS}, row["seed"])))
    return found


def next_runs(store, count: int) -> list[str]:
    """Ask for the next runs, and plan them."""
    call(store, "propose", name="Lab", count=count)
    work(store, "propose")
    proposal = results.proposals(store, call(store, "show", name="Lab")["study"])[0]
    return call(store, "start_proposed", name="Lab", points=proposal["found"]["points"])["runs"]


def test_three_rounds(store, workspace, tmp_path):
    """By files in the watched folder, by the API, and by a file of results; each in another loader's format."""
    ids = planned(store)
    watched = ResultsFolder(workspace.root)
    for run, losses, curve in trained(store, tmp_path, "megatron"):
        mixdesk_report.report(run, losses, curve, tmp_path / "manifest.json", folder=workspace.root / "results")
    assert watched.take(store) == 0 and watched.take(store) == len(ids)
    assert len(fits(store)) == 1, "one fit of all, as they came together"
    work(store, "fit")
    first = next_runs(store, 3)
    assert len(first) == 3 and [rows(store)[run]["role"] for run in first] == ["proposed"] * 3
    with Endpoint(workspace, store) as endpoint:
        to = {"server": f"http://127.0.0.1:{endpoint.server.server_port}", "token": endpoint.token}
        for run, losses, curve in trained(store, tmp_path, "olmo_core"):
            mixdesk_report.report(run, curve=curve[:1], manifest=tmp_path / "manifest.json", **to)
            mixdesk_report.report(run, losses, curve, tmp_path / "manifest.json", **to)
    work(store, "fit")
    assert len(fits(store)) == 2
    second = next_runs(store, 2)
    told = report(
        store, *({"run": run, "losses": found, "curve": c} for run, found, c in trained(store, tmp_path, "levanter"))
    )
    assert told["filled"] == second and len(fits(store)) == 3
    work(store, "fit")
    *older, _ = [job["id"] for job in call(store, "show", name="Lab")["jobs"] if job["kind"] == "search"]
    for job in older:  # nobody asked for their answers
        call(store, "cancel_job", job_id=job)
    work(store, "search")
    check_answer(store, len(ids) + 5)


def check_answer(store, runs: int) -> None:
    """All runs count, predictions were written down before them, and the best predicted mixture is better than the
    natural one where it is trained."""
    shown = call(store, "show", name="Lab")
    assert shown["counts"] == {"done": runs} and shown["settled"] and shown["league"]["runs"] == runs - 2
    assert [job["kind"] for job in shown["jobs"]].count("train") == 0
    predicted = call(store, "ledger", name="Lab")["entries"]
    assert len({one["run"] for one in predicted}) == 5, "each was predicted before it was measured"
    found = results.searches(store, shown["study"])[0]["found"]["found"]["shares"]
    best = np.mean([list(train(dict(zip(DOMAINS, found, strict=True)), seed)[0].values()) for seed in range(3)])
    natural = np.mean(
        [list(train({"web": 10 / 17, "code": 5 / 17, "books": 2 / 17}, seed)[0].values()) for seed in range(3)]
    )
    assert best < natural
