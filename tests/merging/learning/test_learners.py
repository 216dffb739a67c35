"""Merges learned from text: every method on proxies and on tiny Llamas."""

import json
import shutil

import numpy as np
import pytest
import torch

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.merging.learning import logit_fusion, regmean, twin
from engine.merging.learning.base import Run
from engine.merging.learning.proxies import ProxyFamily
from engine.spec.merge_learners import LEARNERS
from engine.studies.merges.questions import merge_spec, task_of
from store import runs, studies
from store.database import Store
from tests.support.learning import Bigrams, learned, llama_task, weights_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def proxies(learning_desk):
    store = Store(Workspace.open(learning_desk))
    study = studies.get(store, "Small merge")
    made = ProxyFamily(task_of(study, merge_spec(study)), learning_desk, "cpu")
    store.close()
    return made


@pytest.fixture(scope="module")
def llamas(learning_desk):
    pytest.importorskip("transformers", reason="transformers is not installed: requirements-transformers.txt")
    from engine.merging.learning.llms import ModelFamily

    return ModelFamily(llama_task(), learning_desk, "cpu")


@pytest.fixture(params=["proxies", "llamas"])
def family(request):
    return request.getfixturevalue(request.param)


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


def test_losses_are_those_that_the_study_measures(family, learning_desk):
    """Of the experts alone, as the study's own measurements have them; and each is best at its own domain."""
    losses = np.array([family.measure(lambda t, k=k: family.logits(family.expert(k), t))[0] for k in range(2)])
    if isinstance(family, ProxyFamily):
        store = Store(Workspace.open(learning_desk))
        rows = runs.table(store, studies.get(store, "Small merge").id).to_pylist()
        store.close()
        rows = {row["label"]: row for row in rows if row["role"] == "baseline"}
        known = np.array([rows[f"{name} alone"]["losses"] for name in family.experts[:2]])
    else:
        known, _ = family.merges.measure(np.eye(2))
    assert losses == pytest.approx(known, abs=2e-5)


def test_no_validation_text_is_learned_from(proxies):
    seen, valid = set(), proxies.corpus.valid("prose")
    proxies.corpus.__class__.valid, kept = (
        (lambda *_: pytest.fail("validation text was opened")),
        type(proxies.corpus).valid,
    )
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
    found, matrices = watch.means(), {n for n, v in family.base.items() if v.ndim == 2 and "embed" not in n}
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
    assert set(watch.means()) == watch.inputs_first == names
    experts = [weights, {name: 3 * value for name, value in weights.items()}]
    found = regmean.merged(experts, [watch.means()] * 2, 0.9, (1.0, 1.0), watch.inputs_first)
    torch.testing.assert_close(found, {name: 2 * value for name, value in weights.items()})


class Topics(Bigrams):
    """Each of three domains mostly says four words of its own, and its expert expects these."""

    def __init__(self):
        super().__init__(size=12, count=3, domains=3)
        words = torch.arange(12) // 4
        self.deltas = {"table": torch.stack([3.0 * (words == k).float().expand(12, 12) for k in range(3)])}

    def batch(self, domain, rows, draw):
        place = self.domains.index(domain)
        rng = np.random.default_rng([place, draw])
        own, any_word = 4 * place + rng.integers(4, size=(rows, 9)), rng.integers(12, size=(rows, 9))
        return torch.from_numpy(np.where(rng.random((rows, 9)) < 0.9, own, any_word))


def test_twin_sends_text_to_the_expert_of_its_domain():
    family = Topics()
    made = twin.Twin(family, rank=1.0, lam=0.3)
    made.train(Run(), steps=200, rate=0.01, batch=12)
    for k, name in enumerate(family.domains):
        routed = made.route(made.router_input(family.batch(name, 96, 10**6)[:, :-1])).argmax(1)
        assert float((routed == k).float().mean()) > 0.8


def test_logit_fusion_steers_another_model_of_the_same_tokens(llamas, learning_desk):
    run = Run(weight=(0.0, 0.0))
    found = logit_fusion.learn(llamas, run, matched=1, large="prose")
    tokens = next(llamas.validation("python"))[0][:, :-1]
    torch.testing.assert_close(found.predict(tokens), llamas.logits(llamas.expert(1), tokens), rtol=1e-4, atol=1e-4)
    other = learning_desk / "checkpoints" / "other-tokens"
    shutil.copytree(learning_desk / "checkpoints" / "base", other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    one, two = list(vocabulary)[40:42]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(Problem, match="other tokens"):
        logit_fusion.learn(llamas, run, matched=1, large="other-tokens")
