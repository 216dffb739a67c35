"""Merging in memory gives what each method gives tensor by tensor, and every knob has a range."""

import pytest
import torch

from engine.core.errors import Problem
from engine.merging.methods import METHODS, Tensors
from engine.merging.methods.global_stats import kth
from engine.merging.methods.knobs import catalogue_text, knobs_of
from engine.merging.methods.memory import merge_in_memory
from engine.spec.merge_catalogue import FILE, catalogue
from engine.spec.merge_knobs import Knob


def family(count=2, seed=0):
    """A base and experts of three tensors, one of them of integers."""
    generator = torch.Generator().manual_seed(seed)

    def one():
        return {
            "layers.0.weight": torch.randn(12, 10, generator=generator),
            "norm": torch.randn(7, generator=generator),
            "ids": torch.arange(5),
        }

    return one(), [one() for _ in range(count)]


def settings(method):
    """Middle values for knobs without a default."""
    return {
        name: knob.low if knob.kind == "int" else (knob.low + knob.high) / 2
        for name, knob in knobs_of(method).items()
        if knob.required and name != "weight"
    }


@pytest.mark.parametrize("name", METHODS)
def test_every_method_merges_in_memory(name):
    method = METHODS[name]
    base, experts = family(min(2, method.max_experts or 2))
    merged = merge_in_memory(name, base, experts, [0.5] * len(experts), settings(method))
    assert merged.keys() == base.keys() and torch.equal(merged["ids"], base["ids"])
    for key, value in merged.items():
        assert value.shape == base[key].shape and value.dtype == base[key].dtype, key
        assert torch.isfinite(value).all() and value.data_ptr() != base[key].data_ptr(), key


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("tensors", [{"ids": torch.arange(5)}, {}], ids=["whole numbers", "nothing"])
def test_a_model_without_weights_stays_as_it_is(name, tensors):
    experts = [tensors] * METHODS[name].min_experts
    merged = merge_in_memory(name, tensors, experts, [0.5] * len(experts), settings(METHODS[name]))
    assert merged.keys() == tensors.keys() and all(torch.equal(merged[key], tensors[key]) for key in tensors)


def test_weights_may_differ_by_tensor():
    base, experts = family()
    by_name = {"norm": [1.0, 0.0]}
    merged = merge_in_memory("task_arithmetic", base, experts, lambda name: by_name.get(name, [0.25, 0.5]))
    torch.testing.assert_close(merged["norm"], experts[0]["norm"])
    key = "layers.0.weight"
    known = base[key] + 0.25 * (experts[0][key] - base[key]) + 0.5 * (experts[1][key] - base[key])
    torch.testing.assert_close(merged[key], known)


def test_parameters_and_turned_tensors_go_in():
    """As a module holds them: with gradients, in any layout. They stay as they are."""
    base, experts = family()
    del base["ids"]
    known = merge_in_memory("ties", base, experts, [0.5, 0.5], {"density": 0.5})
    parameters = {key: torch.nn.Parameter(value) for key, value in base.items()}
    turned = [
        {key: value.T.contiguous().T if value.ndim == 2 else value for key, value in one.items()}
        for one in (parameters, *experts)
    ]
    found = merge_in_memory("ties", turned[0], turned[1:], [0.5, 0.5], {"density": 0.5})
    for key, value in known.items():
        assert torch.equal(found[key], value) and not found[key].requires_grad
        assert torch.equal(parameters[key], base[key])


def test_half_precision_stays():
    base, experts = (
        {k: v.bfloat16() if v.is_floating_point() else v for k, v in one.items()}
        for one in (family()[0], family()[1][0])
    )
    assert merge_in_memory("ties", base, [experts], [1.0], {"density": 0.5})["norm"].dtype == torch.bfloat16


@pytest.mark.parametrize("name", METHODS)
def test_every_knob_has_a_range_that_holds_its_default(name):
    for knob in knobs_of(METHODS[name]).values():
        if knob.kind == "bool":
            assert knob.low is None
            continue
        assert knob.low < knob.high, knob.name
        assert knob.required or knob.low <= knob.default <= knob.high, knob.name


@pytest.mark.parametrize("name", METHODS)
def test_every_knob_keeps_its_limits(name):
    """All that a fader or a search tries is inside; what lies outside is refused before anything is merged."""
    method = METHODS[name]
    base, experts = family(min(2, method.max_experts or 2))
    for knob in knobs_of(method).values():
        if knob.kind == "bool":
            wrong = ["yes", 2, None]
        else:
            assert knob.checked(knob.name, knob.low) == knob.low and knob.checked(knob.name, knob.high) == knob.high
            wrong = [float("nan"), float("inf"), 2e9, -1e300, 10**400, "1", True, None]
            wrong += (
                [knob.minimum - 0.5 if knob.kind == "float" else knob.minimum - 1] if knob.minimum is not None else []
            )
            wrong += [knob.maximum + 0.5] if knob.maximum is not None else []
            wrong += [2.7] if knob.kind == "int" else []
        for value in wrong:
            weight = [value if knob.name == "weight" else 0.5] * len(experts)
            knobs = settings(method) | ({knob.name: value} if knob.name != "weight" else {})
            with pytest.raises(Problem, match=f"as {knob.name}: it must be"):
                merge_in_memory(name, base, experts, weight, knobs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "tise"}, "'tise'"),
        ({"knobs": {"densty": 1}}, "'densty'"),
        ({"weight": [1.0]}, "1 values as weight"),
        ({"weight": [1.0, float("nan")]}, "nan as weight"),
        ({"name": "slerp", "knobs": {"t": 0.5}}, "2 experts by slerp"),
        ({"name": "nearswap", "experts": family(1)[1]}, "'t' is not given"),
        ({"experts": [{"norm": torch.ones(7)}] * 2}, "missing"),
        ({"experts": [family()[0] | {"ids": torch.zeros(5, dtype=torch.int64)}] * 2}, "integer tensor"),
    ],
)
def test_what_does_not_fit_is_a_sentence(change, said):
    base, experts = family()
    given = {"name": "ties", "base": base, "experts": experts, "weight": [0.5, 0.5], "knobs": {}} | change
    with pytest.raises(Problem, match=said):
        merge_in_memory(**given)


def test_the_table_for_pages_is_what_the_code_says():
    """After a change: `python -m engine.merging.methods`."""
    assert FILE.read_text() == catalogue_text()
    assert list(catalogue()) == list(METHODS)
    assert catalogue()["slerp"].knobs["t"] == Knob("t", "float", False, True, None, 0.0, 1.0, None, None)


# Methods that look at the whole model ------------------------------------------------------------------------


def flat(tensors):
    return torch.cat([tensors[key].reshape(-1) for key in ("layers.0.weight", "norm")])


def uneven(count=3):
    """Two tensors whose task vectors differ in size, so that one threshold for both is not one for each."""
    base, experts = family(count)
    for expert in experts:
        expert["norm"] = base["norm"] + 5 * (expert["norm"] - base["norm"])
    return base, experts


def test_the_trim_of_ties_global_is_one_for_the_whole_model():
    base, experts = uneven()
    merged = merge_in_memory("ties_global_max", base, experts, [1.0] * 3, {"density": 0.1, "lam": 1.0})
    deltas = torch.stack([flat(one) - flat(base) for one in experts])
    keep = int(0.1 * deltas.shape[1]) + 1  # what equals the (1 - density) quantile stays, too
    largest = deltas.abs().topk(keep, dim=1).indices
    kept = torch.zeros_like(deltas).scatter_(1, largest, deltas.gather(1, largest))
    total = kept.sum(dim=0)
    known = torch.where(total > 0, kept.amax(dim=0), torch.where(total < 0, kept.amin(dim=0), 0))
    torch.testing.assert_close(flat(merged) - flat(base), known, rtol=1e-5, atol=1e-5)


def test_pcb_is_its_formula_on_the_flattened_model():
    base, experts = uneven()
    deltas = torch.stack([flat(one) - flat(base) for one in experts])
    count, n = deltas.shape
    ratio = 0.2

    def to_unit(values):
        low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
        return (values - low) / (high - low)

    ordered = deltas.abs().sort(dim=1).values
    sizes = deltas.abs().clamp(ordered[:, :1], ordered[:, int(n * (1 - 1e-4) - 1)][:, None])
    beta = torch.exp(count * to_unit(sizes) ** 2) * torch.tanh(deltas * deltas.sum(dim=0))
    floor = beta.sort(dim=1).values[:, int(n * (1 - ratio))][:, None]
    share = to_unit(beta.maximum(floor))
    weight = torch.tensor([0.9, 0.5, 1.2])
    known = (weight[:, None] * deltas.sign() * sizes * share).sum(dim=0) / share.sum(dim=0).clamp(min=1e-12)
    merged = merge_in_memory("pcb", base, experts, weight.tolist(), {"ratio": ratio, "lam": 0.8})
    torch.testing.assert_close(flat(merged) - flat(base), 0.8 * known, rtol=1e-4, atol=1e-5)


def test_order_statistics_of_a_model_are_exact():
    """Against a sort: repeated values, both signs, zeros, and values that share their upper bits."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 5000, generator=generator)
    values[0, :1000] = values[0, 0]
    values[1, 100:2000] = 0.0
    values[1, 2000:3000] = 1 + torch.rand(1000, generator=generator) * 1e-5
    ranks = [0, 1, 700, 1999, 2500, 4998, 4999]
    found = kth(lambda: values.split(777, dim=1), lambda n: [ranks, ranks])
    assert torch.equal(found, values.sort(dim=1).values[:, ranks])


def test_what_is_global_is_one_value_for_all():
    x = Tensors("b", (3,), torch.zeros(3), [torch.ones(3)])
    with pytest.raises(Problem, match=r"'b'.*density"):
        METHODS["ties_global"].first_pass([(x, {"density": [0.5]}), (x, {"density": [0.6]})])


def test_emr_of_one_task_has_its_direction_and_size():
    base, experts = uneven()
    own = flat(experts[1]) - flat(base)
    merged = flat(merge_in_memory("emr_task", base, experts, [1.0] * 3, {"task": 2})) - flat(base)
    assert (own * merged >= 0).all() and torch.count_nonzero(merged) > 0
    sizes = [(one - flat(base)).split([120, 7]) for one in (flat(experts[1]), merged + flat(base))]
    assert sum(float(part.abs().mean()) for part in sizes[0]) == pytest.approx(
        sum(float(part.abs().mean()) for part in sizes[1]), rel=1e-5
    )
    with pytest.raises(Problem, match="task 4"):
        merge_in_memory("emr_task", base, experts, [1.0] * 3, {"task": 4})


def test_more_than_all_cannot_agree():
    base, experts = family()
    with pytest.raises(Problem, match="3 experts to agree"):
        merge_in_memory("consensus", base, experts, [1.0] * 2, {"agree": 3})
