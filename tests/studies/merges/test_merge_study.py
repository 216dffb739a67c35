"""A merge study of proxies: experts made in one stack, merges measured, searched, and held against mixtures."""

import json
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.spool import Job
from engine.merging import reading
from engine.merging.measuring import job as merge_job
from engine.merging.measuring.proxies import ProxyMerges
from engine.merging.methods.memory import merge_in_memory
from engine.service.owner import Owner
from engine.spec.kinds.merge import MergeTask
from engine.spec.merge import MergeSpec, anatomy_file, coordinates, point_from
from engine.spec.merge_point import references
from engine.studies.merge_jobs import merge_jobs
from engine.studies.merge_jobs import merges as merges_planned
from engine.studies.merges.opening import open_merge_file
from engine.studies.merges.paired_comparison import paired_comparison
from engine.studies.merges.questions import measure_points, merge_spec, queue_merge_search, task_of
from store import results, runs, studies
from store.database import Store
from tests.support.running import answer, engine, until
from tests.support.warm import warm_worker
from tests.support.working import read_events

EXPERTS = ["digits", "prose", "python"]


def rows_of(store, study) -> list[dict]:
    return runs.table(store, study.id).to_pylist()


def test_experts_are_made_and_merges_measured(own):
    store, study = own
    rows = rows_of(store, study)
    assert study.coordinates == EXPERTS and all(row["state"] == "done" for row in rows)
    trained = {row["label"]: row["losses"] for row in rows if row["role"] == "expert"}
    alone = {row["label"]: row["losses"] for row in rows if row["role"] == "baseline"}
    assert list(trained) == ["base", *EXPERTS]
    for place, name in enumerate(EXPERTS):  # each is the best of its own domain, and a merge gives it back
        assert trained[name][place] == min(losses[place] for losses in trained.values())
        assert alone[f"{name} alone"] == pytest.approx(trained[name], abs=1e-5)
    assert alone["base"] == pytest.approx(trained["base"], abs=1e-5)
    assert {row["role"] for row in rows} == {"expert", "baseline", "mirror", "design"}
    assert studies.league(store, study.id)["runs"] == sum(row["role"] != "expert" for row in rows)
    assert results.searches(store, study.id)[0]["found"]["price"] is None


def test_a_contraction_is_the_merge_of_the_table(merges):
    points = np.array([[0.2, 0.5, 0.9], [0, 0, 0], [1, 0, 0]])
    flat = merges.build(points)
    experts = [merges._named(merges.base + delta) for delta in merges.deltas]
    for point, found in zip(points, flat, strict=True):
        wanted = merge_in_memory("task_arithmetic", merges._named(merges.base), experts, point.tolist())
        assert torch.allclose(found, torch.cat([value.flatten() for value in wanted.values()]), atol=1e-6)
    assert torch.equal(flat[1], merges.base)


def test_coefficients_by_layer_that_agree_are_the_same_merge(merges):
    whole = merges.build(np.array([[0.2, 0.5, 0.9]]))
    names = coordinates(MergeSpec(by="layer"), EXPERTS, merges.fidelity.layers)
    merges.set_method(MergeSpec(by="layer"), names)
    point = point_from(merges.merge, EXPERTS, names, dict(zip(EXPERTS, (0.2, 0.5, 0.9), strict=True)))
    assert torch.allclose(merges.build(point[None]), whole, atol=1e-6)


@pytest.mark.parametrize("method", ["ties", "dare_linear", "iso_c", "breadcrumbs"])
def test_other_methods_are_measured_too(merges, method):
    merges.merge = MergeSpec(method=method)
    losses, errors = merges.measure(np.full((2, 3), 0.3))
    assert losses.shape == errors.shape == (2, 3) and np.isfinite(losses).all() and (losses[0] == losses[1]).all()


def test_stacked_merges_measure_what_each_would_alone(merges):
    points = np.random.default_rng(0).uniform(0, 1, (5, 3))
    together, _ = merges.measure(points)
    apart = np.concatenate([merges.measure(point[None])[0] for point in points])
    assert together == pytest.approx(apart, abs=1e-6)


def test_it_is_known_which_expert_moved_which_layer(own):
    store, study = own
    found = json.loads((store.workspace.root / anatomy_file(study.id)).read_text())
    moved, cosines = np.array(found["moved"]), np.array(found["cosines"])
    assert found["experts"] == EXPERTS and moved.shape == (3, len(found["tensors"])) and (moved > 0).all()
    assert np.diagonal(cosines, axis1=1, axis2=2) == pytest.approx(1, abs=1e-6)


def test_merges_are_compared_with_proxies_at_the_same_numbers(own):
    store, study = own
    found = paired_comparison(store, study)
    assert found.metrics == [*EXPERTS, "mean loss"] and len(found.runs) == len(found.points) >= 6
    assert (found.low <= found.rank).all() and (found.rank <= found.high).all()
    proxies = studies.get(store, "Small")
    with pytest.raises(Problem, match="does not name a mixture study"):
        paired_comparison(store, proxies)


def test_a_point_is_measured_once(own):
    store, study = own
    row = next(row for row in rows_of(store, study) if row["role"] == "design")
    with pytest.raises(Problem, match="measured already"):
        measure_points(store, study, row["weights"])
    with pytest.raises(Problem, match="finite number for each of digits"):
        measure_points(store, study, [0.1, float("nan"), 0.2])
    with pytest.raises(Problem, match="study of mixtures"):
        measure_points(store, studies.get(store, "Small"), [0.1, 0.2, 0.3])
    asked = measure_points(store, study, [[0.11, 0.2, 0.3]] * 2)
    with pytest.raises(Problem, match="wait for it"):
        measure_points(store, study, [0.11, 0.2, 0.3])
    assert len(asked) == 1
    store.spool.cancel(f"{study.id}-merge-{asked[0][-5:]}")


@pytest.mark.parametrize("method", ["ties", "multislerp"])
def test_other_methods_are_compared_with_the_same_reference_merges(own, tmp_path, method):
    """References by task arithmetic measure what they measure everywhere, and a refused point is told as such."""
    store, study = own
    spec = merge_spec(study)
    spec = replace(spec, merge=MergeSpec(method=method, upper=2.0), runs=8)
    rows = merges_planned(store, spec, "other", EXPERTS, EXPERTS, None, 5)
    rows[-1]["weights"] = [0.0, 0.0, 0.0]  # multislerp divides by their sum
    usual = {row["id"]: row["label"] for row in rows if row["role"] == "reference"}
    (job,) = merge_jobs(spec, "other", EXPERTS, EXPERTS, EXPERTS, rows)
    known = task_of(study, merge_spec(study))
    (tmp_path / "job").mkdir()
    job = Job(tmp_path / "job", store.workspace.root, job["spec"] | {"base": known.base, "experts": known.experts})
    merge_job.run(job)
    events = list(read_events(job.folder))
    losses = {event["run"]: event["losses"] for event in events if event["kind"] == "run.finished"}
    own_rows = {row["label"]: row["losses"] for row in rows_of(store, study) if row["role"] == "baseline"}
    assert set(usual.values()) == set(own_rows) and "as" not in rows[0]
    for run, label in usual.items():
        assert [losses[run][name] for name in EXPERTS] == pytest.approx(own_rows[label], abs=1e-5)
    refused = [event for event in events if event["kind"] == "run.refused"]
    assert [event["run"] for event in refused] == ([rows[-1]["id"]] if method == "multislerp" else [])
    assert all("sum to 0" in event["message"] for event in refused)


def test_a_job_whose_merges_are_all_refused_has_done_its_work(own, tmp_path):
    """Also where it is tried again: nothing is left to measure, and it still says what came of it."""
    store, study = own
    task = replace(task_of(study, merge_spec(study)), merge=MergeSpec(method="multislerp").to_dict())
    spec = MergeTask(**task.to_dict(), runs=[{"id": "r", "weights": [0.0] * 3, "seed": 0}]).spec()
    (tmp_path / "job").mkdir()
    for _ in range(2):
        merge_job.run(Job(tmp_path / "job", store.workspace.root, spec))
        *_, last = read_events(tmp_path / "job")
        assert (last["done"], last["total"]) == (1, 1) and last["note"].startswith("done; 1 refused: ")
    assert [event["kind"] for event in read_events(tmp_path / "job")].count("run.refused") == 1


def test_what_was_asked_is_tried_again_where_it_ended_without_an_answer(own):
    store, study = own
    job = queue_merge_search(store, study, "random", 5, seed=9).id
    store.spool.cancel(job)
    store.ingest()
    state = "SELECT state FROM jobs WHERE id = ?"
    assert store.rows(state, [job]) == [("cancelled",)]
    assert queue_merge_search(store, study, "random", 5, seed=9) == (job, False)
    assert store.rows(state, [job]) == [("queued",)]
    store.spool.cancel(job)
    with pytest.raises(Problem, match="-1 as seed"):
        queue_merge_search(store, study, "random", 5, seed=-1)


def test_merges_from_the_command_line(desk):
    """Measured outside the box too; searched by two strategies; unknown names are refused."""
    found = engine(desk, "measure-merge", "Small merge", "--at", "python=1.4", "--at", "prose=0.2", "--wait")
    (run,) = json.loads(found.stdout)
    assert run["state"] == "done" and run["weights"] == {"digits": 0, "prose": 0.2, "python": 1.4}
    best = {}
    for strategy in ("guided", "random"):
        done = engine(desk, "search-merges", "Small merge", "--by", strategy, "--evaluations", "24", "--wait")
        best[strategy] = json.loads(done.stdout)["found"]
        assert best[strategy]["evaluations"] == 24 and len(best[strategy]["trace"]) == 24
    assert best["guided"]["aggregate"] <= best["random"]["aggregate"] + 1e-9
    rows = answer(desk, "runs", "Small merge")
    numbers = [row["number"] for row in rows]
    assert len(set(numbers)) == len(numbers) and sum(row["role"] == "search" for row in rows) == 48
    for wrong, word in (
        (("measure-merge", "Small merge", "--at", "latin=1"), "latin"),
        (("search-merges", "Small"), "study of mixtures"),
        (("search-merges", "Small merge", "--evaluations", "0"), "1 to 100,000"),
        (("search-merges", "Small merge", "--by", "random", "--spread"), "only guided"),
        (("measure-merge", "Small merge", "--at", "python=1", "--at", "python=0.2"), "both 1 and 0.2"),
    ):
        done = engine(desk, *wrong, check=False)
        assert done.returncode == 1 and word in done.stderr and "Traceback" not in done.stderr


def test_a_paused_search_goes_on_where_it_stopped(desk):
    """Stopped in the middle and resumed, it measures what it would have measured in one go."""
    with warm_worker(desk), closing(Owner(Workspace.open(desk))) as owner:
        store = owner.store
        study = studies.get(store, "Small merge")
        job = queue_merge_search(store, study, "cma", 200, seed=3).id
        until(lambda: len(search_rows(store, study, 3)) > 40)
        store.spool.pause(study.id)
        until(lambda: store.rows("SELECT state FROM jobs WHERE id = ?", [job])[0][0] == "paused")
    with warm_worker(desk), closing(Owner(Workspace.open(desk))) as owner:  # another worker goes on
        store = owner.store
        assert len(search_rows(store, study, 3)) < 200
        store.spool.unpause(study.id)
        until(lambda: job in {found["job"] for found in results.merge_searches(store, study.id)})
        rows = search_rows(store, study, 3)
        assert len(rows) == 200 and len({row["number"] for row in rows}) == 200
        points = np.array([row["weights"] for row in rows])
        assert len(np.unique(points.round(9), axis=0)) > 140  # no generation was asked for twice


def search_rows(store, study, seed: int) -> list[dict]:
    return [row for row in rows_of(store, study) if row["role"] == "search" and row["seed"] == seed]


# Merge files in and out -------------------------------------------------------------------------------------


def test_a_merge_file_opens_as_a_point(own):
    store, study = own
    text = """
merge_method: ties
base_model: elsewhere/base
models:
- model: models/python
  parameters: {weight: 0.4, density: 0.5}
- model: prose
  parameters: {weight: [{filter: layers.0., value: 0.2}, {value: 0.7}], density: 0.5}
parameters: {normalize: true}
"""
    found = open_merge_file(store, study, text)
    assert found["method"] == "ties" and found["by"] == "layer" and found["knobs"]["density"] == 0.5
    assert found["coefficients"]["prose @ layer 0"] == 0.2 and found["coefficients"]["prose @ rest"] == 0.7
    assert found["coefficients"]["digits @ rest"] == 0.0
    plain = text.replace("[{filter: layers.0., value: 0.2}, {value: 0.7}]", "0.7")
    assert open_merge_file(store, study, plain)["coefficients"] == {"digits": 0.0, "prose": 0.7, "python": 0.4}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: [", "Fix it"),
        ("slices: []", "must name its `models`"),
        ("merge_method: ties\nbase_model: base\nmodels: [{model: /etc/passwd}]", "not a model of this study"),
        ("merge_method: magic\nbase_model: base\nmodels: [{model: python}]", "Cannot merge by 'magic'"),
        ("merge_method: ties\nbase_model: base\nmodels: [{model: python}]\nspeed: 3", "speed"),
        ("merge_method: ties\nmodels: [{model: python}]\nmodels: [{model: prose}]", "names 'models' twice"),
        (
            "merge_method: ties\nbase_model: base\nmodels: [{model: python, parameters: {weight: 1, density: -1}}]",
            "-1 as density",
        ),
        ("!!python/object/apply:os.system ['true']", "Fix it"),
    ],
)
def test_a_file_that_is_no_merge_of_this_study_is_refused(own, tmp_path, text, word):
    """By what the reading process runs, in this process, which has torch already; the next test starts that one."""
    store, study = own
    base, *experts = references(store.workspace.root, task_of(study, merge_spec(study)))
    file, models = tmp_path / "merge.yml", tmp_path / "models.json"
    file.write_text(text)
    models.write_text(json.dumps({base: "base", **dict(zip(experts, study.corpus["experts"], strict=True))}))
    with pytest.raises(SystemExit, match=word):
        reading.main(file, models)


@pytest.mark.parametrize(("text", "word"), [("a: [", "Fix it"), ("x" * 5_000_000, "are allowed")])
def test_why_a_file_is_refused_is_told(own, text, word):
    """What the reading process says; and a file that is too large for it."""
    store, study = own
    with pytest.raises(Problem, match=word):
        open_merge_file(store, study, text)


def test_a_large_merge_file_holds_up_nobody(own):
    """Parsing it costs the page's process, where everybody waits, next to nothing: another process does it."""
    store, study = own
    filters = "".join(f"    - {{filter: layers.{i}.none, value: 0.5}}\n" for i in range(80_000))
    models = f"models:\n- model: python\n  parameters:\n    weight:\n{filters}    - {{value: 0.4}}\n"
    text = f"merge_method: task_arithmetic\nbase_model: base\n{models}"
    assert len(text) > 3_000_000
    before = time.process_time()
    found = open_merge_file(store, study, text)
    assert time.process_time() - before < 2 and found["coefficients"]["python"] == 0.4


def test_a_chosen_merge_is_written_as_a_checkpoint(desk):
    """The file holds what was measured, and the same again is the same job."""
    engine(desk, "write-merge", "Small merge", "--at", "prose=0.5", "--at", "python=0.25", "--out", "chosen", "--wait")
    written = load_file(desk / "exports" / "chosen.safetensors")
    store = Store(Workspace.open(desk))
    study = studies.get(store, "Small merge")
    merges = ProxyMerges(task_of(study, merge_spec(study)), store.workspace.root, "cpu")
    store.close()
    (flat,) = merges.build(np.array([[0, 0.5, 0.25]]))
    wanted = torch.cat([written[f"{name}.weight"].flatten() for name in merges.shapes])
    assert torch.allclose(flat, wanted, atol=1e-6)
    done = engine(desk, "write-merge", "Small merge", "--at", "best", "--out", "../out", check=False)
    assert done.returncode == 1 and "'../out'" in done.stderr


def test_its_experts_find_mixmins_mixture_without_a_run(desk):
    """A rival of the mixture study beside it (docs/how-to/rivals.md)."""
    before = next(one for one in answer(desk, "rivals", "Small")["methods"] if one["method"] == "mixmin")
    after = answer(desk, "rivals", "Small", "--find", "--method", "mixmin", "--wait")["methods"][0]["found"]
    assert before["experts_of"] == after["experts_of"] and before["experts_of"].startswith("small-merge")
    assert after["tokens_trained"] == 0
    assert after["runs"] == pytest.approx(before["runs"], rel=0.05) and after["runs"] < 1
    assert after["mixture"]["digits"] < 0.2, "the digits do not count"
