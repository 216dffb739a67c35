"""Merges as candidates: nominated, measured on all text, and taken along as files that give the same weights."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import load_file

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.corpus import windows
from engine.jobs.decisions import CandidatePut
from engine.merging.measuring.proxies import ProxyMerges
from engine.recipes import MergeRecipe, export, standing
from engine.recipes.merges import tensor_names
from engine.spec.merge import MergeSpec, coordinates
from engine.spec.merge_point import references
from engine.studies.merges.questions import merge_spec, task_of
from store import confirm_runs, reviews, studies
from store.database import Store
from tests.support.running import ROOT, answer, copied

pytestmark = pytest.mark.slow
POINT = {"digits": 0.1, "prose": 0.4, "python": 0.5}


@pytest.fixture(scope="module")
def desk(merged, tmp_path_factory):
    """A copy of the finished merge study; a merge of it is nominated and confirmed."""
    root = tmp_path_factory.mktemp("merge-candidates") / "workspace"
    copied(merged, root)
    return root


@pytest.fixture(scope="module")
def candidate(desk) -> str:
    values = [word for name, value in POINT.items() for word in ("--point", f"{name}={value}")]
    return answer(desk, "nominate", "Small merge", "A merge", "--because", "x", *values)["candidate"]


def test_it_is_measured_once_on_all_text(desk, candidate):
    frozen = answer(desk, "candidate", candidate)["frozen"]
    assert "Its experts are proxies. Merges of larger models may differ." in frozen["caveats"]
    predicted = [one["aggregate"] for one in frozen["baselines"].values()]
    assert predicted == sorted(predicted), "pages compare with the first, so that is the best"
    (one,) = answer(desk, "confirm-candidate", candidate, "--wait")
    assert one["done"] == one["runs"] == len(one["points"]) > 3 and one["gap"] is None
    measured = {label: point["aggregate"] for label, point in one["points"].items()}
    gap = one["differences"]["base"]
    assert gap["measured"] == pytest.approx(measured["candidate"] - measured["base"]) and gap["measured_half"] is None
    assert answer(desk, "confirm-candidate", candidate)["runs"] == []
    store = Store(Workspace.open(desk))
    run = confirm_runs.confirmations(store, studies.get(store, "Small merge").id)[0]
    kept = windows.load(windows.file_of(store.workspace.root, run.id))
    assert min(kept.count.values()) > 64, "more text than a run of the study measures"
    store.close()


def test_a_record_of_an_earlier_version_is_compared_with_the_best_baseline_too(desk, candidate):
    store = Store(Workspace.open(desk))
    frozen = reviews.get(store, candidate).frozen
    best, *others = frozen["baselines"]
    text = json.dumps(
        {
            **frozen,
            "name": "An older one",
            "baselines": {name: frozen["baselines"][name] for name in (*others[::-1], best)},
        }
    )
    store.write(CandidatePut(reviews.id_of(text), frozen["study"], text))
    old = reviews.get(store, reviews.id_of(text))
    assert list(old.frozen["baselines"]) == [best, *others] and old.text == text
    store.close()


def merged_weights(files, folder) -> dict:
    """What `python -m engine merge` makes of a merge file."""
    folder.mkdir()
    (folder / "merge.yaml").write_text(files["draft_merge.yaml"])
    command = [sys.executable, "-m", "engine", "merge", str(folder / "merge.yaml"), str(folder / "out")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    return load_file(folder / "out" / "model.safetensors")


def test_its_files_give_the_same_weights(desk, candidate, tmp_path):
    wish = ("export", "Small merge", "--candidate", candidate, "--format", "all", "--out", str(tmp_path / "files"))
    written = {path.split("/")[-1] for path in answer(desk, *wish)["written"]}
    assert written >= {"draft_mergekit.yaml", "draft_merge.yaml", "draft_coefficients.csv", "draft_merge.json"}
    file = (tmp_path / "files" / "merge" / "draft_merge.yaml").read_text()
    weights = merged_weights({"draft_merge.yaml": file}, tmp_path / "merge")
    store = Store(Workspace.open(desk))
    study = studies.get(store, "Small merge")
    merges = ProxyMerges(task_of(study, merge_spec(study)), desk, "cpu")
    alike(weights, merges, np.array([POINT[name] for name in study.coordinates]))
    store.close()


def alike(weights: dict, merges: ProxyMerges, point: np.ndarray) -> None:
    """Merged files hold what Mixdesk measures."""
    flat = merges.build(point[None])[0]
    for name, part in merges.blocks.items():
        assert weights[f"{name}.weight"].flatten().float() == pytest.approx(flat[part].numpy(), abs=1e-5), name


def test_coefficients_by_layer_reach_their_layers(desk, tmp_path):
    store = Store(Workspace.open(desk))
    study = studies.get(store, "Small merge")
    task, experts = task_of(study, merge_spec(study)), study.corpus["experts"]
    spec = MergeSpec(by="layer")
    names = coordinates(spec, experts, 1)
    point = np.random.default_rng(1).uniform(0, 0.6, len(names))
    files, tensors = tuple(references(desk, task)), tuple(tensor_names(desk / task.base))
    recipe = MergeRecipe("S", "by layer", spec, tuple(experts), tuple(names), tuple(point.tolist()), files, tensors)
    (desk / "half.safetensors").write_bytes(b"half of it")
    with pytest.raises(Problem, match="Put the checkpoint back"):
        tensor_names(desk / "half.safetensors")
    assert all(export(recipe, format) for format in ("mergekit", "merge", "csv", "json"))
    weights = merged_weights(export(recipe, "merge"), tmp_path / "merge")
    merges = ProxyMerges(replace(task, merge=spec.to_dict(), names=names), desk, "cpu")
    alike(weights, merges, point)
    store.close()


def test_mergekit_is_told_only_what_it_knows():
    spec, files = MergeSpec(method="tsv_m"), ("base", "a", "b")
    recipe = MergeRecipe("S", "masks", spec, ("a", "b"), ("a", "b"), (0.5, 0.5), files)
    told = standing(recipe)
    assert "mergekit has no such method" in told["mergekit"]["problem"] and told["merge"]["problem"] is None
