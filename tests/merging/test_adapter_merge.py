"""Adapters that are merged into an adapter: as peft merges them, with the difference from their sum said."""

import json

import pytest
import torch
from safetensors.torch import load_file

from engine.__main__ import main
from engine.merging.adapter_merge import BY
from engine.merging.checkpoints.adapters import open_model
from tests.support.adapters import adapter_of, base_of, drawn, low, tensor

MODULES = {"model.layers.0.q_proj": (6, 6), "model.layers.0.up_proj": (9, 6)}
WEIGHTS = {"one": 0.7, "two": -0.4}


def made(folder, name, seed, rank=2, modules=MODULES, **settings):
    tensors = {}
    for place, (module, (rows, columns)) in enumerate(modules.items()):
        tensors |= low(module, rows, columns, rank, seed + 2 * place)
    return adapter_of(folder, tensors, name, r=rank, **settings)


@pytest.fixture
def zoo(tmp_path):
    """A base, two adapters of one rank and scale 4 and 2, and one of another rank on other modules too."""
    base_of(tmp_path)
    made(tmp_path, "one", 50)
    made(tmp_path, "two", 60, lora_alpha=4)
    more = MODULES | {"model.layers.1.up_proj": (9, 6)}
    made(tmp_path, "three", 70, rank=3, modules=more, use_rslora=True)
    return tmp_path


def merged(capsys, zoo, *options, of=WEIGHTS, out="out"):
    given = [f"{zoo / name}={weight}" for name, weight in of.items()]
    assert main(["merge-adapters", *given, "--out", str(zoo / out), *options]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, zoo, *words) -> str:
    assert main(["merge-adapters", *map(str, words), "--out", str(zoo / "out")]) == 1
    assert not (zoo / "out").exists()
    return capsys.readouterr().err


def change(zoo, name, module):
    """What an adapter adds to a matrix of the base."""
    found, base = open_model(f"{zoo / 'base'}+{zoo / name}"), open_model(str(zoo / "base"))
    return tensor(found, f"{module}.weight").float() - tensor(base, f"{module}.weight").float()


def test_beside_each_other_factors_give_the_weighted_sum(capsys, zoo):
    told = merged(capsys, zoo, of=WEIGHTS | {"three": 0.5})
    for module in (*MODULES, "model.layers.1.up_proj"):
        names = {"one": 0.7, "two": -0.4, "three": 0.5} if module in MODULES else {"three": 0.5}
        known = sum(weight * change(zoo, name, module) for name, weight in names.items())
        torch.testing.assert_close(change(zoo, "out", module), known, rtol=1e-4, atol=1e-4)
    assert told["rank"] == 7 and told["modules"] == 3 and told["distance"] < 1e-5
    assert "Some adapters lack model.layers.1.up_proj" in told["warnings"][0]


@pytest.mark.parametrize("method", ["task_arithmetic", "ties", "knots"])
def test_changes_are_merged_and_cut_to_the_nearest_of_a_rank(capsys, zoo, method):
    told = merged(capsys, zoo, "--by", "svd", "--rank", "2", "--method", method)
    assert told["rank"] == 2 and 0 < told["distance"] < 1
    if method != "task_arithmetic":
        return
    missed = squared = 0.0
    for module in MODULES:
        known = sum(weight * change(zoo, name, module) for name, weight in WEIGHTS.items())
        u, s, v = torch.linalg.svd(known, full_matrices=False)
        torch.testing.assert_close(change(zoo, "out", module), u[:, :2] * s[:2] @ v[:2], rtol=1e-3, atol=1e-3)
        missed, squared = missed + float(s[2:].square().sum()), squared + float(s.square().sum())
    assert told["distance"] == pytest.approx((missed / squared) ** 0.5, rel=1e-3)
    whole = merged(capsys, zoo, "--by", "svd", "--rank", "4", out="whole")
    assert whole["distance"] < 1e-3


@pytest.mark.parametrize(
    ("by", "density"),
    [("cat", 1.0), ("linear", 1.0), ("ties", 0.5), ("magnitude_prune", 0.4), ("svd", 1.0), ("dare_linear", 1.0)],
)
def test_peft_comes_to_the_same(capsys, zoo, by, density):
    """On its own layers, with a weight below 0; DARE where nothing is drawn away."""
    peft = pytest.importorskip("peft", reason="peft is not installed: it comes with requirements-dev.txt")
    merged(capsys, zoo, "--by", by, "--density", str(density))
    layers = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(6, 6, False), "up_proj": torch.nn.Linear(6, 9, False)})
    model = torch.nn.ModuleDict({"model": torch.nn.ModuleDict({"layers": torch.nn.ModuleList([layers])})})
    model.config = {"model_type": "custom"}
    for name, alpha in (("one", 8), ("two", 4)):
        config = peft.LoraConfig(r=2, lora_alpha=alpha, target_modules=["q_proj", "up_proj"])
        if name == "one":
            theirs = peft.PeftModel(model, config, adapter_name=name)
        else:
            theirs.add_adapter(name, config)
        peft.set_peft_model_state_dict(theirs, load_file(zoo / name / "adapter_model.safetensors"), adapter_name=name)
    more = {} if density == 1.0 and by in ("cat", "linear", "svd") else {"density": density}
    theirs.base_model.add_weighted_adapter(list(WEIGHTS), list(WEIGHTS.values()), "both", combination_type=by, **more)
    for module in MODULES:
        layer = theirs.base_model.model.get_submodule(module)
        found = change(zoo, "out", module)
        torch.testing.assert_close(found, layer.get_delta_weight("both").detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("by", BY)
def test_every_way_gives_an_adapter_that_opens_and_the_same_again(capsys, zoo, by):
    first, again = (merged(capsys, zoo, "--by", by, "--density", "0.6", out=out) for out in ("out", "again"))
    assert first["distance"] == again["distance"]
    for module in MODULES:
        found = change(zoo, "out", module)
        assert torch.isfinite(found).all() and torch.equal(found, change(zoo, "again", module))
    alone = merged(capsys, zoo, "--by", by, of={"one": 1.0}, out="alone")
    assert alone["distance"] < 1e-3
    settings = json.loads((zoo / "alone" / "adapter_config.json").read_text())
    assert settings["r"] == settings["lora_alpha"] == 2 and settings["target_modules"] == sorted(MODULES)


def test_dare_keeps_the_mean_over_draws(capsys, zoo):
    factors = {}
    for seed in range(40):
        merged(capsys, zoo, "--by", "dare_linear", "--density", "0.5", "--seed", str(seed), out=f"s{seed}")
        found = load_file(zoo / f"s{seed}" / "adapter_model.safetensors")
        for name, value in found.items():
            factors.setdefault(name, []).append(value)
    merged(capsys, zoo, "--by", "linear", out="linear")
    for name, value in load_file(zoo / "linear" / "adapter_model.safetensors").items():
        own = torch.stack(factors[name])
        assert float(((own.mean(0) - value) / (own.std(0) / 40**0.5)).abs().max()) < 5


def test_embeddings_and_convolutions_keep_their_layout(capsys, tmp_path):
    base_of(tmp_path, {"model.embed_tokens.weight": (11, 6), "conv.weight": (4, 3, 2, 2)})
    for name, seed in (("one", 1), ("two", 9)):
        table = {
            "model.embed_tokens.lora_embedding_A": drawn((2, 11), seed),
            "model.embed_tokens.lora_embedding_B": drawn((6, 2), seed + 1),
        }
        conv = {
            "conv.lora_A.weight": drawn((2, 3, 2, 2), seed + 2),
            "conv.lora_B.weight": drawn((4, 2, 1, 1), seed + 3),
        }
        adapter_of(tmp_path, table | conv, name)
    for by in ("cat", "svd"):
        merged(capsys, tmp_path, "--by", by, "--rank", "4", out=by)
        for module in ("model.embed_tokens", "conv"):
            known = sum(weight * change(tmp_path, name, module) for name, weight in WEIGHTS.items())
            torch.testing.assert_close(change(tmp_path, by, module), known, rtol=1e-3, atol=1e-3)


def test_whole_tensors_are_averaged_where_weights_sum_to_one(capsys, zoo):
    """As the merge of base+adapter has them, whatever the base."""
    for name, seed in (("first", 3), ("second", 4)):
        more = {"model.norm.weight": drawn((6,), seed)}
        adapter_of(zoo, low("model.layers.0.q_proj", 6, 6, seed=seed) | more, name, modules_to_save=["norm"])
    merged(capsys, zoo, of={"first": 0.3, "second": 0.7})
    found, (one, two) = open_model(f"{zoo / 'base'}+{zoo / 'out'}"), (drawn((6,), seed) for seed in (3, 4))
    torch.testing.assert_close(tensor(found, "model.norm.weight").float(), 0.3 * one + 0.7 * two)


def test_what_cannot_be_merged_is_refused(capsys, zoo):
    one, two, three = zoo / "one", zoo / "two", zoo / "three"
    assert "their ranks are [2, 3]" in refused(capsys, zoo, one, three, "--by", "linear")
    assert "choose cat, svd, linear" in refused(capsys, zoo, one, two, "--by", "slerp")
    assert "Cannot merge changes by 'slerp'" in refused(capsys, zoo, one, two, "--by", "svd", "--method", "slerp")
    assert "a density is above 0" in refused(capsys, zoo, one, two, "--by", "ties", "--density", "0")
    assert "the weight 'much'" in refused(capsys, zoo, one, f"{two}=much")
    assert "adapter_config.json is not there" in refused(capsys, zoo, one, zoo / "base")
    adapter_of(zoo, low("model.layers.0.q_proj", 5, 6), "other")
    assert "its shapes differ" in refused(capsys, zoo, one, zoo / "other")
    adapter_of(zoo, low("model.layers.0.q_proj", 6, 6) | {"model.norm.weight": drawn((6,), 3)}, "whole")
    assert "whole tensors" in refused(capsys, zoo, one, zoo / "whole")
    assert "Theirs is 1.2" in refused(capsys, zoo, f"{zoo / 'whole'}=0.6", f"{zoo / 'whole'}=0.6")
    adapter_of(zoo, low("model.layers.0.q_proj", 6, 6), "dora", use_dora=True)
    assert "DoRA's lengths do not add up" in refused(capsys, zoo, one, zoo / "dora")
    broken = low("model.layers.0.q_proj", 6, 6)
    broken["model.layers.0.q_proj.lora_A.weight"][0, 0] = torch.nan
    adapter_of(zoo, broken, "broken")
    assert "values that are not finite" in refused(capsys, zoo, one, zoo / "broken")
    (zoo / "out").mkdir()
    assert main(["merge-adapters", str(one), str(two), "--out", str(zoo / "out")]) == 1
    assert "it exists" in capsys.readouterr().err
