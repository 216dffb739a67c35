"""Merge methods against fusion-bench 0.2.33: the same weights where both have one, and where they differ, why."""

import contextlib
import io
import sys
import types
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.merging.methods import Tensors
from engine.merging.methods.memory import merge_in_memory
from engine.merging.methods.svc import calibrated

pytest.importorskip("fusion_bench", reason="fusion-bench is not installed: it comes with requirements-dev.txt")


class Tiny(nn.Module):
    """Matrices of three shapes, biases, a norm and a 4-D tensor. DOGE there takes weights whose names say encoder."""

    def __init__(self):
        super().__init__()
        shapes = {"square": (24, 24), "tall": (12, 31), "wide": (40, 11)}
        self.encoder = nn.ModuleDict({name: nn.Linear(*shape) for name, shape in shapes.items()})
        self.norm = nn.LayerNorm(9)
        self.conv = nn.Conv2d(2, 3, 3)


def pool(count=3, seed=0, size=0.05):
    """A base and experts near it."""
    torch.manual_seed(seed)
    base = Tiny()
    models = {"_pretrained_": base}
    for n in range(count):
        expert = Tiny()
        expert.load_state_dict({k: v + size * torch.randn(v.shape) for k, v in base.state_dict().items()})
        models[f"expert{n}"] = expert
    return models


def tensors(model) -> dict[str, torch.Tensor]:
    return {key: value.detach().clone() for key, value in model.state_dict().items()}


def split(models):
    """(base, experts) as dictionaries of tensors."""
    return tensors(models["_pretrained_"]), [tensors(one) for name, one in models.items() if name != "_pretrained_"]


def theirs(algorithm, models) -> dict[str, torch.Tensor]:
    """What an algorithm of fusion-bench makes of a pool; it works on its own copies and prints a lot."""
    from fusion_bench import BaseModelPool

    copies = {}
    for name, model in models.items():
        copies[name] = Tiny()
        copies[name].load_state_dict(model.state_dict())
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return tensors(algorithm.run(BaseModelPool(copies)))


def same(found: dict, known: dict, keys=None, step: float = 1e-5) -> None:
    for key in keys or known:
        torch.testing.assert_close(found[key], known[key], rtol=step, atol=step, msg=lambda m, k=key: f"{k}: {m}")


def algorithms():
    """name -> (fusion-bench's algorithm, our method, weight of three experts, knobs)."""
    from fusion_bench.method import SimpleAverageAlgorithm, TaskArithmeticAlgorithm, WeightedAverageAlgorithm
    from fusion_bench.method.dare.task_arithmetic import DareTaskArithmetic
    from fusion_bench.method.dare.ties_merging import DareTiesMerging
    from fusion_bench.method.isotropic_merging import ISO_C_Merge, ISO_CTS_Merge
    from fusion_bench.method.magmax import MagMaxAlgorithm
    from fusion_bench.method.task_singular_vector import TaskSingularVectorMerging
    from fusion_bench.method.ties_merging import TiesMergingAlgorithm
    from fusion_bench.method.wudi import WUDIMerging

    ones, uneven, lam = [1.0] * 3, [0.2, 0.5, 0.6], {"lam": 0.4}
    ties = partial(TiesMergingAlgorithm, scaling_factor=0.4, threshold=0.2, remove_keys=[])
    drop = {"sparsity_ratio": 0.0, "only_on_linear_weights": False, "rescale": True, "scaling_factor": 0.4}
    return {
        "simple average": (SimpleAverageAlgorithm(), "linear", ones, {}),
        "weighted average": (WeightedAverageAlgorithm(normalize=True, weights=uneven), "linear", uneven, {}),
        "task arithmetic": (TaskArithmeticAlgorithm(scaling_factor=0.4), "task_arithmetic", ones, lam),
        "TIES, sum": (ties(merge_func="sum"), "ties_global_sum", ones, lam | {"density": 0.2}),
        "TIES, mean": (ties(merge_func="mean"), "ties_global", ones, lam | {"density": 0.2}),
        "TIES, max": (ties(merge_func="max"), "ties_global_max", ones, lam | {"density": 0.2}),
        "DARE, nothing dropped": (DareTaskArithmetic(**drop), "dare_linear_paper", ones, lam),
        "DARE and TIES, nothing dropped": (
            DareTiesMerging(**drop, threshold=0.2, remove_keys=[], merge_func="sum"),
            "ties_global_sum",
            ones,
            lam | {"density": 0.2},
        ),
        "MagMax": (MagMaxAlgorithm(scaling_factor=0.4), "magmax", ones, lam),
        "Iso-C": (ISO_C_Merge(scaling_factor=0.4), "iso_c", ones, lam),
        "Iso-CTS": (ISO_CTS_Merge(scaling_factor=0.4, common_space_fraction=0.8), "iso_cts", ones, lam),
        "Iso-CTS, half": (
            ISO_CTS_Merge(scaling_factor=0.4, common_space_fraction=0.5),
            "iso_cts",
            ones,
            lam | {"common": 0.5},
        ),
        "TSV-M": (TaskSingularVectorMerging(alpha=0.4), "tsv_m", ones, lam),
        "TSV-M, weighted": (TaskSingularVectorMerging(alpha=[0.3, 0.5, 0.9]), "tsv_m", [0.3, 0.5, 0.9], {}),
        "WUDI": (WUDIMerging(iter_num=300), "wudi", ones, {}),
    }


NAMES = (
    "simple average",
    "weighted average",
    "task arithmetic",
    "TIES, sum",
    "TIES, mean",
    "TIES, max",
    "DARE, nothing dropped",
    "DARE and TIES, nothing dropped",
    "MagMax",
    "Iso-C",
    "Iso-CTS",
    "Iso-CTS, half",
    "TSV-M",
    "TSV-M, weighted",
    "WUDI",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_fusion_bench_comes_to_the_same(name):
    assert tuple(algorithms()) == NAMES
    algorithm, method, weight, knobs = algorithms()[name]
    models = pool()
    base, experts = split(models)
    same(merge_in_memory(method, base, experts, weight, knobs), theirs(algorithm, models))


def test_doge_comes_to_the_same():
    """There it moves only the weights whose names say encoder; ours moves every matrix, and here these are the same."""
    from fusion_bench.method.doge_ta.doge_ta import DOGE_TA_Algorithm

    models = pool()
    base, experts = split(models)
    known = theirs(DOGE_TA_Algorithm(subspace=6, K=30, lamda=0.07), models)
    found = merge_in_memory("doge_ta", base, experts, [1.0] * 3)
    assert not torch.equal(known["encoder.square.weight"], base["encoder.square.weight"])
    same(found, known)


def test_slerp_comes_to_the_same():
    from fusion_bench.method.slerp.slerp import SlerpMergeAlgorithm

    for size in (0.05, 0.002):  # far apart, and so near that both take the straight line
        models = pool(1, size=size)
        base, experts = split(models)
        known = theirs(SlerpMergeAlgorithm(t=0.3), models)
        same(merge_in_memory("slerp", base, experts, [], {"t": 0.3}), known)


def test_extrapolation_is_task_arithmetic_beyond_one():
    """ExPO: the expert plus a part of its task vector."""
    from fusion_bench.method.linear.expo import expo_merge

    models = pool(1)
    base, experts = split(models)
    known = tensors(expo_merge(models["_pretrained_"], models["expert0"], 0.4, inplace=False))
    same(merge_in_memory("task_arithmetic", base, experts, [1.4]), known)


def test_emr_comes_to_the_same():
    """The elected vector, and each task's weights by its mask and rescaler."""
    from fusion_bench.method.emr_merging.utils import emr_merge

    base, experts = split(pool())
    deltas = [{key: value - base[key] for key, value in one.items()} for one in experts]
    vector, masks, scales = emr_merge(deltas)
    same(merge_in_memory("emr", base, experts, [1.0] * 3), {key: base[key] + value for key, value in vector.items()})
    for task in range(3):
        known = {key: base[key] + value * masks[key][task] * scales[task] for key, value in vector.items()}
        same(merge_in_memory("emr_task", base, experts, [1.0] * 3, {"task": task + 1}), known)


def test_consensus_is_where_two_of_their_masks_hold():
    """fusion-bench makes TALL masks and stops there; the consensus of them is the rest of the paper."""
    from fusion_bench.method.tall_mask.utils import generate_task_masks

    base, experts = split(pool())
    for key, value in base.items():
        flat = torch.stack([one[key].reshape(-1) for one in experts])
        deltas = flat - value.reshape(-1)
        with contextlib.redirect_stdout(io.StringIO()):
            masks = generate_task_masks(deltas, flat, value.reshape(-1), tall_mask_lambda=0.4)
        sure = ((deltas.abs() - 0.4 * (deltas.sum(dim=0) - deltas).abs()).abs() > 1e-6).all(dim=0)  # not by rounding
        known = value.reshape(-1) + 0.7 * deltas.sum(dim=0) * (masks.sum(dim=0) >= 2)
        found = merge_in_memory(
            "consensus", {key: value}, [{key: one[key]} for one in experts], [1.0] * 3, {"lam": 0.7}
        )
        torch.testing.assert_close(found[key].reshape(-1)[sure], known[sure], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9])
def test_opcm_comes_to_the_same(alpha, monkeypatch):
    """Their package also loads a variant for CLIP, which today's transformers has no parts for, and
    Ray, where it is installed, adds an argument to their class that its own constructor does not know."""
    import fusion_bench

    package = types.ModuleType("fusion_bench.method.opcm")
    package.__path__ = [str(Path(fusion_bench.__file__).parent / "method/opcm")]
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setattr("fusion_bench.utils.packages.is_ray_available", lambda: False)
    from fusion_bench.method.opcm.opcm_general import OPCM

    models = pool()
    base, experts = split(models)
    algorithm = OPCM(alpha=alpha, shuffle_order=False, save_on_every_step=False)
    found = merge_in_memory("opcm", base, experts, [1.0] * 3, {"alpha": alpha})
    same(found, theirs(algorithm, models), step=1e-4)


def test_knots_is_their_alignment_and_their_ties():
    """fusion-bench has the alignment only; the paper's TIES is run on its blocks, with their TIES."""
    from fusion_bench.method.knots.knots_utils import subspace_alignment
    from fusion_bench.method.ties_merging.ties_merging_utils import ties_merging

    base, experts = split(pool())
    for key in ("encoder.square.weight", "encoder.tall.weight", "encoder.wide.weight"):
        u, s, blocks = subspace_alignment([one[key] - base[key] for one in experts])
        flat = torch.stack([block.reshape(-1) for block in blocks])
        keep = int(0.3 * flat.shape[1])
        with contextlib.redirect_stdout(io.StringIO()):  # their quantile keeps one more than the share says
            merged = ties_merging(flat, reset_thresh=(keep - 0.5) / flat.shape[1], merge_func="mean")
        known = base[key] + 0.4 * (u * s @ merged.reshape(blocks[0].shape))
        found = merge_in_memory(
            "knots", {key: base[key]}, [{key: one[key]} for one in experts], [1.0] * 3, {"density": 0.3, "lam": 0.4}
        )
        torch.testing.assert_close(found[key], known, rtol=1e-5, atol=1e-5)


# Where the two differ ----------------------------------------------------------------------------------------


def test_model_stock_averages_cosines_here_and_angles_there():
    """With two experts there is one angle, and both agree. With more, fusion-bench averages the angles in degrees; we
    follow the paper's and mergekit's mean of cosines, and the shares that they give differ."""
    from fusion_bench.method.model_stock.model_stock import ModelStock

    models = pool(2)
    base, experts = split(models)
    same(merge_in_memory("model_stock", base, experts, []), theirs(ModelStock(), models))

    models = pool(3)
    models["expert1"].load_state_dict(models["expert0"].state_dict())  # one angle of 0, two wide ones
    base, experts = split(models)
    found, known = merge_in_memory("model_stock", base, experts, []), theirs(ModelStock(), models)
    key = "encoder.square.weight"
    flat = [(one[key] - base[key]).reshape(-1) for one in experts]
    cosines = [torch.cosine_similarity(flat[i], flat[j], dim=0).clamp(-1, 1) for i, j in ((0, 1), (0, 2), (1, 2))]
    mean = sum(one[key] for one in experts) / 3
    means = (sum(cosines) / 3, torch.cos(sum(cosine.acos() for cosine in cosines) / 3))
    for cosine, merged in zip(means, (found, known), strict=True):
        share = 3 * cosine / (1 + 2 * cosine)
        torch.testing.assert_close(merged[key], share * mean + (1 - share) * base[key], rtol=1e-5, atol=1e-5)
    assert abs(float(means[0] - means[1])) > 0.05


def test_ties_trims_each_tensor_here_and_the_model_there():
    """Two methods: `ties` is mergekit's, `ties_global` fusion-bench's. One tensor alone is all the model there is, so
    there they meet (their quantile keeps one weight more)."""
    from fusion_bench.method.ties_merging import TiesMergingAlgorithm

    models = pool()
    base, experts = split(models)
    algorithm = TiesMergingAlgorithm(scaling_factor=1.0, threshold=0.2, remove_keys=[], merge_func="mean")
    known = theirs(algorithm, models)
    ours = merge_in_memory("ties", base, experts, [1.0] * 3, {"density": 0.2})
    key = "encoder.square.weight"
    assert float((ours[key] - known[key]).norm() / (known[key] - base[key]).norm()) > 0.05
    one, n = [{key: expert[key]} for expert in experts], base[key].numel()
    alone = merge_in_memory("ties", {key: base[key]}, one, [1.0] * 3, {"density": (int(0.2 * n) + 1.5) / n})
    whole = merge_in_memory("ties_global", {key: base[key]}, one, [1.0] * 3, {"density": 0.2, "lam": 1.0})
    same(alone, whole)


def test_dare_draws_differ_but_what_stays_does_not():
    """The draws cannot agree; every weight that both keep is the same, d / density, and as many stay."""
    from fusion_bench.method.dare.task_arithmetic import DareTaskArithmetic

    models = pool(1)
    base, experts = split(models)
    algorithm = DareTaskArithmetic(scaling_factor=1.0, sparsity_ratio=0.4, only_on_linear_weights=False, rescale=True)
    known = theirs(algorithm, models)
    found = merge_in_memory("dare_linear_paper", base, experts, [1.0], {"density": 0.6})
    ours, others = ((torch.cat([(one[key] - base[key]).reshape(-1) for key in base])) for one in (found, known))
    both = (ours.abs() > 1e-7) & (others.abs() > 1e-7)
    torch.testing.assert_close(ours[both], others[both], rtol=1e-4, atol=1e-5)
    for kept in (ours, others):
        assert float((kept.abs() > 1e-7).float().mean()) == pytest.approx(0.6, abs=0.06)


def test_their_runnable_tall_mask_compares_other_things():
    """fusion-bench's algorithm (not its function above) holds the task vector against the base's weights, where the
    paper holds the expert against the base: its masks are others, and we follow the paper."""
    from fusion_bench.method.tall_mask.task_arithmetic import generate_task_masks

    base, experts = split(pool())
    deltas = [{key: value - base[key] for key, value in one.items()} for one in experts]
    total = {key: sum(one[key] for one in deltas) for key in base}
    with contextlib.redirect_stdout(io.StringIO()):
        masks = generate_task_masks(total, deltas[0], base, tall_mask_lambda=0.4)
    key = "encoder.square.weight"
    papers = (experts[0][key] - base[key]).abs() > 0.4 * (base[key] + total[key] - experts[0][key]).abs()
    assert not torch.equal(masks[key].bool(), papers)


def test_matrices_smaller_than_the_number_of_experts_keep_the_mean_here():
    """TSV-M gives each of K tasks int(R/K) directions: for R < K that is none. There such a matrix stays the base's; we
    take the mean, as for all that is no matrix."""
    from fusion_bench.method.task_singular_vector.utils import TSVM_utils

    torch.manual_seed(0)
    deltas = [{"w": torch.randn(2, 5)} for _ in range(3)]
    with contextlib.redirect_stdout(io.StringIO()):
        known = TSVM_utils.compute_and_sum_svd_mem_reduction(deltas, accelerator="cpu")
    assert torch.count_nonzero(known["w"]) == 0
    base = {"w": torch.zeros(2, 5)}
    found = merge_in_memory("tsv_m", base, deltas, [1.0] * 3)
    torch.testing.assert_close(found["w"], sum(one["w"] for one in deltas) / 3)


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_singular_value_calibration(alpha):
    """After task arithmetic, matrix by matrix; its form that projects all on the merge's directions."""
    from fusion_bench.method.singular_value_calibration.utils import subspace_consistency_spectral_calibration

    base, experts = split(pool())
    merged = merge_in_memory("task_arithmetic", base, experts, [0.6, 0.5, 0.7])
    for name, value in base.items():
        x = Tensors(name, tuple(value.shape), value.reshape(-1), [one[name].reshape(-1) for one in experts])
        flat = merged[name].reshape(-1)
        at = calibrated(x, lambda part, flat=flat: flat[part], alpha)
        found = torch.cat([at(part) for part in x.chunks()]).view(value.shape)
        known = merged[name]
        if value.ndim == 2:
            tasks = [one[name] for one in experts]
            known = subspace_consistency_spectral_calibration(value, tasks, known, alpha, torch.device("cpu"))
        torch.testing.assert_close(found, known, rtol=1e-4, atol=1e-5)
