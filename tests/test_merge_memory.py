"""Merging in memory gives what each method gives tensor by tensor, and every knob has a range."""

import json

import pytest
import torch

from engine.errors import Problem
from engine.merge_methods import METHODS
from engine.merge_methods.__main__ import described
from engine.merge_methods.knobs import REQUIRED, knobs_of
from engine.merge_methods.memory import merge_in_memory
from engine.merge_table import FILE, MethodKnob, method_cards


def family(count=2, seed=0):
    """A base and experts of three tensors, one of them of whole numbers."""
    generator = torch.Generator().manual_seed(seed)

    def one():
        return {
            "layers.0.weight": torch.randn(12, 10, generator=generator), "norm": torch.randn(7, generator=generator),
            "ids": torch.arange(5),
        }  # fmt: skip

    return one(), [one() for _ in range(count)]


def settings(method):
    """Middle values for knobs without a default."""
    return {
        name: (knob.low + knob.high) / 2
        for name, knob in knobs_of(method).items() if knob.default is REQUIRED and name != "weight"
    }  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_every_method_merges_in_memory(name):
    method = METHODS[name]
    base, experts = family(min(2, method.most or 2))
    merged = merge_in_memory(name, base, experts, [0.5] * len(experts), settings(method))
    assert merged.keys() == base.keys() and torch.equal(merged["ids"], base["ids"])
    for key, value in merged.items():
        assert value.shape == base[key].shape and value.dtype == base[key].dtype, key
        assert torch.isfinite(value).all() and value.data_ptr() != base[key].data_ptr(), key


def test_weights_may_differ_by_tensor():
    base, experts = family()
    by_name = {"norm": [1.0, 0.0]}
    merged = merge_in_memory("task_arithmetic", base, experts, lambda name: by_name.get(name, [0.25, 0.5]))
    torch.testing.assert_close(merged["norm"], experts[0]["norm"])
    key = "layers.0.weight"
    known = base[key] + 0.25 * (experts[0][key] - base[key]) + 0.5 * (experts[1][key] - base[key])
    torch.testing.assert_close(merged[key], known)


def test_half_precision_stays():
    base, experts = ({k: v.bfloat16() if v.is_floating_point() else v for k, v in one.items()} for one in
                     (family()[0], family()[1][0]))  # fmt: skip
    assert merge_in_memory("ties", base, [experts], [1.0], {"density": 0.5})["norm"].dtype == torch.bfloat16


@pytest.mark.parametrize("name", METHODS)
def test_every_knob_has_a_range_that_holds_its_default(name):
    for knob in knobs_of(METHODS[name]).values():
        if knob.kind is bool:
            assert knob.low is None
            continue
        assert knob.low < knob.high, knob.name
        assert knob.default is REQUIRED or knob.low <= knob.default <= knob.high, knob.name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "tise"}, "'tise'"),
        ({"knobs": {"densty": 1}}, "'densty'"),
        ({"weight": [1.0]}, "1 values as weight"),
        ({"name": "slerp", "knobs": {"t": 0.5}}, "2 experts by slerp"),
        ({"name": "nearswap", "experts": family(1)[1]}, "'t' is not given"),
        ({"experts": [{"norm": torch.ones(7)}] * 2}, "missing"),
        ({"experts": [family()[0] | {"ids": torch.zeros(5, dtype=torch.int64)}] * 2}, "whole numbers"),
    ],
)
def test_what_does_not_fit_is_a_sentence(change, said):
    base, experts = family()
    given = {"name": "ties", "base": base, "experts": experts, "weight": [0.5, 0.5], "knobs": {}} | change
    with pytest.raises(Problem, match=said):
        merge_in_memory(**given)


def test_the_table_for_pages_is_what_the_code_says():
    """After a change: `python -m engine.merge_methods`."""
    assert json.loads(FILE.read_text()) == described()
    assert list(method_cards()) == list(METHODS)
    assert method_cards()["slerp"].knobs[0] == MethodKnob("t", "float", False, None, 0.0, 1.0)
