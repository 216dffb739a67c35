"""Passages of validation text: which they are, their text by token, what is kept of each run, and what is private."""

import json
from dataclasses import fields

import numpy as np
import pytest

from engine import corpus
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.corpus import CorpusSpec, build, passages
from engine.spec.kinds.corpus import CorpusTask
from store import runs, studies
from store.database import Store
from tests.corpus.test_corpus import folder_spec, write_domains
from tests.support.running import answer, copied, engine


def built(tmp_path, name: str, **rest) -> corpus.Corpus:
    if not (tmp_path / "data").exists():
        write_domains(tmp_path / "data", {"plain": "Straße 漢字 river", "records": "alpha omega"})
    build(folder_spec(tmp_path / "data", **rest), tmp_path / name, processes=1)
    return corpus.load(tmp_path / name)


def test_passages_are_spread_over_domains_and_never_the_same(tmp_path):
    one = built(tmp_path, "c")
    found = passages.places(one, one.domains, 64)
    assert len(found) == len(set(found)) == passages.PASSAGES
    assert [domain for domain, _ in found].count("plain") == passages.PASSAGES // 2
    assert passages.tokens_of(one, found, 64).shape == (passages.PASSAGES, 65)
    assert len(passages.places(one, ["plain"], 100_000)) <= 1


@pytest.mark.parametrize("tokenizer", ["bytes", {"type": "bpe", "vocabulary": 400}])
def test_tokens_have_the_text_that_they_are_of(tmp_path, tokenizer):
    one = built(tmp_path, "c", tokenizer=tokenizer)
    tokens = passages.tokens_of(one, passages.places(one, one.domains, 64), 64)
    for row in tokens[:6]:
        pieces = passages.pieces(one, row)
        assert len(pieces) == len(row)
        assert "".join(pieces) == one.decode(row).rstrip("\ufffd")
    assert any("ß" in piece or "漢" in piece for row in tokens for piece in passages.pieces(one, row))


def test_a_private_corpus_shows_nothing_of_its_text(tmp_path):
    spec = CorpusSpec.from_dict(folder_spec(tmp_path / "data").to_dict() | {"private": True})
    assert spec.fingerprint != folder_spec(tmp_path / "data").fingerprint and "private" not in CorpusSpec().to_dict()
    one = built(tmp_path, "c", private=True)
    assert "river" not in json.dumps(one.manifest) and all(not one.examples(name) for name in one.domains)
    with pytest.raises(Problem, match="is private"):
        passages.pieces(one, np.arange(5))
    with pytest.raises(Problem, match="true or false"):
        CorpusSpec(private="yes")


@pytest.mark.slow
def test_a_private_corpus_is_built_from_the_command_line(tmp_path):
    """The task of the job takes every setting that a corpus has."""
    assert {item.name for item in fields(CorpusTask)} == {"corpus", *(item.name for item in fields(CorpusSpec))}
    write_domains(tmp_path / "data", {"plain": "Straße 漢字 river", "records": "alpha omega"})
    wish = ("corpus", "--name", "c", "--folder", str(tmp_path / "data"), "--private", "--wait")
    engine(tmp_path / "workspace", *wish)
    assert corpus.load(Workspace.open(tmp_path / "workspace").corpus("c")).manifest["spec"]["private"] is True
    assert answer(tmp_path / "workspace", *wish)["already_there"]


def test_what_is_damaged_is_said(tmp_path):
    bits = np.random.default_rng(0).uniform(0, 12, (3, 8))
    passages.save(tmp_path / "a.npz", 8, bits)
    context, back = passages.load(tmp_path / "a.npz")
    assert context == 8 and np.abs(back - bits).max() < 0.01
    (tmp_path / "a.npz").write_bytes(b"no")
    with pytest.raises(Problem, match="Cannot read the passages of a"):
        passages.load(tmp_path / "a.npz")


def test_every_proxy_keeps_what_it_made_of_them(finished, tmp_path):
    workspace = Workspace.open(copied(finished, tmp_path / "w"))
    store = Store(workspace)
    study = studies.all_studies(store)[0]
    measured = runs.measured(store, study.id)
    opened = corpus.load(workspace.corpus(study.spec["corpus"]))
    found = passages.places(opened, study.domains, 32)
    tokens = passages.tokens_of(opened, found, 32)
    sizes = opened.token_bytes[tokens[:, 1:]].sum(axis=1)
    for run, losses in zip(measured.ids, measured.losses, strict=True):
        _, bits = passages.load(passages.file_of(workspace.root, run))
        assert bits.shape == (passages.PASSAGES, 32) and (bits >= 0).all()
        for place, domain in enumerate(study.domains):
            own = [i for i, (name, _) in enumerate(found) if name == domain]
            assert bits[own].sum() / sizes[own].sum() == pytest.approx(losses[place], rel=0.35)
    store.close()
