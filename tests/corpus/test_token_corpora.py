"""Pre-tokenised text as a corpus: a sample drawn at random over shards, counts of all there is, and studies on it."""

import json
from itertools import chain

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.corpus import CorpusSpec, build, load
from engine.corpus.tokenizers import train_bpe
from engine.spec.objectives import TOKEN_NATS
from store import corpora, runs, studies
from tests.support.external import call, work
from tests.support.running import answer, said
from tests.support.token_files import arrow, litdata, mds, megatron, olmo

WORDS = {"web": "the cat sat on a mat and then it ran", "code": "def f(x): return [x + 1 for y in z]"}


def documents(low: int, high: int, count: int, seed: int) -> list[list[int]]:
    """Documents of tokens of a range, the last of each 0."""
    rng = np.random.default_rng(seed)
    return [[*rng.integers(low, high, length).tolist(), 0] for length in rng.integers(50, 400, count)]


def spec(files: dict, format: str = "megatron", **changed) -> CorpusSpec:
    source = {"type": "tokens", "format": format, "files": files, **changed.pop("source", {})}
    return CorpusSpec(source=source, tokenizer=changed.pop("tokenizer", {"type": "ids"}), **{"cap_mb": 0.2, **changed})


@pytest.mark.slow
def test_a_sample_is_drawn_over_all_shards_by_its_seed(tmp_path):
    """Each document of ten shards starts with its own number: those that are drawn lie everywhere."""
    whole = [[1000 + place, *body] for place, body in enumerate(documents(1, 300, 2000, 0))]
    for shard in range(10):
        megatron(tmp_path / f"web-{shard}", whole[200 * shard : 200 * (shard + 1)])
    megatron(tmp_path / "code", documents(300, 500, 400, 1))
    files = {"web": str(tmp_path / "web-*"), "code": [str(tmp_path / "code")]}
    seen = {}
    for name, seed in (("one", 0), ("same", 0), ("other", 7)):
        facts = build(spec(files, source={"seed": seed}), tmp_path / name)["domains"]["web"]
        corpus = load(tmp_path / name)
        tokens = np.concatenate([corpus.train("web"), corpus.valid("web")])
        seen[name] = set((tokens[tokens >= 1000] - 1000).tolist())
        assert 49_000 < len(tokens) <= 50_000, "a cap of .2 MB is 50,000 tokens"
        assert facts["available_tokens"] == sum(map(len, whole)) and facts["whole"] is False
        assert facts["files"]["read"] == facts["files"]["found"] == 10
    assert seen["one"] == seen["same"] != seen["other"]
    assert all(np.bincount([one // 200 for one in seen[name]]).min() > 8 for name in seen), "from every shard"
    valid = {name: set(np.asarray(load(tmp_path / name).valid("web"))[:].tolist()) for name in seen}
    both = seen["one"] & seen["other"]
    moved = [one for one in both if len({one + 1000 in valid[name] for name in ("one", "other")}) > 1]
    assert len(both) > 10 and len(moved) <= 2, "a document validates in every sample or in none, but for the last one"


def test_all_of_little_text_is_read_whatever_its_format(tmp_path):
    own = {"web": documents(1, 300, 200, 0), "code": documents(300, 500, 200, 1)}
    (tmp_path / "olmo").mkdir()
    written = {"mds": mds, "litdata": litdata, "arrow": arrow, "olmo": olmo}
    for format, write in written.items():
        files = {name: str(write(tmp_path / format / name, rows)) for name, rows in own.items()}
        more = {"dtype": "uint16", "end": 0} if format == "olmo" else {}
        manifest = build(spec(files, format, source=more, cap_mb=1), tmp_path / f"corpus-{format}")
        corpus = load(tmp_path / f"corpus-{format}")
        for name, rows in own.items():
            facts, tokens = manifest["domains"][name], sorted(chain.from_iterable(rows))
            assert sorted([*corpus.train(name).tolist(), *corpus.valid(name).tolist()]) == tokens
            assert facts["whole"] and facts["available_tokens"] == len(tokens)
        assert corpus.vocabulary == manifest["tokenizer"]["vocabulary"] == 500 and not corpus.has_text


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Text of two domains as Megatron's files, with its tokenizer: (files, tokenizer.json, texts)."""
    folder = tmp_path_factory.mktemp("spoken")
    rng = np.random.default_rng(0)
    texts = {
        name: [" ".join(rng.choice(words.split(), rng.integers(20, 90))) for _ in range(400)]
        for name, words in WORDS.items()
    }
    tokenizer = train_bpe([text for rows in texts.values() for text in rows], 300)
    (folder / "tokenizer.json").write_text(tokenizer.json)
    for name, rows in texts.items():
        megatron(folder / name, [tokenizer.encode([text.encode()]).tolist() for text in rows])
    return {name: str(folder / name) for name in WORDS}, folder / "tokenizer.json", texts


def test_with_its_tokenizer_losses_are_bits_per_byte(spoken, tmp_path):
    files, path, texts = spoken
    asked = spec(files, tokenizer={"type": "file", "path": str(path)}, cap_mb=1)
    manifest = build(asked, tmp_path / "corpus")
    corpus = load(tmp_path / "corpus")
    for name, rows in texts.items():
        facts, distinct = manifest["domains"][name], set(rows)
        sizes = sum(len(text.encode()) + 1 for text in distinct)
        assert facts["train_bytes"] + facts["valid_bytes"] == sizes, "as the text has them, each with its end"
        assert any(text.startswith(facts["examples"][0][:20]) for text in rows)
    assert corpus.has_text and corpus.token_bytes[corpus.tokenizer.end] == 1
    megatron(tmp_path / "odd", [[5, 6, 900]] * 300)
    with pytest.raises(Problem, match="it has the token 900, and the vocabulary 300"):
        build(spec({**files, "odd": str(tmp_path / "odd")}, tokenizer=asked.tokenizer), tmp_path / "odd-corpus")


def test_without_it_text_is_neither_made_nor_read(spoken, tmp_path):
    build(spec(spoken[0], cap_mb=1), tmp_path / "corpus")
    corpus = load(tmp_path / "corpus")
    for ask in (lambda: corpus.tokenizer.encode([b"a"]), lambda: corpus.need_text("cut items")):
        with pytest.raises(Problem, match="registered without their tokenizer"):
            ask()
    assert corpus.decode(corpus.valid("web")[:3]).split() == [str(one) for one in corpus.valid("web")[:3]]


def test_a_spec_that_cannot_be_is_refused(tmp_path):
    megatron(tmp_path / "web", documents(1, 9, 5, 0))
    files = {"web": str(tmp_path / "web"), "code": str(tmp_path / "web")}
    for wrong, words in (
        ({"tokenizer": "bytes"}, "were made by another"),
        ({"source": {"end": -1}}, "end token"),
        ({"source": {"seed": 1.5}}, "seed"),
        ({"tokenizer": {"type": "ids", "vocabulary": 0.5}}, "vocabulary"),
    ):
        with pytest.raises(Problem, match=words):
            spec(files, **wrong)
    with pytest.raises(Problem, match="Cannot make tokens of text without a tokenizer"):
        CorpusSpec(tokenizer="ids")
    for given, words in (({"web": str(tmp_path / "web")}, "1 domain"), ({**files, "none": []}, "list of paths")):
        with pytest.raises(Problem, match=words):
            build(spec(given), tmp_path / "out")
    with pytest.raises(Problem, match="no nowhere"):
        build(spec({**files, "none": str(tmp_path / "nowhere")}), tmp_path / "out")


@pytest.mark.slow
def test_own_proxies_are_trained_on_it_in_nats_per_token(store, workspace, tmp_path):
    """Two domains of random tokens: nothing can be learned but which tokens there are, log(100) of each domain."""
    for name, low in (("web", 1), ("code", 101)):
        megatron(tmp_path / name, documents(low, low + 100, 900, low))
    told = {"type": "tokens", "format": "megatron", "files": {one: str(tmp_path / one) for one in ("web", "code")}}
    call(store, "build_corpus", name="pile", spec={"source": told, "tokenizer": {"type": "ids"}, "cap_mb": 0.2})
    work(store, "corpus")
    there = corpora.manifest(store, "pile")["domains"]["web"]
    fidelity = {"width": 16, "heads": 1, "layers": 1, "context": 16, "batch": 16, "tokens": 40_960, "eval_tokens": 2048}
    study = {"name": "Pile", "corpus": "pile", "runs": 8, "repeats": 0, "fidelity": fidelity, "surrogates": ["ridge"]}
    call(store, "start", spec=study)
    work(store, "train")
    (planned,) = studies.all_studies(store)
    assert {one.unit for one in planned.objectives} == {TOKEN_NATS}
    pools = planned.corpus["pools"]
    assert pools[0]["tokens"] == there["available_tokens"] > 4 * pools[0]["sample"] and pools[0]["source"] == "headers"
    measured = runs.measured(store, planned.id)
    best = np.nanmin(measured.losses, axis=0)
    assert (best > np.log(100) - 0.1).all() and (best < np.log(201)).all(), best
    with pytest.raises(Problem, match="cut items"):
        call(store, "cut_task", name="t", corpus="pile", domain="web", kind="cloze")


def test_the_command_registers_files(tmp_path):
    for name in ("web", "code"):
        megatron(tmp_path / name, documents(1, 300, 300, len(name)))
    workspace = tmp_path / "workspace"
    named = [word for name in ("web", "code") for word in ("--file", f"{name}={tmp_path / name}")]
    words = ["corpus", "--name", "pile", "--tokens", "megatron", *named]
    told = answer(workspace, *words, "--cap-mb", "0.1", "--wait")
    assert "Text from 2 of 2 files" in told["report"]["text"]
    listed = answer(workspace, "corpora")[0]
    assert all(0 < count <= 25_000 for count in listed["train_tokens"].values()), json.dumps(listed)
    assert "--text-column" in said(workspace, *words, "--text-column", "x")
    assert "goes with --tokens" in said(workspace, "corpus", "--folder", str(tmp_path), "--seed", "3")
    assert "name the files" in said(workspace, "corpus", "--tokens", "olmo", "--folder", str(tmp_path))
