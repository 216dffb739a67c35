"""Tokens of a merge as its file asks for them: written so that loaders number and encode them as promised."""

import json
import shutil

import pytest
import torch

from engine.__main__ import main
from engine.core.errors import Problem
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.preflight import preflight
from engine.merging.templates import KNOWN
from tests.support.checkpoints import tensors_of
from tests.support.spoken import CHATML, PLAIN, speaker, speakers

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture
def zoo(tmp_path):
    return speakers(tmp_path)


def merging(zoo, *experts, base="base", **settings):
    models = [{"model": name, "parameters": {"weight": 1.0}} for name in experts]
    return from_dict({"merge_method": "task_arithmetic", "base_model": base, "models": models} | settings, zoo)


def loaded(folder):
    """Its tokenizer and model, by transformers."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return tokenizer, transformers.AutoModelForCausalLM.from_pretrained(folder)


def test_a_union_loads_and_encodes_as_promised(zoo):
    """Every text of each model is cut into the same tokens, and each token's row is where the tokenizer says."""
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    config = merging(zoo, "chatml", tokenizer={"source": "union", "pad_to_multiple_of": 20}, chat_template=template)
    merge(config, zoo / "out")
    tokenizer, model = loaded(zoo / "out")
    own, _ = loaded(zoo / "chatml")
    text = "<|im_start|>hello<|im_end|> you"
    ids = tokenizer(text).input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == own.convert_ids_to_tokens(own(text).input_ids)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hey"}], tokenize=False) == "hey"
    assert model.config.vocab_size == 40 and model.get_input_embeddings().weight.shape[0] == 40
    rows = tensors_of(zoo / "chatml")
    for name, weight in ((EMBEDDING, model.get_input_embeddings().weight), (HEAD, model.lm_head.weight)):
        torch.testing.assert_close(weight[ids].detach(), rows[name][own(text).input_ids])
        torch.testing.assert_close(weight[-5].detach(), weight[: len(PLAIN) + 2].mean(dim=0).detach())
    assert torch.isfinite(model(torch.tensor([ids])).logits).all()


def test_another_models_tokenizer_brings_its_special_numbers(zoo):
    """`other` numbers the base's tokens in another order: config.json and what ends a text follow."""
    for name, end in (("other", 28), ("base", 1)):
        (zoo / name / "generation_config.json").write_text(json.dumps({"eos_token_id": [end]}))
    settings = json.loads((zoo / "other" / "config.json").read_text())
    (zoo / "other" / "config.json").write_text(json.dumps(settings | {"bos_token_id": 29, "eos_token_id": 28}))
    merge(merging(zoo, "other", tokenizer_source="other"), zoo / "out")
    tokenizer, model = loaded(zoo / "out")
    assert tokenizer.eos_token_id == model.config.eos_token_id == 28 and model.config.bos_token_id == 29
    assert model.generation_config.eos_token_id == [28]
    word = tokenizer("abba").input_ids
    base, _ = loaded(zoo / "other")
    assert word == base("abba").input_ids
    torch.testing.assert_close(model.get_input_embeddings().weight.detach(), tensors_of(zoo / "other")[EMBEDDING])


def test_tied_heads_stay_tied_where_rows_join(zoo):
    speaker(zoo / "bound", 8, tied=True)
    speaker(zoo / "bound_chatml", 9, tied=True, added=CHATML)
    merge(merging(zoo, "bound_chatml", base="bound", tokenizer_source="union"), zoo / "out")
    assert HEAD not in tensors_of(zoo / "out")
    tokenizer, model = loaded(zoo / "out")
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert len(model.lm_head.weight) == len(tokenizer) == len(PLAIN) + 2


def test_renamed_reserved_tokens_by_choice(zoo):
    """By number under the base's names; under the expert's; or both, each with its row."""
    base, expert = (tensors_of(zoo / name)[EMBEDDING] for name in ("reserved", "renamed"))
    found = preflight(merging(zoo, "renamed", base="reserved"), zoo / "out")
    assert found.refusals == [] and "'<|im_start|>' for '<|reserved_0|>'" in found.warnings[0]
    assert [one["row"].split("calls it ")[1] for one in found.tokens] == [repr(token) for token in CHATML]
    sources = {"none": None, "bases": "reserved", "theirs": "renamed", "both": "union"}
    for name, source in sources.items():
        merge(merging(zoo, "renamed", base="reserved", tokenizer_source=source), zoo / name)
    found = {name: tensors_of(zoo / name)[EMBEDDING][len(PLAIN) :] for name in sources}
    ends = expert[len(PLAIN) :]
    torch.testing.assert_close(found["none"], ends)
    torch.testing.assert_close(found["bases"], base[len(PLAIN) :])
    torch.testing.assert_close(found["theirs"], ends)
    torch.testing.assert_close(found["both"], torch.cat([base[len(PLAIN) :], ends]))
    assert loaded(zoo / "theirs")[0].convert_ids_to_tokens(len(PLAIN)) == "<|im_start|>"


def test_the_table_says_what_becomes_of_every_token(capsys, zoo):
    rules = {
        "<|mine|>": {"source": {"kind": "model_token", "model": "pad", "token": "<pad>"}},
        "<none>": {"source": {"kind": "zero"}},
    }
    rules |= {"<|im_start|>": {"source": {"kind": "mean"}}, "<|im_end|>": {"source": "pad", "force": True}}
    models = [{"model": name, "parameters": {"weight": 1.0}} for name in ("chatml", "pad", "other")]
    asked = {"merge_method": "linear", "models": models, "tokenizer": {"source": "base", "tokens": rules}}
    (zoo / "asked.yml").write_text(json.dumps(asked))
    assert main(["merge", str(zoo / "asked.yml"), str(zoo / "out"), "--check"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {one["token"]: one for one in told["tokens"]["rows"]}
    a, b, c = (str(zoo / name) for name in ("chatml", "pad", "other"))
    assert rows["<|im_end|>"]["models"] == {a: 31, b: 31, c: None} and rows["<|im_end|>"]["row"].endswith(
        "in all models"
    )
    assert rows["<|im_start|>"]["row"] == f"that of {a}" and rows["<|mine|>"]["row"] == f"row 30 of {b}"
    assert rows["<none>"]["row"] == "zeros" and rows["<none>"]["number"] == 33
    assert rows["ab"] == {"token": "ab", "number": None, "models": {a: None, b: None, c: 30}, "row": "left out"}
    assert rows["e"]["row"] == "each model's own" and told["tokens"]["count"] == len(told["tokens"]["rows"])
    assert any("2 tokens ('<pad>', 'ab') are left out" in said for said in told["warnings"])


def test_tokens_past_the_embeddings_are_left_out(zoo):
    """A tokenizer that names more tokens than its model has rows, as padded vocabularies do."""
    speaker(zoo / "short", 5)
    shutil.copy(zoo / "chatml" / "tokenizer.json", zoo / "short")
    merge(merging(zoo, "short", tokenizer_source="union"), zoo / "out")
    assert len(tensors_of(zoo / "out")[EMBEDDING]) == len(PLAIN)
    merge(merging(zoo, "base", base="short", tokenizer_source="base"), zoo / "less")
    tokenizer, model = loaded(zoo / "less")
    assert len(tokenizer) == len(model.get_input_embeddings().weight) == len(PLAIN)


@pytest.mark.parametrize("number", [5, 99])
def test_numbers_that_are_taken_or_leave_a_gap_are_read_as_loaders_read_them(zoo, number):
    """tokenizer.json gives an added token another's number, or one past a gap: loaders give it the next free one."""
    file = zoo / "chatml" / "tokenizer.json"
    told = json.loads(file.read_text())
    told["added_tokens"][0]["id"] = number
    file.write_text(json.dumps(told))
    config = merging(zoo, "chatml", tokenizer_source="union")
    assert any("numbers that are taken or leave a gap" in said for said in preflight(config, zoo / "out").warnings)
    merge(config, zoo / "out")
    tokenizer, model = loaded(zoo / "out")
    (ids,) = tokenizer("<|im_start|>").input_ids
    torch.testing.assert_close(model.lm_head.weight[ids].detach(), tensors_of(zoo / "chatml")[HEAD][len(PLAIN)])


BAD = [
    ({"tokenizer": {"source": "nowhere"}}, "no tokenizer.json"),
    ({"tokenizer_source": "base", "tokenizer": {}}, "not both"),
    ({"tokenizer": {"tokens": {"<x>": {"source": "pad"}}}}, "it is not merged there"),
    ({"tokenizer": {"tokens": {"<|im_start|>": {"source": "base"}}}}, "does not know that token"),
    ({"tokenizer": {"tokens": {"<x>": {"source": {"kind": "mode"}}}}}, "one of model_token, zero, mean"),
    (
        {"tokenizer": {"tokens": {"<x>": {"source": {"kind": "model_token", "model": "base"}}}}},
        "either token or token_id",
    ),
    (
        {"tokenizer": {"tokens": {"<x>": {"source": {"kind": "model_token", "model": "base", "token_id": 999}}}}},
        "a row 999",
    ),
    ({"tokenizer": {"tokens": {"<x>": {"force": True}}}}, "force needs a source"),
    ({"tokenizer": {"pad_to_multiple_of": 0}}, "pad_to_multiple_of"),
    ({"tokenizer": {"sorce": "base"}}, "Is it 'source'?"),
    ({"chat_template": "vicunna"}, "one of chatml"),
    ({"chat_template": "{% for message in messages %}{{ message['content'] }}"}, "line 1"),
]


@pytest.mark.parametrize(("settings", "said"), BAD)
def test_rules_that_cannot_be_kept_are_refused(zoo, settings, said):
    try:
        refusals = preflight(merging(zoo, "chatml", **settings), zoo / "out").refusals
    except Problem as problem:
        refusals = [str(problem)]
    assert len(refusals) == 1 and said in refusals[0]


def test_templates_that_differ_and_known_ones(zoo):
    jinja = {"base": "{{ 'one' }}" * 3, "a": "{{ 'two' }}" * 3, "b": "{{ 'two' }}" * 3}
    for name, text in jinja.items():
        (zoo / name / "chat_template.jinja").write_text(text)
    config = merging(zoo, "a", "b", chat_template="auto")
    assert any("2 different chat templates" in said for said in preflight(config, zoo / "out").warnings)
    merge(config, zoo / "out")
    turns = [{"role": role, "content": f"{role} says"} for role in ("system", "user", "assistant", "user")]
    assert loaded(zoo / "out")[0].apply_chat_template(turns, tokenize=False) == "twotwotwo"
    shown = {}
    for name in KNOWN:
        merge(merging(zoo, "a", chat_template=name), zoo / f"as {name}")
        tokenizer = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(zoo / f"as {name}")
        shown[name] = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert shown["chatml"].startswith("<|im_start|>system\nsystem says<|im_end|>\n<|im_start|>user\n")
    assert shown["llama3"].endswith("user says<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")
    assert shown["mistral"] == "<s> [INST] system says\n\nuser says [/INST] assistant says</s> [INST] user says [/INST]"
    assert shown["alpaca"].startswith("system says\n\n### Instruction:\nuser says\n\n### Response:\nassistant says\n\n")
    assert shown["exaone"].endswith("[|assistant|]assistant says[|endofturn|]\n[|user|]user says\n[|assistant|]")
