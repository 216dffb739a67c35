"""Merges learned from text: known answers, fusion-bench's formulas, and every method on proxies and on tiny Llamas."""

import contextlib
import io
import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from engine.errors import Problem, Stopped
from engine.jobs import Job, read_events
from engine.merge_methods.memory import merge_in_memory
from engine.merging.asking import merge_spec, task_of
from engine.merging.catalogue import catalogue
from engine.merging.config import from_dict
from engine.merging.learn import queue_learning
from engine.merging.learners import LEARNERS, checked_settings, learner_of
from engine.merging.learning import (
    adamerging,
    atlas,
    concrete,
    fisher,
    lm_cocktail,
    logit_fusion,
    regmean,
    scalearn,
    twin,
)
from engine.merging.learning.base import Family, Run
from engine.merging.learning.job import function_of, point_of, run
from engine.merging.learning.proxies import ProxyFamily
from engine.workspace import Workspace
from store import runs, searches, studies
from store.database import Store
from tests import language_models
from tests.conftest import engine

FAST = {"steps": 12, "windows": 4, "batch": 6, "rate": 0.02}  # knobs that make all of them quick


@pytest.fixture(autouse=True)
def one_thread():
    """As in a job: beside others, threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Bigrams(Family):
    """A real small model whose answers are known: the logits after token t are row t of one table (V, V)."""

    def __init__(self, size: int = 5, count: int = 2, domains: int = 2, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        self.experts, self.device = [f"d{n}" for n in range(count)], "cpu"
        self.domains = [f"d{n}" for n in range(domains)]
        self.base = {"table": torch.randn(size, size, generator=generator)}
        self.deltas = {"table": torch.randn(count, size, size, generator=generator)}
        self.size = size

    def logits(self, weights, tokens):
        return weights["table"][tokens]

    def hidden(self, weights, tokens):
        return weights["table"][tokens]

    def batch(self, domain, rows, draw):
        rng = np.random.default_rng([self.domains.index(domain), draw])
        return torch.from_numpy(rng.integers(self.size, size=(rows, 9)))

    def validation(self, domain):
        yield self.batch(domain, 8, 10**6), np.full(8, 8)

    def write(self, weights, out, card):
        raise NotImplementedError


# Known answers -----------------------------------------------------------------------------------------------


def test_fisher_values_are_those_of_a_table_of_bigrams():
    """F of logit (t, c) is, a window, the number of times t stands there x p_c (1 - p_c)."""
    family = Bigrams()
    weights = {"table": family.expert(0)["table"].requires_grad_()}
    tokens, total = family.batch("d0", 1, 0), {"table": torch.zeros(5, 5)}
    draws = 6000
    for n in range(draws):
        fisher.squared_scores(family, weights, tokens, Run().generator(n), total)
    p = weights["table"].detach().softmax(1)
    counts = torch.bincount(tokens[0, :-1], minlength=5)[:, None]
    torch.testing.assert_close(total["table"] / draws, counts * p * (1 - p), rtol=0.12, atol=0.03)


def test_equal_fishers_give_the_average_and_larger_ones_win():
    experts = [{"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([3.0, 6.0])}]
    same = [{"a": torch.tensor([2.0, 5.0])}] * 2
    torch.testing.assert_close(fisher.averaged(experts, same, torch.ones(2))["a"], torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(fisher.averaged(experts, same, torch.tensor([3.0, 1.0]))["a"], torch.tensor([1.5, 3.0]))
    none = [{"a": torch.zeros(2)}] * 2
    torch.testing.assert_close(fisher.averaged(experts, none, torch.ones(2))["a"], torch.tensor([2.0, 4.0]))
    unlike = [{"a": torch.tensor([10.0, 0.0])}, {"a": torch.tensor([0.0, 10.0])}]
    torch.testing.assert_close(fisher.averaged(experts, unlike, torch.ones(2))["a"], torch.tensor([1.0, 6.0]))


def test_regmean_of_regressions_is_the_regression_of_all_rows():
    """Two least squares fits, merged by their inputs alone, are the fit of the union of their rows."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (30, 30)]
    outputs = [torch.randn(30, 3, generator=generator, dtype=torch.float64) for _ in inputs]
    fits = torch.stack([torch.linalg.lstsq(x, y).solution.T for x, y in zip(inputs, outputs, strict=True)])
    grams = torch.stack([x.T @ x / len(x) for x in inputs])
    union = torch.linalg.lstsq(torch.cat(inputs), torch.cat(outputs)).solution.T
    torch.testing.assert_close(regmean.solved(fits, grams, 1.0, (1.0, 1.0)), union)
    dead = torch.diag_embed(torch.tensor([[1.0, 0, 0, 0]] * 2, dtype=torch.float64))
    found = regmean.solved(fits, dead, 1.0, (1.0, 1.0))  # what no input tells is the mean
    torch.testing.assert_close(found, fits.mean(0))


def test_lm_cocktail_is_a_softmax_of_losses():
    found = lm_cocktail.weights_of(torch.tensor([2.0, 3.0]), 5.0)
    assert found.tolist() == pytest.approx([1 / (1 + np.exp(-0.2)), 1 / (1 + np.exp(0.2))], abs=1e-6)
    assert lm_cocktail.weights_of(torch.tensor([2.0, 3.0]), 0.01).tolist() == pytest.approx([1, 0], abs=1e-6)


def test_concrete_masks_have_mean_one_and_are_fair_at_the_start():
    mask = concrete.relaxed(torch.zeros(20_000), torch.Generator().manual_seed(0))
    assert float(mask.mean()) == pytest.approx(0.5, abs=0.02) and float(mask.min()) >= 0 and float(mask.max()) <= 1
    assert float(concrete.normalised(mask).mean()) == pytest.approx(1, abs=1e-5)
    sure = concrete.relaxed(torch.tensor([30.0, -30.0]), torch.Generator().manual_seed(0))
    assert sure.tolist() == pytest.approx([1, 0], abs=1e-4)
    family = Bigrams()
    start = concrete.learn(family, Run(), steps=1, rate=1e-9, batch=2, lam=0.3)  # even masks: task arithmetic
    torch.testing.assert_close(start.weights, family.combined({"": torch.full((2,), 0.3)}))


def test_twin_gives_an_expert_back_where_its_router_is_certain():
    family = Bigrams()
    whole = twin.Twin(family, rank=1.0, lam=0.3)
    for k in range(2):
        found = whole.weights(torch.eye(2)[k])
        torch.testing.assert_close(found["table"], family.expert(k)["table"])
    low = twin.Twin(family, rank=0.2, lam=0.3)
    assert [part.shape for part in low.factors[0]["table"]] == [(5, 1), (1, 5)]
    assert twin.factors(torch.ones(4), 0.1)[0].shape == (4,)


def test_logit_fusion_is_the_large_model_at_zero_and_the_expert_where_both_are_one():
    generator = torch.Generator().manual_seed(0)
    large, small = torch.randn(3, 7, generator=generator), torch.randn(3, 7, generator=generator)
    experts = torch.randn(2, 3, 7, generator=generator)
    assert torch.equal(logit_fusion.fused(large, small, experts, torch.zeros(2)), large)
    for matched in (True, False):
        found = logit_fusion.fused(small, small, experts, torch.tensor([0.0, 1.0]), matched)
        torch.testing.assert_close(found.softmax(-1), experts[1].softmax(-1), rtol=1e-4, atol=1e-4)


def test_alpha_matches_the_divergence_wherever_it_can():
    generator = torch.Generator().manual_seed(0)
    large, shift = torch.randn(50, 7, generator=generator), torch.randn(50, 7, generator=generator)
    wanted = torch.rand(50, generator=generator) * 3
    alpha = logit_fusion.matching(large, shift, wanted)
    found = logit_fusion.divergence(large + alpha * shift, large)
    inside = (alpha[:, 0] < 2 - 1e-4) & (wanted > 1e-3)
    assert 5 < int(inside.sum()) < 50 and ((alpha >= 0) & (alpha <= 2)).all()
    torch.testing.assert_close(found[inside], wanted[inside], rtol=1e-3, atol=1e-3)
    assert (found[~inside] < wanted[~inside] + 1e-3).all()


def test_trimmed_task_vectors_keep_what_agrees():
    deltas = {"a": torch.tensor([[3.0, -1.0, 0.2], [2.0, 4.0, -0.1]]), "b": torch.tensor([[0.1], [-5.0]])}
    found = adamerging.agreeing(deltas, 0.5)
    assert found["a"].tolist() == [[3, 0, 0], [0, 4, 0]] and found["b"].tolist() == [[0], [-5]]


def test_parts_of_a_tensor_have_coefficients_of_their_own():
    family = Bigrams()
    places = atlas.partition("table", family.base["table"], 3, 0)
    assert torch.equal(places, atlas.partition("table", family.base["table"], 3, 0)) and places.max() == 2
    same = atlas.scaled(family, "table", torch.full((2, 3), 0.4), places)
    torch.testing.assert_close(same, family.combined({"": torch.full((2,), 0.4)})["table"])
    rows = scalearn.by_rows(family, {"table": torch.full((2, 5), 0.4)})
    torch.testing.assert_close(rows, family.combined({"": torch.full((2,), 0.4)}))


@pytest.mark.parametrize("end", [Stopped, KeyboardInterrupt])
def test_a_descent_goes_on_where_it_was_stopped_or_killed(tmp_path, monkeypatch, end):
    from engine.merging.learning import descent

    family, asked = Bigrams(), {"by": "tensor", "steps": 10, "rate": 0.05, "batch": 4, "start": 0.3}
    whole = adamerging.learn(family, Run(), **asked)
    monkeypatch.setattr(descent, "CHECKPOINT_SECONDS", 0.0 if end is KeyboardInterrupt else 1e9)

    def stops(done, total, note=""):
        if done == 6:
            raise end

    with pytest.raises(end):
        adamerging.learn(family, Run(stops, tmp_path), **asked)
    seen = []
    again = adamerging.learn(family, Run(lambda done, total, note="": seen.append(done), tmp_path), **asked)
    assert seen[0] == 6 and torch.equal(again.coefficients["table"], whole.coefficients["table"])


# Against fusion-bench ----------------------------------------------------------------------------------------


def test_fusion_bench_comes_to_the_same_by_fisher_and_by_regmean():
    pytest.importorskip("fusion_bench", reason="fusion-bench is not installed: it comes with requirements-dev.txt")
    from fusion_bench.method.fisher_merging.fisher_merging import merging_with_fisher_weights
    from fusion_bench.method.regmean.regmean import merging_with_regmean_weights

    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator)

    experts = [{"m.weight": drawn(6, 9), "m.bias": drawn(6)} for _ in range(3)]
    stacked = {name: [one[name] for one in experts] for name in experts[0]}
    fishers = [{name: drawn(*value.shape).square() for name, value in one.items()} for one in experts]
    known = merging_with_fisher_weights(stacked, fishers, torch.ones(3) / 3)
    found = fisher.averaged(experts, fishers, torch.ones(3) / 3)
    torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-5)
    inputs = [drawn(40, 9) for _ in experts]
    grams = [x.T @ x / len(x) for x in inputs]
    with contextlib.redirect_stdout(io.StringIO()):
        known = merging_with_regmean_weights(stacked, [{"m": gram.clone()} for gram in grams], 0.7, True)
    found = regmean.merged(experts, [{"m.weight": gram.double()} for gram in grams], 0.7, (1.0, 1.0, 1.0))
    torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-5)


def test_fusion_bench_goes_down_on_the_same_entropy():
    pytest.importorskip("fusion_bench", reason="fusion-bench is not installed: it comes with requirements-dev.txt")
    from fusion_bench.method.adamerging.entropy_loss import entropy_loss

    family = Bigrams()
    tokens = family.batch("d0", 6, 0)
    known = entropy_loss(family.logits(family.base, tokens[:, :-1]).flatten(0, 1))
    torch.testing.assert_close(family.entropy(family.base, tokens), known, rtol=1e-5, atol=1e-5)


def test_masks_are_drawn_as_torch_draws_relaxed_bernoullis():
    logits = torch.linspace(-2, 2, 4000)
    theirs = torch.distributions.RelaxedBernoulli(torch.tensor(0.5), logits=logits)
    torch.manual_seed(0)
    known = torch.stack([theirs.rsample() for _ in range(60)])
    ours = torch.stack([concrete.relaxed(logits, torch.Generator().manual_seed(n)) for n in range(60)])
    assert float((ours.mean(0) - known.mean(0)).mean()) == pytest.approx(0, abs=0.01)
    assert float(ours.std() - known.std()) == pytest.approx(0, abs=0.01)


# Every method, on proxies and on language models --------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(merged, tmp_path_factory):
    """A workspace that these tests may change, with tiny Llamas where transformers is installed."""
    root = tmp_path_factory.mktemp("learning")
    shutil.copytree(merged, root / "workspace", ignore=shutil.ignore_patterns("*.lock", "web.json"))
    with contextlib.suppress(ImportError):
        language_models.family(root / "workspace" / "checkpoints", root / "workspace" / "corpora" / "small")
    return root / "workspace"


@pytest.fixture(scope="module")
def proxies(desk):
    store = Store(Workspace.open(desk))
    study = studies.get(store, "Small merge")
    made = ProxyFamily(task_of(study, merge_spec(study)), desk, "cpu")
    store.close()
    return made


def llama_task() -> dict:
    from engine.merging.study import MergeSpec

    names = ["python", "prose"]
    spec = MergeSpec(base="base", experts={name: name for name in names}, eval_bytes=4096)
    return {
        "study": "s", "merge": spec.to_dict(), "names": names, "base": "checkpoints/base",
        "experts": {name: f"checkpoints/{name}" for name in names}, "corpus": "small", "domains": names,
        "fidelity": None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def llamas(desk):
    pytest.importorskip("transformers", reason="transformers is not installed: requirements-transformers.txt")
    from engine.merging.learning.llms import ModelFamily

    return ModelFamily(llama_task(), desk, "cpu")


@pytest.fixture(params=["proxies", "llamas"])
def family(request):
    return request.getfixturevalue(request.param)


def learned(name: str, family: Family, run: Run | None = None, **more):
    learner = LEARNERS[name]
    fast = {key: value for key, value in FAST.items() if key in learner.knobs} | more
    knobs = checked_settings(name, fast)
    seed = knobs.pop("seed")
    share = 1 / len(family.experts) if learner.large else 1.0
    run = run or Run(seed=seed, weight=(share,) * len(family.experts))
    return function_of(learner)(family, run, **learner.fixed, **knobs)


def weights_of(family, found):
    return found.weights if found.weights is not None else family.combined(found.coefficients)


def losses_of(family, found) -> np.ndarray:
    predict = found.predict or (lambda tokens: family.logits(weights_of(family, found), tokens))
    return family.measure(predict)[0]


def mean_loss(family, coefficients: float) -> float:
    weights = family.combined({"": torch.full((len(family.experts),), coefficients)})
    return float(family.measure(lambda tokens: family.logits(weights, tokens))[0].mean())


@pytest.mark.parametrize("name", LEARNERS)
def test_every_method_gives_a_finite_merge_and_the_same_again(name, family):
    found, again = learned(name, family), learned(name, family)
    if found.predict is None:
        merged = weights_of(family, found)
        assert merged.keys() == family.base.keys()
        for key, value in merged.items():
            assert value.shape == family.base[key].shape and torch.isfinite(value).all()
            assert torch.equal(value, weights_of(family, again)[key])
    else:
        tokens = next(family.validation(family.domains[0]))[0][:2, :-1]
        assert torch.equal(found.predict(tokens), again.predict(tokens))
        assert torch.isfinite(found.predict(tokens)).all()
    assert "nan" not in found.note


@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "logit_fusion"])
def test_experts_that_are_the_base_merge_to_the_base(name):
    family = Bigrams()
    family.deltas = {"table": torch.zeros(2, 5, 5)}
    found = learned(name, family)
    if found.predict is None:
        torch.testing.assert_close(weights_of(family, found), family.base)
    else:
        assert torch.isfinite(found.predict(family.batch("d0", 2, 0))).all()


def test_losses_are_those_that_the_study_measures(family, desk):
    """Of the experts alone, as the study's own measurements have them; and each is best at its own domain."""
    losses = np.array([family.measure(lambda t, k=k: family.logits(family.expert(k), t))[0] for k in range(2)])
    if isinstance(family, ProxyFamily):
        store = Store(Workspace.open(desk))
        rows = runs.table(store, studies.get(store, "Small merge").id).to_pylist()
        store.close()
        rows = {row["label"]: row for row in rows if row["role"] == "baseline"}
        known = np.array([rows[f"{name} alone"]["losses"] for name in family.experts[:2]])
    else:
        known, _ = family.merges.measure(np.eye(2))
    assert losses == pytest.approx(known, abs=2e-5)


def test_no_validation_text_is_learned_from(proxies):
    seen, valid = set(), proxies.corpus.valid("prose")
    proxies.corpus.__class__.valid, kept = (lambda *_: pytest.fail("validation text was opened")), type(
        proxies.corpus
    ).valid
    try:
        for name in ("fisher", "regmean", "adamerging", "atlas", "lm_cocktail", "self_positioning"):
            learned(name, proxies, steps=2) if "steps" in LEARNERS[name].knobs else learned(name, proxies, windows=2)
            seen.add(name)
    finally:
        proxies.corpus.__class__.valid = kept
    assert len(seen) == 6 and len(valid)


def test_what_learns_from_labels_beats_its_start_on_text_it_has_not_seen(family):
    base, usual = mean_loss(family, 0.0), mean_loss(family, 1 / len(family.experts))
    assert losses_of(family, learned("atlas", family, steps=60, rate=0.02)).mean() < base
    assert losses_of(family, learned("scalearn", family, steps=60, rate=0.02)).mean() < usual
    start = learned("self_positioning", family, steps=1, rate=1e-6, batch=48)
    after = learned("self_positioning", family, steps=40, rate=0.1, batch=48)
    probe = torch.cat([family.batch(domain, 48 // len(family.domains), 0) for domain in family.domains])
    before, later = (float(family.nll(weights_of(family, one), probe)) for one in (start, after))
    assert later < before and losses_of(family, after).mean() < base


@pytest.mark.parametrize("name", ["adamerging", "adamerging_layers", "adamerging_layers_plus", "concrete"])
def test_what_lowers_the_entropy_lowers_it_on_other_text_too(name, family):
    """Entropy is what they go down on; whether the loss follows is the experiment that the page reports."""
    tokens = family.mixed_batch(12, 10**6)
    start, after = learned(name, family, steps=1, rate=1e-6), learned(name, family, steps=40, rate=0.02)
    before, later = (float(family.entropy(weights_of(family, one), tokens)) for one in (start, after))
    assert later < before


def test_inputs_of_layers_are_seen_wherever_they_run(family):
    """On the hand-written passes of proxies and the modules of Llama; embeddings that are heads as well are none."""
    watch = regmean.Watch(family.expert(0))
    with torch.no_grad(), watch:
        family.logits(watch.weights, family.batch(family.domains[0], 2, 0)[:, :-1])
    found, matrices = watch.grams(), {n for n, v in family.base.items() if v.ndim == 2 and "embed" not in n}
    assert set(found) == matrices
    for gram in found.values():
        assert torch.equal(gram, gram.T) and (torch.linalg.eigvalsh(gram) > -1e-6).all()


def test_matrices_that_lie_the_other_way_are_linear_layers_too():
    transformers = pytest.importorskip("transformers", reason="requirements-transformers.txt")
    torch.manual_seed(0)
    sizes = {"n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 20, "n_positions": 16}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes)).eval()
    weights = {name: value.detach() for name, value in model.named_parameters()}
    watch = regmean.Watch(weights)
    with torch.no_grad(), watch:
        model(torch.arange(12)[None])
    names = {f"transformer.h.0.{part}.weight" for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")}
    assert set(watch.grams()) == watch.inputs_first == names
    experts = [weights, {name: 3 * value for name, value in weights.items()}]
    found = regmean.merged(experts, [watch.grams()] * 2, 0.9, (1.0, 1.0), watch.inputs_first)
    torch.testing.assert_close(found, {name: 2 * value for name, value in weights.items()})


def test_twin_sends_text_to_the_expert_of_its_domain(family):
    made = twin.Twin(family, rank=1.0, lam=0.3)
    made.train(Run(), steps=80, rate=0.01, batch=12)
    right = []
    for k, name in enumerate(family.experts):
        if name in family.domains:
            right.append((made.route(made.seen(family.batch(name, 24, 10**6)[:, :-1])).argmax(1) == k).float().mean())
    assert float(torch.stack(right).mean()) > 1.2 / len(family.experts)


def test_logit_fusion_steers_another_model_of_the_same_tokens(llamas, desk):
    run = Run(weight=(0.0, 0.0))
    found = logit_fusion.learn(llamas, run, matched=1, large="prose")
    tokens = next(llamas.validation("python"))[0][:, :-1]
    torch.testing.assert_close(found.predict(tokens), llamas.logits(llamas.expert(1), tokens), rtol=1e-4, atol=1e-4)
    other = desk / "checkpoints" / "other-tokens"
    shutil.copytree(desk / "checkpoints" / "base", other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    one, two = list(vocabulary)[40:42]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(Problem, match="other tokens"):
        logit_fusion.learn(llamas, run, matched=1, large="other-tokens")


# What people ask for -----------------------------------------------------------------------------------------


def test_merging_by_weights_alone_says_what_is_missing(tmp_path):
    text = "merge_method: fisher\nbase_model: b\nmodels: [{model: e}]\n"
    for attempt in (
        lambda: from_dict(yaml.safe_load(text), tmp_path),
        lambda: merge_in_memory("regmean", {}, [{}], []),
    ):
        with pytest.raises(Problem, match=r"it needs data .*learn-merge STUDY --by"):
            attempt()
    (tmp_path / "merge.yml").write_text(text)
    done = engine(tmp_path, "merge", str(tmp_path / "merge.yml"), str(tmp_path / "out"), check=False)
    assert done.returncode == 1 and "learn-merge STUDY --by fisher" in done.stderr and "Traceback" not in done.stderr
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


def test_learning_from_the_command_line(desk):
    """A coefficient an expert becomes a run; weights become a file that opens as a proxy; wrong names are refused."""
    found = json.loads(engine(
        desk, "learn-merge", "Small merge", "--by", "self_positioning", "--set", "steps=5", "--wait"
    ).stdout)["found"]  # fmt: skip
    rows = {row["id"]: row for row in json.loads(engine(desk, "runs", "Small merge").stdout)}
    run = rows[found["run"]]
    assert run["role"] == "learned" and run["label"] == "self_positioning" and found["file"] is None
    assert list(run["losses"].values()) == pytest.approx(found["losses"])
    assert sum(run["weights"].values()) > 0
    for name, more in (("fisher", ["windows=4", "--at", "python=0.7", "--at", "prose=0.3"]), ("twin", ["steps=3"])):
        done = engine(desk, "learn-merge", "Small merge", "--by", name, "--set", *more, "--wait")
        found = json.loads(done.stdout)["found"]
        assert found["run"] is None and np.isfinite(found["losses"]).all() and min(found["losses_se"]) > 0
        tensors = load_file(desk / "exports" / found["file"])
        assert ("embedding.weight" if name == "fisher" else "router.up") in tensors
    told = json.loads(engine(desk, "learned-merges", "Small merge").stdout)
    assert [one["settings"]["method"] for one in told] == ["twin", "fisher", "self_positioning"]
    assert told[1]["settings"]["weight"] == [0.0, 0.3, 0.7]
    done = engine(desk, "learn-merge", "Small", "--by", "fisher", check=False)
    assert done.returncode == 1 and "study of mixtures" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"method": "magic"}, "the methods are fisher"),
        ({"method": "fisher", "knobs": {"steps": 3}}, "its knobs are"),
        ({"method": "fisher", "coefficients": {"latin": 1}}, "latin"),
        ({"method": "fisher", "coefficients": {"python": -1}}, "at least 0"),
        ({"method": "atlas", "coefficients": {"python": 1}}, "take them"),
        ({"method": "logit_fusion", "large": "x"}, "brought"),
    ],
)
def test_what_cannot_be_learned_is_refused_with_a_sentence(desk, asked, word):
    store = Store(Workspace.open(desk))
    try:
        with pytest.raises(Problem, match=word):
            queue_learning(store, studies.get(store, "Small merge"), **asked)
    finally:
        store.close()


def test_a_number_is_kept_for_a_run_that_is_being_learned(desk):
    store = Store(Workspace.open(desk))
    try:
        study = studies.get(store, "Small merge")
        before = runs.last_number(store, study.id)
        job = queue_learning(store, study, "lm_cocktail", {"windows": 2})
        assert runs.last_number(store, study.id) == before + 1
        assert queue_learning(store, study, "lm_cocktail", {"windows": 2}) == job  # asked once
        assert runs.last_number(store, study.id) == before + 1
        store.spool.cancel(job)
    finally:
        store.close()


def test_a_learned_checkpoint_of_language_models_loads(desk, tmp_path):
    transformers = pytest.importorskip("transformers", reason="requirements-transformers.txt")
    spec = llama_task() | {
        "learn": {"method": "regmean", "knobs": {"windows": 4, "alpha": 0.9, "seed": 0}, "weight": [1.0, 1.0],
                  "large": ""},
        "out": "s-regmean", "first": 1, "device": "cpu",
    }  # fmt: skip
    (tmp_path / "job").mkdir()
    job = Job(tmp_path / "job", desk, spec)
    run(job)
    (told,) = [event["found"] for event in read_events(job.folder) if event["kind"] == "merge.learned"]
    folder = desk / "exports" / told["file"]
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
        found = point_of({"merge": merge, "names": names}, family, coefficients)
        assert found is None if wanted is None else found == pytest.approx(wanted)


def test_a_fusion_of_language_models_is_measured_and_leaves_no_file(desk, tmp_path):
    pytest.importorskip("transformers", reason="requirements-transformers.txt")
    (tmp_path / "job").mkdir()
    learn = {"method": "logit_fusion", "knobs": {"matched": 1, "seed": 0}, "weight": [0.5, 0.5], "large": "prose"}
    job = Job(tmp_path / "job", desk, llama_task() | {"learn": learn, "out": "s-fusion", "first": 1, "device": "cpu"})
    run(job)
    (told,) = [event["found"] for event in read_events(job.folder) if event["kind"] == "merge.learned"]
    assert told["file"] is None and told["run"] is None and "no checkpoint: 4 models" in told["note"]
    assert np.isfinite(told["losses"]).all() and not list((desk / "exports").glob("s-fusion*"))


def test_what_was_learned_outlives_a_rebuild(desk, tmp_path):
    from store.rebuild import rebuild

    store = Store(Workspace.open(desk))
    before = searches.learned(store, studies.get(store, "Small merge").id)
    store.close()
    rebuild(Workspace.open(desk), tmp_path / "again.duckdb")
    store = Store(Workspace.open(desk), tmp_path / "again.duckdb")
    assert before and searches.learned(store, studies.get(store, "Small merge").id) == before
    store.close()
