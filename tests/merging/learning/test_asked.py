"""Merges learned from text, as people ask for them: commands, refusals, runs, files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.spool import Job
from engine.merging.config import from_dict
from engine.merging.learning.job import point_of, run
from engine.merging.methods.memory import merge_in_memory
from engine.spec.merge_catalogue import catalogue
from engine.spec.merge_learners import LEARNERS, checked_settings, learner_of
from engine.studies.merges.learning import queue_learning
from store import results, runs, studies
from store.database import Store
from tests.support.learning import Bigrams, llama_task
from tests.support.running import answer, engine
from tests.support.working import read_events


def test_merging_by_weights_alone_says_what_is_missing(tmp_path):
    text = "merge_method: fisher\nbase_model: b\nmodels: [{model: e}]\n"
    for attempt in (
        lambda: from_dict(yaml.safe_load(text), tmp_path),
        lambda: merge_in_memory("regmean", {}, [{}], []),
    ):
        with pytest.raises(Problem, match=r"it needs data .*the command learn-merge"):
            attempt()
    (tmp_path / "merge.yml").write_text(text)
    done = engine(tmp_path, "merge", str(tmp_path / "merge.yml"), str(tmp_path / "out"), check=False)
    assert done.returncode == 1 and "by fisher from weights alone" in done.stderr and "Traceback" not in done.stderr
    assert not set(LEARNERS) & set(catalogue())


def test_knobs_are_checked():
    with pytest.raises(Problem, match="its knobs are windows"):
        checked_settings("fisher", {"steps": 3})
    with pytest.raises(Problem, match="a whole number from 2"):
        checked_settings("fisher", {"windows": 2.5})
    with pytest.raises(Problem, match="from 0 to 1"):
        checked_settings("regmean", {"alpha": float("nan")})
    with pytest.raises(Problem, match="the methods are fisher"):
        learner_of("magic")


def test_learning_from_the_command_line(learning_desk):
    """A coefficient an expert becomes a run; weights become a file that opens as a proxy; wrong names are refused."""
    found = answer(
        learning_desk, "learn-merge", "Small merge", "--by", "self_positioning", "--set", "steps=5", "--wait"
    )["found"]
    rows = {row["id"]: row for row in answer(learning_desk, "runs", "Small merge")}
    run = rows[found["run"]]
    assert run["role"] == "learned" and run["label"] == "self_positioning" and found["file"] is None
    assert list(run["losses"].values()) == pytest.approx(found["losses"])
    assert sum(run["weights"].values()) > 0
    for name, more in (("fisher", ["windows=4", "--at", "python=0.7", "--at", "prose=0.3"]), ("twin", ["steps=3"])):
        done = engine(learning_desk, "learn-merge", "Small merge", "--by", name, "--set", *more, "--wait")
        found = json.loads(done.stdout)["found"]
        assert found["run"] is None and np.isfinite(found["losses"]).all() and min(found["losses_se"]) > 0
        tensors = load_file(learning_desk / "exports" / found["file"])
        assert ("embedding.weight" if name == "fisher" else "router.up") in tensors
    told = answer(learning_desk, "learned-merges", "Small merge")
    assert [one["settings"]["method"] for one in told] == ["twin", "fisher", "self_positioning"]
    assert told[1]["settings"]["weight"] == [0.0, 0.3, 0.7]
    done = engine(learning_desk, "learn-merge", "Small", "--by", "fisher", check=False)
    assert done.returncode == 1 and "study of mixtures" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"method": "magic"}, "the methods are fisher"),
        ({"method": "fisher", "knobs": {"steps": 3}}, "its knobs are"),
        ({"method": "fisher", "coefficients": {"latin": 1}}, "latin"),
        ({"method": "fisher", "coefficients": {"python": -1}}, "at least 0"),
        ({"method": "fisher", "coefficients": {"python": float("nan")}}, "by nan"),
        ({"method": "atlas", "coefficients": {"python": 1}}, "take them"),
        ({"method": "logit_fusion", "large": "x"}, "external"),
    ],
)
def test_what_cannot_be_learned_is_refused_with_a_sentence(learning_desk, asked, word):
    store = Store(Workspace.open(learning_desk))
    try:
        with pytest.raises(Problem, match=word):
            queue_learning(store, studies.get(store, "Small merge"), **asked)
    finally:
        store.close()


def test_a_number_is_kept_for_a_run_that_is_being_learned(learning_desk):
    store = Store(Workspace.open(learning_desk))
    try:
        study = studies.get(store, "Small merge")
        before = runs.last_number(store, study.id)
        job = queue_learning(store, study, "lm_cocktail", {"windows": 2}).id
        assert runs.last_number(store, study.id) == before + 1
        assert queue_learning(store, study, "lm_cocktail", {"windows": 2}) == (job, True)  # asked once
        assert runs.last_number(store, study.id) == before + 1
        store.spool.cancel(job)
    finally:
        store.close()


def test_a_learned_checkpoint_of_language_models_loads(learning_desk, tmp_path):
    transformers = pytest.importorskip("transformers", reason="requirements-transformers.txt")
    spec = llama_task().to_dict() | {
        "learn": {
            "method": "regmean",
            "knobs": {"windows": 4, "alpha": 0.9, "seed": 0},
            "weight": [1.0, 1.0],
            "large": "",
        },
        "out": "s-regmean",
        "first": 1,
        "device": "cpu",
    }
    (tmp_path / "job").mkdir()
    job = Job(tmp_path / "job", learning_desk, spec)
    run(job)
    (told,) = [event["found"] for event in read_events(job.folder) if event["kind"] == "merge.learned"]
    folder = learning_desk / "exports" / told["file"]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert "RegMean" in (folder / "README.md").read_text() and np.isfinite(told["losses"]).all()
    assert torch.isfinite(model(torch.arange(20)[None]).logits).all()
    run(job)  # a second attempt, after a kill between writing and telling, writes it anew


def test_coefficients_are_a_run_where_the_study_has_that_point():
    """By expert everywhere, by block in a study by layer; never by tensor, nor where another method is studied."""
    family = Bigrams()
    family.base = {"layers.0.w": torch.ones(2, 2), "embedding": torch.ones(2, 2)}
    whole = {"": torch.tensor([0.1, 0.2])}
    blocks = {"layer 0": torch.tensor([0.1, 0.2]), "rest": torch.tensor([0.3, 0.4])}
    layered = ["d0 @ rest", "d0 @ layer 0", "d1 @ rest", "d1 @ layer 0"]
    for merge, names, coefficients, wanted in (
        ({}, ["d0", "d1"], whole, [0.1, 0.2]),
        ({}, ["d0", "d1"], blocks, None),
        ({"by": "layer"}, layered, whole, [0.1, 0.1, 0.2, 0.2]),
        ({"by": "layer"}, layered, blocks, [0.3, 0.1, 0.4, 0.2]),
        ({"by": "layer"}, layered, {name: whole[""] for name in family.base}, None),
        ({"method": "ties"}, ["d0", "d1"], whole, None),
        ({"knobs": {"lam": 0.5}}, ["d0", "d1"], whole, None),
    ):
        found = point_of(replace(llama_task(), merge=merge, names=names), family, coefficients)
        assert found is None if wanted is None else found == pytest.approx(wanted)


def test_a_fusion_of_language_models_is_measured_and_leaves_no_file(learning_desk, tmp_path):
    pytest.importorskip("transformers", reason="requirements-transformers.txt")
    (tmp_path / "job").mkdir()
    learn = {"method": "logit_fusion", "knobs": {"matched": 1, "seed": 0}, "weight": [0.5, 0.5], "large": "prose"}
    job = Job(
        tmp_path / "job",
        learning_desk,
        llama_task().to_dict() | {"learn": learn, "out": "s-fusion", "first": 1, "device": "cpu"},
    )
    run(job)
    (told,) = [event["found"] for event in read_events(job.folder) if event["kind"] == "merge.learned"]
    assert told["file"] is None and told["run"] is None and "no checkpoint: 4 models" in told["note"]
    assert np.isfinite(told["losses"]).all() and not list((learning_desk / "exports").glob("s-fusion*"))


def test_what_was_learned_outlives_a_rebuild(learning_desk, tmp_path):
    from store.from_journals import rebuild

    store = Store(Workspace.open(learning_desk))
    before = results.learned_merges(store, studies.get(store, "Small merge").id)
    store.close()
    rebuild(Workspace.open(learning_desk), tmp_path / "again.duckdb")
    store = Store(Workspace.open(learning_desk), tmp_path / "again.duckdb")
    assert before and results.learned_merges(store, studies.get(store, "Small merge").id) == before
    store.close()
