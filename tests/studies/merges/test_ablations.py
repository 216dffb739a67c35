"""A merge taken apart: sets of experts, modules with the base's tensors, what is said of both, and what is refused."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.merging.measuring.ablation import modules_of as modules_in
from engine.merging.measuring.ablation import rise_of, subsets_of
from engine.proxies.evaluate import evaluate
from engine.proxies.model import Stack
from engine.service.owner import Owner
from engine.spec.objectives import aggregate, domain_losses
from engine.studies.merges.ablations import experts_of, modules_of, queue_ablation
from store import jobs, results, runs, studies
from tests.support.running import answer, said

EXPERTS = ["digits", "prose", "python"]
AT = {"digits": 0.3, "prose": 0.5, "python": 0.4}


@pytest.fixture(scope="module")
def told(desk):
    """What the command found, of a merge at coefficients."""
    at = [word for name, value in AT.items() for word in ("--at", f"{name}={value}")]
    return answer(desk, "ablate-merge", "Small merge", *at, "--wait")


def test_sets_are_all_where_few_and_drawn_once_where_many():
    assert len(subsets_of(EXPERTS, 6, 0)) == 7
    many = subsets_of([f"e{n}" for n in range(9)], 5, 0)
    assert len(set(many)) == len(many) == 8 * 5 + 1 and many == subsets_of([f"e{n}" for n in range(9)], 5, 0)
    assert sorted({len(one) for one in many}) == list(range(1, 10))


def test_modules_are_parts_of_layers_and_what_stands_alone():
    names = ["model.embed_tokens.weight", "model.layers.0.mlp.up.weight", "model.layers.0.mlp.down.weight"]
    names += ["model.layers.0.self_attn.q.bias", "model.layers.0.norm.weight", "lm_head.weight"]
    found = modules_in(names)
    assert list(found) == [
        "model.embed_tokens",
        "model.layers.0.mlp",
        "model.layers.0.self_attn",
        "model.layers.0.norm",
        "lm_head",
    ]
    assert sum(map(len, found.values())) == len(names)


def test_a_set_of_one_is_that_expert_as_the_study_measured_it(told, own):
    store, study = own
    rows = runs.table(store, study.id).to_pylist()
    known = {row["label"]: row["losses"] for row in rows if row["role"] == "baseline"}
    (found,) = results.merge_ablations(store, study.id)
    sets = {tuple(one["experts"]): one["losses"] for one in found["found"]["subsets"]}
    assert len(sets) == 7 and found["job"] == told["job"]
    for name in EXPERTS:
        assert sets[name,] == pytest.approx(known[f"{name} alone"], abs=1e-6)


def test_a_module_taken_out_is_the_merge_with_the_bases_tensors(told, own, merges):
    """Against the same merge built by hand and measured as any proxy is."""
    store, study = own
    (found,) = results.merge_ablations(store, study.id)
    (whole,) = merges.build(np.array([list(AT.values())]))
    flat = whole.repeat(2, 1)
    for name in ("layers.0.attention.qkv", "layers.0.attention.output"):
        flat[1, merges.blocks[name]] = merges.base[merges.blocks[name]]
    stack = Stack(merges.fidelity, merges.corpus.vocabulary, [0, 0], "cpu")
    stack.flat.data.copy_(flat)
    losses, _ = evaluate(stack, merges.corpus, merges.domains, merges.fidelity.eval_tokens)
    own = next(one for one in found["found"]["modules"] if one["module"] == "layers.0.attention")
    assert own["rise"] == pytest.approx(losses[1] - losses[0], abs=1e-5)
    assert [one["module"] for one in told["modules"]] == ["embedding", "layers.0.attention", "layers.0.mlp"]


def test_the_command_tells_the_law_and_each_modules_reading(told):
    assert told["at"] == AT and told["unit"] == "bits per byte" and told["refused"] == 0
    assert [one["experts"] for one in told["experts"]] == [1, 2, 3]
    assert all(one["low"] <= one["expected"] <= one["high"] for one in told["experts"])
    assert 1 <= told["enough"] <= 3 and {one["reading"] for one in told["modules"]} <= {"helps", "harms", "cannot tell"}


def test_a_difference_has_the_error_of_paired_windows():
    """The same rise in every byte has none, however windows differ; scattered ones have it."""
    size = np.array([10.0, 20.0, 40.0])
    whole = {"d": (np.array([9.0, 17.0, 44.0]), size)}
    same = {"d": (whole["d"][0] + 0.1 * np.log(2) * size, size)}
    assert rise_of(whole, same) == {"rise": pytest.approx([0.1]), "rise_se": pytest.approx([0.0], abs=1e-12)}
    uneven = {"d": (whole["d"][0] + np.log(2) * np.array([7.0, 0.0, 0.0]), size)}
    assert rise_of(whole, uneven)["rise_se"][0] == pytest.approx(np.sqrt(1.5 * (36 + 4 + 16)) / 70)


def test_what_is_said_of_modules_and_experts():
    out = [
        {"module": name, "rise": [rise, rise], "rise_se": [0.01, 0.01]}
        for name, rise in (("a", 0.1), ("b", -0.1), ("c", 0.01))
    ]
    read = {one.name: one.reading for one in modules_of({"modules": out}, ["x", "y"], {"x": 1.0, "y": 1.0})}
    assert read == {"a": "helps", "b": "harms", "c": "cannot tell"}
    metrics = aggregate(domain_losses(["x", "y"]), np.zeros((1, 2)))
    sets = [
        {"experts": [str(n) for n in range(k)], "losses": [2 + 1 / k] * 2, "losses_se": [0.05] * 2}
        for k in range(1, 9)
        for _ in range(2)
    ]
    assert experts_of({"subsets": sets}, metrics).enough == 6  # .042 left, and .075 with five: the noise is .069
    sets.append({"experts": ["x"], "losses": [None, 1.0], "losses_se": [None, 0.1]})
    assert experts_of({"subsets": sets}, metrics).refused == 1


def test_what_cannot_be_taken_apart_is_refused(own):
    store, study = own
    for more, words in (({"subsets": 0}, "the sets of a size"), ({"total": 0.0}, "the sum of coefficients")):
        with pytest.raises(Problem, match=words):
            queue_ablation(store, study, AT, **more)
    with pytest.raises(Problem, match="the coordinates here are"):
        queue_ablation(store, study, {"unknown": 1.0})


def test_a_study_of_mixtures_has_no_merge_to_take_apart(desk):
    assert "it is a study of mixtures" in said(desk, "ablate-merge", "Small")


def test_the_page_shows_both_and_takes_the_faders_merge_apart(told, desk):
    def page(study: str) -> None:
        import streamlit as st

        from dashboard.views import MERGE, pages_for

        st.session_state["pages"] = {}
        pages_for(MERGE)["explore"].function()(study)

    owner = Owner(Workspace.open(desk))
    state.use(owner)
    try:
        study = next(one for one in studies.all_studies(owner.store) if one.kind == "merge")
        shown = AppTest.from_function(page, args=(study.id,), default_timeout=120)
        shown.session_state["merge-look"] = "Ablation"
        shown.run()
        assert not shown.exception
        words = "\n".join(one.value for one in [*shown.markdown, *shown.caption])
        assert "merges of some experts" in words and "coefficients that were given" in words
        next(one for one in shown.button if one.label == "Take the faders' merge apart").click().run()
        assert not shown.exception
        assert [job.kind for job in jobs.of_study(owner.store, study.id)].count("merge_ablation") == 2
    finally:
        state.use(None)
        owner.close()
