"""Conversations and instructions: read in every layout, written by a template; only what the model says counts."""

import json
import math
import resource

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from engine import corpus as corpora
from engine.core.errors import Problem
from engine.corpus import CorpusSpec, readers, templates
from engine.corpus.document import Tally, in_bytes
from engine.corpus.fields import Fields, turns_of
from engine.corpus.layouts import SourceFile
from engine.corpus.templates import TEMPLATES, Refused, check_template, writer
from engine.proxies.evaluate import evaluate
from engine.proxies.model import Stack
from engine.spec.fidelity import Fidelity

ASKED, SAID = "Wie heißt du? 漢", "Ich heiße Ü."
TURNS = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}]
LAYOUTS = {
    "messages": {"messages": TURNS},
    "conversations": {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}]},
    "instruction": {"instruction": "Wie heißt du?", "input": "漢", "output": SAID},
    "prompt": {"prompt": ASKED, "completion": SAID},
    "prompt of messages": {"prompt": TURNS[:1], "completion": TURNS[1:]},
    "parts": {"messages": [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in TURNS]},
}
# As tokenizers have it: no mark of what the model says.
UNMARKED = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def read(path, fields=None):
    tally = Tally()
    found = list(readers.documents("d", [SourceFile(path, path.name)], fields or Fields(), tally))
    return found, tally


def predicted(document):
    """The bytes of a document that count."""
    kept = np.ones(len(document.data), bool)
    for start, end in document.context:
        kept[start:end] = False
    return np.frombuffer(document.data, np.uint8)[kept].tobytes().decode()


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_records_of_several_shapes_in_one_file_are_each_read_by_their_own(tmp_path, suffix):
    """As they are, and as a table or a library makes them: every record with the fields of all, empty where not its
    own. What is of no shape costs itself, and is named."""
    records = [LAYOUTS[layout] for layout in ("messages", "instruction", "conversations")]
    odd = {"chosen": TURNS, "rejected": TURNS}
    everywhere = list(dict.fromkeys(name for one in [*records, odd] for name in one))
    filled = [{name: one.get(name) for name in everywhere} for one in [*records, odd]]
    for place, rows in enumerate([[*records, odd], filled]):
        path = tmp_path / f"mixed{place}{suffix}"
        if suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows, schema=pa.Table.from_pylist(filled).schema), path)
        else:
            lines = [json.dumps(one) for one in rows]
            path.write_text(f"[{','.join(lines)}]" if suffix == ".json" else "\n".join(lines))
        found, tally = read(path)
        assert [predicted(one) for one in found] == [f"{SAID}<|im_end|>\n"] * 3, tally.skipped
        assert [one["lines"] for one in tally.skipped] == [1]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".csv"])
def test_rows_without_a_text_may_hold_a_conversation(tmp_path, suffix):
    rows = [{"text": "plain", "prompt": "", "completion": ""}, {"text": "", "prompt": ASKED, "completion": SAID}]
    rows.append({"text": "", "prompt": ASKED, "completion": ""})
    path = tmp_path / f"both{suffix}"
    if suffix == ".parquet":
        nulls = [{name: value or None for name, value in row.items()} for row in rows]
        pq.write_table(pa.Table.from_pylist(nulls), path)
    elif suffix == ".csv":
        path.write_text("\n".join(["text,prompt,completion", *(",".join(row.values()) for row in rows)]) + "\n")
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    found, tally = read(path)
    assert sorted(predicted(one) for one in found) == sorted([f"{SAID}<|im_end|>\n", "plain"])
    assert [one["lines"] for one in tally.skipped] == [1]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_of_two_answers_to_prefer_between_the_one_that_is_named_is_read(tmp_path, suffix):
    path, record = tmp_path / f"pairs{suffix}", {"chosen": TURNS, "rejected": TURNS[:1]}
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([record, record]), path)
    else:
        path.write_text("\n".join([json.dumps(record)] * 2))
    found, tally = read(path, Fields("chosen"))
    assert [predicted(one) for one in found] == [f"{SAID}<|im_end|>\n"] * 2 and not tally.skipped


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".arrow"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_a_conversation_counts_what_the_model_says(tmp_path, layout, suffix):
    record, path = LAYOUTS[layout], tmp_path / f"chat{suffix}"
    if suffix in (".parquet", ".arrow"):
        table = pa.Table.from_pylist([record, record])
        pq.write_table(table, path) if suffix == ".parquet" else write_arrow(table, path)
    else:
        lines = [json.dumps(record)] * 2
        path.write_text(f"[{','.join(lines)}]" if suffix == ".json" else "\n".join(lines))
    found, tally = read(path)
    assert [predicted(one) for one in found] == [f"{SAID}<|im_end|>\n"] * 2
    assert tally.conversations == 2 and tally.skipped == []
    assert "Wie heißt du?" in found[0].data.decode() and "漢" in found[0].data.decode()


def write_arrow(table, path):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def test_rows_of_a_table_of_instructions(tmp_path):
    path = tmp_path / "sets.csv"
    path.write_text("id,instruction,output\n1,Add 2 and 2.,4\n2,,\n")
    found, tally = read(path, Fields(template="alpaca"))
    assert [one.data.decode() for one in found] == ["### Instruction:\nAdd 2 and 2.\n\n### Response:\n4\n\n"]
    assert [predicted(one) for one in found] == ["4\n\n"]
    assert "nobody answers" in tally.skipped[0]["reason"]


def test_a_text_goes_before_a_conversation():
    written, fault = Fields().written({"text": "all of it", "messages": TURNS})
    assert (written.text, written.context, fault) == ("all of it", (), "")


@pytest.mark.parametrize("template", [*TEMPLATES, UNMARKED])
def test_templates_mark_every_answer_and_nothing_else(template):
    turns = [*TURNS, {"role": "user", "content": "und?"}, {"role": "assistant", "content": "nichts"}]
    written = writer(template)(turns)
    said, done = [], 0
    for start, end in written.context:
        said.append(written.text[done:start])
        done = end
    said = [one for one in [*said, written.text[done:]] if one.strip()]
    assert [SAID in said[0], "nichts" in said[1], len(said)] == [True, True, 2]
    assert not any(ASKED in one or "und?" in one for one in said)
    assert [(a, b) for a, b in in_bytes(written)] == [
        (len(written.text[:a].encode()), len(written.text[:b].encode())) for a, b in written.context
    ]


SAYS = "{% generation %}{{ messages[1].content }}{% endgeneration %}"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "more than 2 seconds"),
        ("{% for m in messages %}{% for n in messages %}{{ 'a' * 10**10 }}{% endfor %}{% endfor %}", "GB"),
        ("{{ messages[0].role.__class__.__mro__ }}", "unsafe"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages | length }} turns", "otherwise once more follows"),
        ("the same {{ '' }}", "nothing that the model says"),
        (
            "{% generation %}{% generation %}{{ messages[1].content }}{% endgeneration %}{% endgeneration %}",
            "inside another",
        ),
    ],
)
@pytest.mark.slow
def test_a_template_that_cannot_write_says_why(template, why, monkeypatch):
    monkeypatch.setattr(templates, "SECONDS", 2)
    writes = writer(template)
    with pytest.raises(Refused, match=why):
        writes(TURNS)


@pytest.mark.slow
def test_a_template_that_loops_costs_three_conversations_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(templates, "SECONDS", 0.3)
    path = tmp_path / "chat.jsonl"
    path.write_text((json.dumps({"messages": TURNS}) + "\n") * 50)
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(Problem, match=r"3 of its lines: the template takes more than 0\.3 seconds"):
        read(path, Fields(template=loops))


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}", "writes more than 1,000,"),
        ("{% for a in range(9) %}{{ 'x' * 900000 }}{% endfor %}{{ messages[1].content }}", "writes more than 1,000,"),
        ("{% generation %}{{ 'x' * 10**10 }}{% endgeneration %}", "GB"),
    ],
)
def test_a_template_that_writes_without_end_is_given_up_after_three(template, why):
    writes = writer(template)
    for reason in (*[why] * 3, "too much time, text or memory for 3 others: it is not asked again"):
        with pytest.raises(Refused, match=reason):
            writes(TURNS)


def test_a_few_conversations_that_a_template_cannot_end_cost_no_others(monkeypatch):
    """One more for each `PER` that it has written."""
    monkeypatch.setattr(templates, "PER", 2)
    writes = writer(
        "{{ messages[0].content }} {% if messages[0].content == 'odd' %}{{ 'x' * 10**10 }}{% endif %}" + SAYS
    )
    odd, said = [{**TURNS[0], "content": "odd"}, TURNS[1]], []
    for turns in (odd, odd, TURNS, TURNS, odd, TURNS, *[odd] * 3):
        try:
            said.append(writes(turns).text[:3])
        except Refused as refused:
            said.append("not asked" if "not asked again" in str(refused) else "GB" if "GB" in str(refused) else "?")
    plain = TURNS[0]["content"][:3]
    assert said == ["GB", "GB", plain, plain, "GB", plain, "GB", "not asked", "not asked"]


@pytest.mark.parametrize(
    "template",
    ["chatmll", "{% for m in messages %}", "{{ 1 +", "x" * 200_000, "{{ " + "1" * 5000 + " }}", "{{ " + "(" * 3000],
)
def test_a_template_that_cannot_be_read_is_refused_before_anything_is_built(template):
    with pytest.raises(Problem, match="template"):
        CorpusSpec(source={"type": "folder", "path": "/nowhere", "template": template})


@pytest.mark.slow
def test_what_is_constant_in_a_template_takes_nothing_of_who_reads_it(monkeypatch):
    """It is worked out while the template is read: 10 GB of text, or a number of 400 million digits."""
    monkeypatch.setattr(templates, "SECONDS", 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for constant in ("'x' * 10**10", "'x' | center(10000000000)"):
        check_template("{{ " + constant + " }}" + SAYS)
    with pytest.raises(Problem, match="Cannot read the template: reading it takes more than 2 seconds"):
        check_template("{{ 9 ** (9 ** 9) }}" + SAYS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 19, "KiB"


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"messages": []}, "holds no messages"),
        ({"messages": None}, "holds no messages"),
        ({"messages": [{"role": "alien", "content": "x"}]}, "by 'alien'"),
        ({"messages": ["x"]}, "is str, not an object"),
        ({"messages": TURNS[:1]}, "nobody answers"),
        ({"messages": [TURNS[0], {"role": "assistant", "content": None, "tool_calls": [1]}]}, "calls tools"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "url": "x"}]}, TURNS[1]]}, "'image'"),
        ({"messages": [TURNS[0], {"role": "assistant", "content": 3}]}, "no text but int"),
        ({"messages": [TURNS[0], {"role": "assistant", "content": "a\0<b"}]}, "zero bytes"),
        ({"instruction": "x", "output": "y", "history": "z"}, "not a list of pairs"),
        ({"chosen": TURNS, "rejected": TURNS}, "nothing says which is to be learned"),
        ({"prompt": "x", "chosen": "y", "rejected": "z"}, "nothing says which is to be learned"),
    ],
)
def test_a_record_without_a_conversation_says_why(record, why):
    written, fault = Fields().written(record)
    assert written.text == "" and why in fault


def test_history_and_system_stand_before_what_was_asked():
    record = {"system": "Be brief.", "instruction": "and 3?", "output": "9", "history": [["2 squared?", "4"]]}
    assert [turn["content"] for turn in turns_of(record)] == ["Be brief.", "2 squared?", "4", "and 3?", "9"]


@pytest.fixture(scope="module")
def chats(tmp_path_factory):
    """A folder of a domain of conversations and one of text."""
    root, rng = tmp_path_factory.mktemp("chats"), np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 5)) for _ in range(300)]
    said = [" ".join(rng.choice(words, 40)) for _ in range(1200)]
    (root / "chat.jsonl").write_text(
        "".join(json.dumps({"instruction": one[:90], "output": one[90:]}) + "\n" for one in said[:600])
    )
    (root / "prose.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in said[600:]))
    return root


@pytest.mark.parametrize("tokenizer", ["bytes", {"type": "bpe", "vocabulary": 300}, {"type": "rule", "rule": "smiles"}])
def test_a_corpus_counts_answers_only_and_says_so(chats, tmp_path, tokenizer):
    spec = CorpusSpec(source={"type": "folder", "path": str(chats), "template": "plain"}, tokenizer=tokenizer)
    manifest = corpora.build(spec, tmp_path / "c", processes=1)
    corpus = corpora.load(tmp_path / "c")
    facts, shard = manifest["domains"]["chat"], np.asarray(corpus.valid("chat"))
    assert facts["conversations"] == 600 and "answers" not in manifest["domains"]["prose"]
    assert facts["answers"]["valid"] == corpus.token_bytes[shard].sum()
    assert 0.4 < facts["answers"]["train"] / facts["train_bytes"] < 0.8
    parts = corpus.parts(shard)
    kept = "".join(text for text, counts in parts if counts)
    asked = [text for text, counts in parts if not counts]
    assert len(kept.encode()) == facts["answers"]["valid"] and corpus.decode(shard) == "".join(
        text for text, _ in parts
    )
    if tokenizer == "bytes":
        assert {len(text) for text in asked} == {91}  # what was asked, and the end of its line
    assert int(np.asarray(corpus.train("prose")).max()) < corpus.vocabulary


def test_a_loss_is_that_of_answers(chats, tmp_path):
    """A model that knows nothing: log2(V) bits a byte of answers, and a gradient that what was asked has no part in."""
    corpora.build(CorpusSpec(source={"type": "folder", "path": str(chats)}), tmp_path / "c", processes=1)
    corpus = corpora.load(tmp_path / "c")
    fidelity = Fidelity(context=64, batch=4, tokens=4096, eval_tokens=4096)
    stack = Stack(fidelity, corpus.vocabulary, [0, 1])
    with torch.no_grad():
        stack.flat.zero_()
    losses, _ = evaluate(stack, corpus, ["chat", "prose"], 4096)
    np.testing.assert_allclose(losses, 8.0, rtol=1e-5)
    stack = Stack(fidelity, corpus.vocabulary, [0])
    shard = np.array(corpus.train("chat"), np.int64)
    start = int(np.argmax(shard < corpus.vocabulary)) - 30  # it ends in an answer
    own = shard[start : start + 65]
    counted = own[1:] < corpus.vocabulary
    tokens = torch.from_numpy(own)[None, None]
    nats = stack.token_nll(tokens)[0, 0].numpy()
    plain = stack.token_nll(tokens % corpus.vocabulary)[0, 0].numpy()
    assert 0 < counted.sum() < 64 and (nats[~counted] == 0).all()
    np.testing.assert_allclose(nats[counted], plain[counted])
    assert stack.losses(tokens).item() == pytest.approx(plain[counted].mean(), rel=1e-4)
    all_asked = tokens % corpus.vocabulary + corpus.vocabulary
    losses = stack.losses(all_asked)
    stack.backward(losses)
    assert losses.item() == 0 and not stack.flat.grad.any() and math.isfinite(losses.item())


def test_a_conversation_that_is_too_long_is_named_and_not_cut(tmp_path):
    path = tmp_path / "chat.jsonl"
    long = {"messages": [TURNS[0], {"role": "assistant", "content": "x" * 1_000_001}]}
    path.write_text(json.dumps(long) + "\n" + json.dumps({"messages": TURNS}) + "\n")
    found, tally = read(path)
    assert (
        len(found) == 1 and "a conversation of more than 1,000,000 bytes (first: line 1)" in tally.skipped[0]["reason"]
    )
