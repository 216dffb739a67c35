"""Merges as candidates: put forward, measured on all text, and taken along as files that give the same weights."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.torch import load_file

from engine import windows
from engine.merge_asking import merge_spec, task_of
from engine.proxy_merges import ProxyMerges
from engine.workspace import Workspace
from store import runs, studies
from store.database import Store
from tests.conftest import ROOT, engine

pytestmark = pytest.mark.slow
POINT = {"digits": 0.1, "prose": 0.4, "python": 0.5}


def answer(workspace, *arguments):
    return json.loads(engine(workspace, *arguments).stdout)


@pytest.fixture(scope="module")
def desk(merged, tmp_path_factory):
    """A copy of the finished merge study; a merge of it is put forward and confirmed."""
    root = tmp_path_factory.mktemp("merge-candidates") / "workspace"
    shutil.copytree(merged, root, ignore=shutil.ignore_patterns("*.lock", "web.json"))
    return root


@pytest.fixture(scope="module")
def candidate(desk) -> str:
    values = [word for name, value in POINT.items() for word in ("--point", f"{name}={value}")]
    return answer(desk, "put-forward", "Small merge", "A merge", "--because", "x", *values)["candidate"]


def test_it_is_measured_once_on_all_text(desk, candidate):
    (one,) = answer(desk, "confirm-candidate", candidate, "--wait")
    assert one["done"] == one["runs"] == len(one["points"]) > 3 and one["gap"] is None
    measured = {label: point["aggregate"] for label, point in one["points"].items()}
    gap = one["differences"]["base"]
    assert gap["measured"] == pytest.approx(measured["candidate"] - measured["base"]) and gap["measured_half"] is None
    assert answer(desk, "confirm-candidate", candidate)["runs"] == []
    store = Store(Workspace.open(desk))
    run = runs.confirmations(store, studies.get(store, "Small merge").id)[0]
    kept = windows.load(windows.file_of(store.workspace.root, run.id))
    assert min(kept.count.values()) > 64, "more text than a run of the study measures"
    store.close()


def test_its_files_give_the_same_weights(desk, candidate, tmp_path):
    wish = ("export", "Small merge", "--candidate", candidate, "--format", "all", "--out", str(tmp_path / "files"))
    written = {path.split("/")[-1] for path in answer(desk, *wish)["written"]}
    assert written >= {"draft_mergekit.yaml", "draft_merge.yaml", "draft_coefficients.csv", "draft_merge.json"}
    command = [sys.executable, "-m", "engine", "merge", str(tmp_path / "files" / "merge" / "draft_merge.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # paths in the file are relative to the workspace
    subprocess.run([*command, str(tmp_path / "out")], cwd=desk, env=environment, check=True, timeout=120)
    weights = load_file(tmp_path / "out" / "model.safetensors")
    store = Store(Workspace.open(desk))
    study = studies.get(store, "Small merge")
    merges = ProxyMerges(task_of(study, merge_spec(study)), desk, "cpu")
    flat = merges.build(np.array([[POINT[name] for name in study.domains]]))[0]
    for name, part in merges.blocks.items():
        found = weights[f"{name}.weight"].flatten().float()
        assert found == pytest.approx(flat[part].numpy(), abs=1e-5), name
    store.close()
