"""Every merge method keeps its promises, and agrees with mergekit where mergekit has it."""

import numpy as np
import pytest
import torch

from engine.core.errors import Problem
from engine.merging.methods import METHODS, Tensors
from engine.merging.methods.base import CHUNK, bernoulli_mask
from engine.merging.methods.knobs import knobs_of
from engine.merging.methods.memory import merge_in_memory
from engine.merging.methods.topk import trimmed
from tests.support.running import ROOT

NEEDED = {"t": 0.4, "density": 0.6, "gamma": 0.05, "epsilon": 0.15, "task": 1, "steps": 5}  # steps: to be quick
SHAPES = {
    "vector": (37,),
    "matrix": (24, 50),
    "tensor": (4, 3, 5, 7),
    "scalar": (),
    "one": (1,),
    "row": (1, 9),
    "column": (9, 1),
    "long": (3, CHUNK // 2 + 11),
}
WEIGHTED = [name for name, method in METHODS.items() if "weight" in knobs_of(method)]


def models(shape, count=3, seed=0, size=0.1):
    """A base and experts near it, in fp32."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(shape, generator=generator)
    experts = [base + size * torch.randn(shape, generator=generator) for _ in range(count)]
    return base, experts


def count_of(method, wanted=3):
    return min(max(wanted, method.min_experts), method.max_experts or wanted)


def settings(name, knobs):
    """Given knobs, and values for those without a default."""
    own = knobs_of(METHODS[name])
    needed = {knob: value for knob, value in NEEDED.items() if knob in own and (knob != "epsilon" or own[knob].each)}
    return needed | {knob: value for knob, value in knobs.items() if knob in own}


def merged(name, base, experts, weight=None, seed=0, **knobs):
    """One merged tensor."""
    weight = [1.0] * len(experts) if weight is None else weight
    key = "layers.0.weight"
    found = merge_in_memory(name, {key: base}, [{key: one} for one in experts], weight, settings(name, knobs), seed)
    return found[key]


# Promises: a method joins by standing in the table -------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", METHODS)
def test_shape_dtype_and_finite(name, shape):
    base, experts = models(shape, count_of(METHODS[name]))
    for dtype in (torch.float32, torch.bfloat16) if len(shape) < 2 else (torch.float32,):
        found = merged(name, base.to(dtype), [one.to(dtype) for one in experts])
        assert found.shape == base.shape and found.dtype == dtype and torch.isfinite(found).all()


@pytest.mark.parametrize("name", METHODS)
def test_half_precision_goes_in_and_out(name):
    """As the same numbers in fp32, but for the last rounding."""
    base, experts = models((24, 50), count_of(METHODS[name]))
    base, experts = base.bfloat16(), [one.bfloat16() for one in experts]
    known = merged(name, base.float(), [one.float() for one in experts])
    found = merged(name, base, experts)
    assert found.dtype == torch.bfloat16 and torch.equal(found, known.bfloat16())


@pytest.mark.parametrize("name", METHODS)
def test_experts_that_equal_the_base_give_the_base(name):
    """All task vectors zero: nothing is divided by it."""
    base, _ = models((24, 50))
    found = merged(name, base, [base.clone() for _ in range(count_of(METHODS[name]))])
    torch.testing.assert_close(found, base, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_frozen_empty_and_scalar_tensors_inside_a_model(name):
    """A tensor that no expert moved stays the base's while others move; tensors without elements stay as they are."""
    count = count_of(METHODS[name])
    base, experts = {}, [{} for _ in range(count)]
    shapes = {"moved": (12, 15), "frozen": (6, 11), "scalar": (), "empty": (0,), "rowless": (0, 5), "narrow": (5, 0)}
    for place, (key, shape) in enumerate(shapes.items()):
        base[key], changed = models(shape, count, seed=place, size=0.0 if key == "frozen" else 0.1)
        for expert, one in zip(experts, changed, strict=True):
            expert[key] = one
    found = merge_in_memory(name, base, experts, [0.5] * count, settings(name, {}))
    assert {key: tuple(value.shape) for key, value in found.items()} == shapes
    torch.testing.assert_close(found["frozen"], base["frozen"], rtol=1e-5, atol=1e-5)
    assert all(torch.isfinite(value).all() for value in found.values())


@pytest.mark.parametrize("name", METHODS)
def test_ties_in_magnitude(name):
    """Two values only: every threshold falls among equals."""
    signs = torch.where(torch.arange(1000).reshape(40, 25) % 3 == 0, -0.5, 0.5)
    experts = [signs.clone() for _ in range(count_of(METHODS[name]))]
    assert torch.isfinite(merged(name, torch.zeros(40, 25), experts)).all()


@pytest.mark.parametrize("name", WEIGHTED)
def test_zero_coefficients_give_the_base(name):
    if METHODS[name].base != "required":
        pytest.skip("it has no base of its own, or normalises its weights")
    base, experts = models((24, 50), count_of(METHODS[name]))
    torch.testing.assert_close(merged(name, base, experts, weight=[0.0] * len(experts)), base)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.identity_at_one])
def test_one_expert_at_one_gives_that_expert(name):
    whole = {"density": 1.0, "gamma": 0.0}
    for shape in ((24, 50), (37,), (3, 4, 5)):
        base, experts = models(shape, 1)
        torch.testing.assert_close(merged(name, base, experts, **whole), experts[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_experts_plays_no_part(name):
    """But for those whose knob names one of them, and those that draw for each expert."""
    method = METHODS[name]
    if method.ordered or method.max_experts == 1:
        pytest.skip("the order is its meaning, or its seed")
    base, experts = models((24, 50))
    one = merged(name, base, experts, weight=[0.2, 0.3, 0.5])
    other = merged(name, base, [experts[2], experts[0], experts[1]], weight=[0.5, 0.2, 0.3])
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_merge(name):
    base, experts = models(
        (300, 500) if name in ("dare_linear", "dare_ties", "della") else (24, 50), count_of(METHODS[name])
    )
    first = merged(name, base, experts, seed=3)
    assert torch.equal(first, merged(name, base, experts, seed=3))
    draws = name.startswith(("dare", "della"))
    assert torch.equal(first, merged(name, base, experts, seed=4)) != draws


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.base == "optional"])
def test_without_a_base_the_models_themselves_are_merged(name):
    """As with a base of zeros."""
    _, experts = models((24, 50), 2)
    arguments = {key: one.default for key, one in knobs_of(METHODS[name]).items()} | {"weight": [0.4, 0.6]}
    flat = [one.reshape(-1) for one in experts]
    found = []
    for base in (None, torch.zeros(24 * 50)):
        x = Tensors("w", (24, 50), base, flat)
        at = METHODS[name].merge(x, **arguments)
        found.append(torch.cat([at(part).clone() for part in x.chunks()]))
    torch.testing.assert_close(*found)


# Known answers -------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("share", [0.0, 1e-4, 1 / 512, 0.3, 0.5, 255.5 / 256, 1.0])
def test_draws_have_their_probability(share):
    """Five standard deviations; a share that falls between two bytes is met, too."""
    found = bernoulli_mask(np.random.Generator(np.random.SFC64(1)), share, (1000, 1000))
    assert abs(found.mean() - share) <= 5 * np.sqrt(share * (1 - share) / 1e6) + 2**-31
    columns = bernoulli_mask(
        np.random.Generator(np.random.SFC64(2)), np.array([0.1, share, 0.7003]), (400_000, 3)
    ).mean(axis=0)
    assert np.abs(columns - [0.1, share, 0.7003]).max() < 0.004


def test_the_docs_name_every_method_and_knob():
    text = (ROOT / "docs" / "reference" / "merge-methods.md").read_text()
    table = [row for row in text.splitlines() if row.startswith("| ")]
    rows = {name.strip(): row for row in table for name in row.split("|")[1].split(",")}
    for name, method in METHODS.items():
        if not name.endswith("_paper"):
            knobs = {"lambda" if knob == "lam" else knob for knob in knobs_of(method)}
            told = {word.strip(" *") for word in rows[name].split("|")[4].split(",") if word.strip()}
            assert told == knobs, name


@pytest.mark.parametrize("weights", [[0.0, 0, 0], [1.0, -1, 0], [0.1, 0.2, -0.3]])
@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_that_cancel_give_numbers_or_a_refusal(name, weights):
    base, experts = models((4, 5), count_of(METHODS[name]))
    try:
        found = merged(name, base, experts, weight=weights[: len(experts)])
    except Problem as refusal:
        assert "weight" in str(refusal)
    else:
        assert torch.isfinite(found).all()


def test_what_cannot_be_pruned():
    base, experts = models((4, 5), 1)
    with pytest.raises(Problem, match=r"density 0.9 and epsilon 0.15"):
        merged("della", base, experts, density=0.9)
    with pytest.raises(Problem, match="cancel"):
        one = torch.ones(4, 5)
        merged("multislerp", torch.zeros(4, 5), [one, -one, one], weight=[1, 1, 0])


def test_opcm_adds_what_is_new_at_the_experts_distance():
    """A copy of the first adds nothing; what is orthogonal to it is added whole; the merge is as far as its experts."""
    base, first, second = torch.zeros(6, 9), torch.zeros(6, 9), torch.zeros(6, 9)
    first[0, 0], second[1, 1] = 3.0, 3.0
    torch.testing.assert_close(merged("opcm", base, [first, first.clone()]), first)
    torch.testing.assert_close(merged("opcm", base, [first, second]), (first + second) / 2**0.5)
    found = merged("opcm", base, [first, 0.5 * first + second], alpha=1.0)
    assert float(found.norm()) == pytest.approx((3 + (1.5**2 + 9) ** 0.5) / 2)
    torch.testing.assert_close(found / found.norm(), (first + second) / 18**0.5)


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
    "arcee_fusion": [{}],
    "ram": [{}, {"epsilon": 0.05}],
    "ramplus_tl": [{}, {"epsilon": 0.05, "r": 0.5, "alpha": 0.9}],
    "ties": [{"density": 0.4}, {"density": 0.3, "rescale": True}, {"density": 0.9, "normalize": False, "lambda": 1.3}],
    "breadcrumbs": [
        {"density": 0.5, "gamma": 0.1},
        {"density": 0.5, "gamma": 0.1, "rescale": True},
        {"density": 0.95, "gamma": 0.2},
    ],
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
    inputs = [base, *experts] if name == "karcher" else experts  # mergekit counts the base in
    found = merged(name, base, inputs, weight=WEIGHTS[: len(experts)], **ours)
    torch.testing.assert_close(found, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3000])
def test_opposite_models_have_a_karcher_mean(size):
    """Vectors of one element are alike or opposite; what lies opposite pulls nowhere, and rounding must not either."""
    reference = pytest.importorskip("mergekit.merge_methods.karcher", reason="mergekit is not installed")
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(size, generator=generator)
    for factors in ([-0.788, 0.537, -0.435], [1.0, -0.3, 0.2], [-1.0, 3.0, 3.0, -2.0, -7.0]):
        found = merged("karcher", direction, [factor * direction for factor in factors])
        sign = 1 if sum(np.sign(factors)) > 0 else -1
        torch.testing.assert_close(found, sign * np.mean(np.abs(factors)) * direction, rtol=1e-3, atol=1e-3)
    for _ in range(300):
        experts = [torch.randn(1, generator=generator) for _ in range(3)]
        known = reference.karcher_merge_tensors(experts, [1 / 3] * 3)
        torch.testing.assert_close(merged("karcher", experts[0], experts), known, rtol=1e-5, atol=1e-5)
    assert torch.isfinite(merged("karcher", direction, [direction, direction], tol=0)).all()
