"""Every merge method keeps its promises, and agrees with mergekit where mergekit has it."""

import numpy as np
import pytest
import torch

from engine.errors import Problem
from engine.merge_methods import METHODS, Tensors
from engine.merge_methods.base import CHUNK
from engine.merge_methods.knobs import knobs_of
from engine.merge_methods.largest import trimmed
from tests.conftest import ROOT

NEEDED = {"t": 0.4, "density": 0.6, "gamma": 0.05, "epsilon": 0.15, "task": 1}  # knobs without a default of their own
SHAPES = {"vector": (37,), "matrix": (24, 50), "tensor": (4, 3, 5, 7), "scalar": (1,), "long": (3, CHUNK // 2 + 11)}
SPECTRAL = ("iso_c", "iso_cts", "tsv_m", "knots", "wudi", "doge_ta")  # slow where a side is long


def models(shape, count=3, seed=0, size=0.1):
    """A base and experts near it, flattened, in fp32."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(shape, generator=generator)
    experts = [base + size * torch.randn(shape, generator=generator) for _ in range(count)]
    return base, experts


def count_of(method, wanted=3):
    return min(max(wanted, method.least), method.most or wanted)


def merged(name, base, experts, weight=None, seed=0, **knobs):
    """The merged tensor, by the chunks of one call."""
    method, shape = METHODS[name], base.shape
    inputs = [base, *experts] if method.base == "none" and name == "karcher" else experts
    x = Tensors("layers.0.weight", tuple(shape), None if method.base == "none" else base.reshape(-1),
                [one.reshape(-1) for one in inputs], seed)  # fmt: skip
    arguments = {}
    for knob, one in knobs_of(method).items():
        if knob == "weight":
            arguments[knob] = [1.0] * len(inputs) if weight is None else list(weight)
        else:
            value = knobs.get(knob, NEEDED.get(knob, one.default))
            arguments[knob] = [value] * len(inputs) if one.each else value
    x.seen = method.survey([(x, arguments)]) if method.survey else None
    at = method.merge(x, **arguments)
    return torch.cat([at(part).clone() for part in x.chunks()]).reshape(shape)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", METHODS)
def test_shape_and_finite(name, shape):
    if name in SPECTRAL and max(shape) > 1000:
        pytest.skip("a singular value decomposition of it takes long and shows nothing more")
    base, experts = models(shape, count_of(METHODS[name]))
    found = merged(name, base, experts)
    assert found.shape == base.shape and torch.isfinite(found).all()


@pytest.mark.parametrize("name", METHODS)
def test_experts_that_equal_the_base_give_the_base(name):
    """All task vectors zero: nothing is divided by it."""
    base, _ = models((24, 50))
    found = merged(name, base, [base.clone() for _ in range(count_of(METHODS[name]))])
    if name == "linear":
        torch.testing.assert_close(found, base)
    torch.testing.assert_close(found, base, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_ties_in_magnitude(name):
    """Two values only: every threshold falls among equals."""
    base = torch.zeros(40, 25)
    signs = torch.where(torch.arange(1000).reshape(40, 25) % 3 == 0, -0.5, 0.5)
    experts = [signs.clone() for _ in range(count_of(METHODS[name]))]
    if METHODS[name].base == "none":
        base = signs.clone()
    assert torch.isfinite(merged(name, base, experts)).all()


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if "weight" in knobs_of(method)])
def test_zero_coefficients_give_the_base(name):
    if METHODS[name].base != "required":
        pytest.skip("it has no base of its own, or normalises its weights")
    base, experts = models((24, 50), count_of(METHODS[name]))
    torch.testing.assert_close(merged(name, base, experts, weight=[0.0] * len(experts)), base)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.restores])
def test_one_expert_at_one_gives_that_expert(name):
    base, experts = models((24, 50), 1)
    whole = {"density": 1.0, "gamma": 0.0}
    torch.testing.assert_close(merged(name, base, experts, **whole), experts[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_experts_plays_no_part(name):
    """But for those whose knob names one of them, and those that draw for each expert."""
    method = METHODS[name]
    if method.ordered or method.most == 1:
        pytest.skip("the order is its meaning, or its seed")
    base, experts = models((24, 50))
    weight = [0.2, 0.3, 0.5] + [0.4] * (name == "karcher")
    turned = [weight[2], weight[0], weight[1], *weight[3:]]
    one = merged(name, base, experts, weight=weight)
    other = merged(name, base, [experts[2], experts[0], experts[1]], weight=turned)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_merge(name):
    base, experts = models((3, CHUNK // 2 + 11) if name not in SPECTRAL else (24, 50), count_of(METHODS[name]))
    assert torch.equal(merged(name, base, experts, seed=3), merged(name, base, experts, seed=3))


@pytest.mark.parametrize("name", METHODS)
def test_half_precision_goes_in(name):
    base, experts = models((24, 50), count_of(METHODS[name]))
    found = merged(name, base.bfloat16(), [one.bfloat16() for one in experts])
    assert found.dtype == torch.float32 and torch.isfinite(found).all()


def test_the_largest_are_the_largest():
    """Against a sort, at every density, with repeated values, over several chunks."""
    rng = np.random.default_rng(0)
    n = CHUNK + 1000
    values = torch.from_numpy(np.round(rng.normal(size=(2, n)), 2).astype(np.float32))
    values[1] = torch.from_numpy(rng.normal(size=n).astype(np.float32))
    x = Tensors("x", (n,), torch.zeros(n), list(values))
    for skip, keep in ((0, 1), (0, n // 2), (100, n // 3), (n // 2, n // 2), (0, n - 1), (7, 0)):
        at = trimmed(x, [skip, skip], [keep, keep])
        found = torch.cat([at(part).clone() for part in x.chunks()], dim=1)
        for row, original in zip(found, values, strict=True):
            kept = row != 0
            zeros = int((original == 0).sum())
            assert keep - zeros <= int(kept.sum()) <= keep
            assert torch.equal(row[kept], original[kept])
            ordered = original.abs().sort(descending=True).values
            if keep:
                assert row.abs().max() <= ordered[skip]
                assert row[kept].abs().min() >= ordered[skip + keep - 1]


def test_random_masks_keep_their_density():
    base, experts = torch.zeros(400, 500), [torch.ones(400, 500)]
    for name in ("dare_linear", "dare_linear_paper"):
        found = merged(name, base, experts, density=0.3)
        assert (found != 0).float().mean() == pytest.approx(0.3, abs=0.005)
        assert found[found != 0].mean() == pytest.approx(1 / 0.3, rel=0.02)
    ramp = [torch.arange(1, 501.0).repeat(400, 1)]
    kept = merged("della_linear", base, ramp, density=0.5, epsilon=0.2) != 0
    assert kept[:, :50].float().mean() == pytest.approx(0.32, abs=0.02)
    assert kept[:, -50:].float().mean() == pytest.approx(0.68, abs=0.02)


def test_the_docs_name_every_method_and_knob():
    table = [row for row in (ROOT / "docs" / "MERGING.md").read_text().splitlines() if row.startswith("| ")]
    rows = {name.strip(): row for row in table for name in row.split("|")[1].split(",")}
    for name, method in METHODS.items():
        if not name.endswith("_paper"):
            knobs = {"lambda" if knob == "lam" else knob for knob in knobs_of(method)}
            told = {word.strip(" *") for word in rows[name].split("|")[4].split(",")}
            assert told == knobs - ({"density"} if name == "task_arithmetic" else set()), name


def test_what_cannot_be_pruned():
    base, experts = models((4, 5), 1)
    with pytest.raises(Problem, match=r"density 0.9 and epsilon 0.15"):
        merged("della", base, experts, density=0.9)
    with pytest.raises(Problem, match="cancel"):
        one = torch.ones(4, 5)
        merged("multislerp", torch.zeros(4, 5), [one, -one, one], weight=[1, 1, 0])


# Against mergekit ------------------------------------------------------------------------------------------

WEIGHTS = [0.7, -0.2, 0.9]
CASES = {
    "linear": [{}, {"normalize": False}],
    "slerp": [{"t": 0.3}, {"t": 1.0}],
    "nuslerp": [{}, {"nuslerp_flatten": False}, {"nuslerp_flatten": False, "nuslerp_row_wise": True}],
    "multislerp": [{}, {"normalize_weights": False}],
    "karcher": [{}, {"max_iter": 3}],
    "model_stock": [{}, {"filter_wise": True}],
    "nearswap": [{"t": 0.05}],
    "task_arithmetic": [{}, {"normalize": True, "lambda": 0.5}],
    "ties": [{"density": 0.4}, {"density": 0.9, "normalize": False, "lambda": 1.3}],
    "breadcrumbs": [{"density": 0.5, "gamma": 0.1}, {"density": 0.95, "gamma": 0.2}],
    "breadcrumbs_ties": [{"density": 0.5, "gamma": 0.1}],
    "sce": [{}, {"select_topk": 0.3}],
    "dare_linear": [{"density": 1.0}],
    "dare_ties": [{"density": 1.0}],
    "della": [{"density": 1.0}],
    "della_linear": [{"density": 1.0, "normalize": True}],
}


@pytest.mark.parametrize("size", [0.1, 1.0], ids=["near", "far"])
@pytest.mark.parametrize("shape", [(37,), (24, 50)], ids=["vector", "matrix"])
@pytest.mark.parametrize(("name", "knobs"), [(name, one) for name, cases in CASES.items() for one in cases])
def test_mergekit_comes_to_the_same(name, knobs, shape, size):
    reference = pytest.importorskip("mergekit.merge_methods", reason="mergekit is not installed")
    method = METHODS[name]
    base, experts = models(shape, count_of(method), size=size)
    given = dict(knobs)
    if "weight" in knobs_of(method):
        given["weight"] = ([None] if name != "linear" else []) + WEIGHTS[: len(experts)]
    tensors = experts if name == "linear" else [base, *experts]
    for key in ("density", "gamma"):
        if key in given:
            given[key] = [given[key]] * len(tensors)
    ids = list(range(len(tensors)))
    per_expert = {
        key: dict(zip(ids[1:], value[1:], strict=True)) if name != "linear" and isinstance(value, list) else value
        for key, value in given.items()
    }
    theirs = reference.merge_tensors(
        tensors, name, parameters=per_expert, ids=ids, base_index=None if name == "linear" else 0
    )
    ours = {("lam" if key == "lambda" else key): value for key, value in knobs.items()}
    found = merged(name, base, experts, weight=WEIGHTS[: len(experts)], **ours)
    torch.testing.assert_close(found, theirs, rtol=1e-5, atol=1e-5)
