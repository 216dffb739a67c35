"""Tokens of models that are merged: the same numbers mean the same tokens, and tied heads stay tied."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from engine.merging.merge import merge
from engine.merging.preflight import preflight
from tests.support.checkpoints import CONFIG, FILE, VOCABULARY, WIDTH, family, merging, tensors_of, vocabulary, write


@pytest.fixture
def zoo(tmp_path):
    return family(tmp_path)


def test_tokens_in_other_places_are_refused(zoo):
    vocabulary(zoo / "base", ["a", "b", "c"])
    vocabulary(zoo / "one", ["a", "b", "c"])
    vocabulary(zoo / "two", ["a", "c", "b"])
    found = preflight(merging(zoo), zoo / "out")
    (said,) = found.refusals
    assert "'b' is number 2, and 1 in" in said and "2 tokens in all" in said and str(zoo / "two") in said
    assert [one.same for one in found.vocabularies] == [True, False]


def test_two_tokens_with_one_number_are_refused(zoo):
    vocabulary(zoo / "base", ["a", "b", "c"])
    vocabulary(zoo / "two", ["a", "b", "d"])
    (said,) = preflight(merging(zoo), zoo / "out").refusals
    assert "number 2 is the token 'd', and 'c' in" in said


def longer(zoo, rows):
    """An expert with other rows, whose tokens are the base's and more, or fewer."""
    generator = torch.Generator().manual_seed(9)
    tensors = tensors_of(zoo / "two")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        more = torch.randn(max(0, rows - VOCABULARY), WIDTH, generator=generator)
        tensors[name] = torch.cat([tensors[name], more])[:rows]
    write(zoo / "other", tensors)
    (zoo / "other" / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": rows}))
    vocabulary(zoo / "base", [f"t{n}" for n in range(VOCABULARY)])
    vocabulary(
        zoo / "other", [f"t{n}" for n in range(min(rows, VOCABULARY))], [f"new{n}" for n in range(rows - VOCABULARY)]
    )
    return tensors


@pytest.mark.parametrize("rows", [VOCABULARY + 3, VOCABULARY - 5])
def test_rows_of_tokens_that_only_one_knows(zoo, rows):
    """Left out where the base does not know them; the base's own where the expert does not."""
    tensors = longer(zoo, rows)
    found = preflight(merging(zoo, ["other"]), zoo / "out")
    assert found.refusals == [] and len(found.warnings) == 1
    assert ("'new0', 'new1', 'new2'" if rows > VOCABULARY else "5 of the base's tokens") in found.warnings[0]
    merge(merging(zoo, ["other"]), zoo / "out")
    merged, base = tensors_of(zoo / "out"), tensors_of(zoo / "base")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        known = base[name].clone()
        shared = min(rows, VOCABULARY)
        known[:shared] += 0.5 * (tensors[name][:shared] - base[name][:shared])
        torch.testing.assert_close(merged[name], known)


def test_rows_of_the_base_in_an_expert_take_memory_that_is_found_before_the_merge(zoo):
    """Where rows are missing a whole tensor is put together, one at a time; where they are there, pages are changed."""
    usual, size = preflight(merging(zoo, ["two"]), zoo / "out").memory, 4 * VOCABULARY * WIDTH
    longer(zoo, VOCABULARY - 5)
    assert preflight(merging(zoo, ["other"]), zoo / "out").memory == usual + size
    vocabulary(zoo / "two", [f"t{n}" for n in range(VOCABULARY - 1)])
    assert preflight(merging(zoo, ["two"]), zoo / "out").memory == usual + 2 * 4096


def test_an_adapter_may_bring_tokens_of_its_own(zoo):
    """It keeps whole embeddings that are longer than the base's, and its folder says which tokens these are."""
    tensors = longer(zoo, VOCABULARY + 3)
    adapter = zoo / "adapter"
    adapter.mkdir()
    whole = {f"base_model.model.{name}": tensors[name] for name in ("model.embed_tokens.weight", "lm_head.weight")}
    save_file(whole, adapter / "adapter_model.safetensors")
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2}))
    shutil.copy(zoo / "other" / "tokenizer.json", adapter)
    found = preflight(merging(zoo, ["base+adapter"]), zoo / "out")
    assert found.refusals == [] and "'new0', 'new1', 'new2'" in found.warnings[0]
    merge(merging(zoo, ["base+adapter"]), zoo / "out")
    base, name = tensors_of(zoo / "base"), "lm_head.weight"
    torch.testing.assert_close(tensors_of(zoo / "out")[name], (base[name] + tensors[name][:VOCABULARY]) / 2)


def test_other_rows_without_a_vocabulary_are_refused(zoo):
    longer(zoo, VOCABULARY + 3)
    (zoo / "other" / "tokenizer.json").unlink()
    found = preflight(merging(zoo, ["other"]), zoo / "out")
    assert len(found.refusals) == 2 and all("vocabularies differ" in said for said in found.refusals)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer.json", json.dumps({"model": {"type": "Unigram", "vocab": [["a", -1.0], ["b", -2.0]]}})),
        ("vocab.json", json.dumps({"a": 0, "b": 1})),
        ("vocab.txt", "a\nb\n"),
    ],
)
def test_every_kind_of_vocabulary_is_read(zoo, name, text):
    vocabulary(zoo / "base", ["a", "b"])
    (zoo / "one" / name).write_text(text)
    (one,) = preflight(merging(zoo, ["one"]), zoo / "out").vocabularies
    assert one.same and one.file == zoo / "one" / name


def test_tokens_may_be_ends_of_lines_elsewhere(zoo):
    """As in multilingual vocabularies: a token that Unicode calls a line's end must not shift all numbers after it."""
    tokens = ["a", "\u2028", "\x85", "b", "\x1c", "é"]
    vocabulary(zoo / "base", tokens)
    (zoo / "one" / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), "utf-8")
    (one,) = preflight(merging(zoo, ["one"]), zoo / "out").vocabularies
    assert one.same


def test_a_broken_vocabulary_is_named(zoo):
    vocabulary(zoo / "base", ["a"])
    (zoo / "one" / "tokenizer.json").write_text('{"model": {}}')
    (said,) = preflight(merging(zoo), zoo / "out").refusals
    assert str(zoo / "one" / "tokenizer.json") in said


def test_rows_of_tokens_that_an_expert_does_not_know_are_the_bases_own(zoo):
    """Its embeddings are padded to the base's rows, and what stands in the padding means nothing."""
    known = [f"t{n}" for n in range(VOCABULARY - 4)]
    vocabulary(zoo / "base", known, ["new0", "new1", "new2", "new3"])
    vocabulary(zoo / "one", known)
    before = (zoo / "one" / FILE).read_bytes()
    found = preflight(merging(zoo, ["one"]), zoo / "out")
    assert found.refusals == [] and "4 of the base's tokens" in found.warnings[0]
    merge(merging(zoo, ["one"]), zoo / "out")
    merged, base, one = (tensors_of(zoo / name) for name in ("out", "base", "one"))
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert torch.equal(merged[name][-4:], base[name][-4:])
        torch.testing.assert_close(merged[name][:-4], ((base[name] + one[name]) / 2)[:-4])
    assert (zoo / "one" / FILE).read_bytes() == before


def test_rows_of_positions_are_no_tokens(zoo):
    for name in ("base", "one"):
        tensors = tensors_of(zoo / name)
        tensors["model.embed_positions.weight"] = tensors["lm_head.weight"] * 2
        save_file(tensors, zoo / name / FILE)
    vocabulary(zoo / "base", ["a", "b", "c"])
    vocabulary(zoo / "one", ["a", "b"])
    merge(merging(zoo, ["one"]), zoo / "out")
    merged, base, one = (tensors_of(zoo / name)["model.embed_positions.weight"] for name in ("out", "base", "one"))
    torch.testing.assert_close(merged, (base + one) / 2)


def test_rows_of_no_token_are_left_out_and_told(zoo):
    longer(zoo, VOCABULARY + 3)
    shutil.copy(zoo / "base" / "tokenizer.json", zoo / "other")
    (said,) = preflight(merging(zoo, ["other"]), zoo / "out").warnings
    assert "3 rows of embeddings more" in said and str(zoo / "other") in said


def bpe(merges):
    return json.dumps({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": merges}})


@pytest.mark.parametrize(
    ("base", "one", "said"),
    [
        ({"tokenizer.model": "x"}, {"tokenizer.model": "x"}, None),
        ({"tokenizer.model": "x"}, {"tokenizer.model": "y"}, "were not compared"),
        ({"tokenizer.model": "x"}, {"tokenizer.json": bpe([])}, "were not compared"),
        ({"tokenizer.json": bpe([])}, {}, "has no tokenizer"),
        ({"tokenizer.json": bpe([])}, {"tokenizer.json": bpe(["a b"])}, "byte-pair merges"),
        ({"tokenizer.json": bpe(["a b"])}, {"tokenizer.json": bpe([["a", "b"]])}, None),
        ({"tokenizer.json": bpe(["a b"])}, {"vocab.json": '{"a": 0, "b": 1, "ab": 2}', "merges.txt": "a b\n"}, None),
        ({"config.json": '{"eos_token_id": 1}'}, {"config.json": '{"eos_token_id": [1, 2]}'}, "eos_token_id [1, 2]"),
    ],
)
def test_other_tokenizers_are_told(zoo, base, one, said):
    for folder, files in (("base", base), ("one", one)):
        for name, text in files.items():
            (zoo / folder / name).write_text(text)
    found = preflight(merging(zoo, ["one"]), zoo / "out")
    assert found.refusals == [] and len(found.warnings) == (said is not None)
    assert all(said in one for one in found.warnings)


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, '{"model": {"vocab": {"a": [1]}}}'])
def test_a_vocabulary_that_is_none_is_named(zoo, text):
    vocabulary(zoo / "base", ["a"])
    (zoo / "one" / "tokenizer.json").write_text(text)
    (said,) = preflight(merging(zoo), zoo / "out").refusals
    assert str(zoo / "one" / "tokenizer.json") in said


# Tied weights ------------------------------------------------------------------------------------------------


def test_tied_weights_stay_tied(zoo):
    """A base that ties its head: it is not written twice, whether a checkpoint holds the copy or not."""
    for name in ("base", "one", "two"):
        tensors = tensors_of(zoo / name)
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        if name == "two":
            del tensors["lm_head.weight"]
        shutil.rmtree(zoo / name)
        write(zoo / name, tensors)
        (zoo / name / "config.json").write_text(json.dumps(CONFIG | {"tie_word_embeddings": True}))
    found = preflight(merging(zoo), zoo / "out")
    assert found.refusals == [] and any("lm_head.weight is tied" in said for said in found.warnings)
    merge(merging(zoo), zoo / "out")
    assert "lm_head.weight" not in tensors_of(zoo / "out")
    assert json.loads((zoo / "out" / "config.json").read_text())["tie_word_embeddings"]


def test_the_merged_model_runs_with_its_tied_head(zoo):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    tied = CONFIG | {"tie_word_embeddings": True}
    for name in ("base", "one", "two"):
        tensors = tensors_of(zoo / name)
        del tensors["lm_head.weight"]
        shutil.rmtree(zoo / name)
        write(zoo / name, tensors)
        (zoo / name / "config.json").write_text(json.dumps(tied))
    merge(merging(zoo), zoo / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(zoo / "out")
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    torch.testing.assert_close(model.lm_head.weight, tensors_of(zoo / "out")["model.embed_tokens.weight"])


def tying(zoo, name, said, has_head, is_copy=True):
    """Rewrite a model: what its config.json says of tying, and whether its file has a head."""
    tensors = tensors_of(zoo / name)
    if is_copy:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    if not has_head:
        del tensors["lm_head.weight"]
    shutil.rmtree(zoo / name)
    write(zoo / name, tensors)
    told = {key: value for key, value in CONFIG.items() if key != "tie_word_embeddings"}
    told |= {} if said is None else {"tie_word_embeddings": said}
    (zoo / name / "config.json").write_text(json.dumps(told))


def test_heads_that_are_tied_by_an_architectures_default_stay_tied(zoo):
    """config.json says nothing, and all models hold the copy or no head; what is written says it."""
    tying(zoo, "base", None, True)
    tying(zoo, "one", None, True)
    tying(zoo, "two", None, False)
    merge(merging(zoo, method="dare_linear", parameters={"density": 0.5}), zoo / "out")
    assert "lm_head.weight" not in tensors_of(zoo / "out")
    assert json.loads((zoo / "out" / "config.json").read_text())["tie_word_embeddings"] is True


def test_a_copy_that_an_expert_has_trained_is_a_head(zoo):
    """The base's head is still its embedding, and was not tied to it."""
    tying(zoo, "base", None, True)
    tying(zoo, "one", None, True, is_copy=False)
    merge(merging(zoo, ["one"]), zoo / "out")
    head = "lm_head.weight"
    mean = (tensors_of(zoo / "base")[head] + tensors_of(zoo / "one")[head]) / 2
    torch.testing.assert_close(tensors_of(zoo / "out")[head], mean)


def test_the_embedding_of_a_tied_expert_is_its_head(zoo):
    tying(zoo, "one", True, False)
    found = preflight(merging(zoo, ["one"]), zoo / "out")
    assert found.refusals == [] and "ties its head" in found.warnings[0]
    merge(merging(zoo, ["one"]), zoo / "out")
    mean = (tensors_of(zoo / "base")["lm_head.weight"] + tensors_of(zoo / "one")["model.embed_tokens.weight"]) / 2
    torch.testing.assert_close(tensors_of(zoo / "out")["lm_head.weight"], mean)


@pytest.mark.parametrize(
    ("base", "expert", "refused", "warned"),
    [
        ((False, False), (False, True, False), "lacks the tensor 'lm_head.weight'", None),
        ((None, False), (False, True, False), "lacks the tensor 'lm_head.weight'", None),
        ((None, False), (None, True, True), None, None),
        ((True, False), (False, True, False), None, "an output head of its own"),
        ((True, True), (False, True, False), None, "an output head of its own"),
        ((False, True), (None, False, True), "If that model ties its head", None),
    ],
)
def test_heads_of_one_only(zoo, base, expert, refused, warned):
    """(what config.json says, whether the file has a head) of the base; and whether it's a copy, of the expert."""
    tying(zoo, "base", *base)
    tying(zoo, "one", *expert)
    found = preflight(merging(zoo, ["one"]), zoo / "out")
    assert [refused in said for said in found.refusals] == ([True] if refused else [])
    assert not warned or any(warned in said for said in found.warnings)
