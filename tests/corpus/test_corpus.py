"""A corpus of own data: built, stopped and resumed, loaded, its tokens counted."""

import json
import math

import numpy as np
import pytest

from engine import corpus
from engine.core.errors import Problem, Stopped
from engine.corpus import CorpusSpec, build
from engine.corpus.build import run
from engine.jobs.spool import Job
from tests.support.working import read_events


@pytest.fixture
def own_data(tmp_path):
    """A folder of two domains, `plain` and `records`, of 120 kB each, with words of their own."""
    write_domains(tmp_path / "data", {"plain": "stone river", "records": "alpha omega"})
    return tmp_path / "data"


def write_domains(root, domains, documents=60, length=2000):
    """A .jsonl per domain; every document is made of that domain's words and numbers, all different."""
    root.mkdir(parents=True)
    for seed, (name, words) in enumerate(domains.items()):
        rng = np.random.default_rng(seed)
        with open(root / f"{name}.jsonl", "w") as file:
            size = (documents, length // 12)
            for some, numbers in zip(rng.choice(words.split(), size), rng.integers(10**6, size=size), strict=True):
                text = "".join(f"{word} {number} " for word, number in zip(some, numbers, strict=True))
                file.write(json.dumps({"text": text}) + "\n")


def texts_of(path):
    return {json.loads(line)["text"] for line in path.read_text().splitlines()}


def folder_spec(root, **rest):
    return CorpusSpec(source={"type": "folder", "path": str(root)}, **rest)


def test_train_and_validation_documents_are_disjoint(own_data, tmp_path):
    build(folder_spec(own_data), tmp_path / "c", processes=1)
    built = corpus.load(tmp_path / "c")
    for domain in built.domains:
        train, valid = (set(built.decode(side(domain)).split("\n")) - {""} for side in (built.train, built.valid))
        texts = texts_of(own_data / f"{domain}.jsonl")
        assert train | valid == texts and not train & valid
        assert len(valid) == built.manifest["domains"][domain]["valid_documents"]


def test_cap_and_available_bytes(own_data, tmp_path):
    manifest = build(folder_spec(own_data, cap_mb=0.08), tmp_path / "c", processes=1)
    whole = sum(map(len, texts_of(own_data / "plain.jsonl")))
    facts = manifest["domains"]["plain"]
    assert facts["train_bytes"] + facts["valid_bytes"] - facts["documents"] <= 80_000
    assert facts["available_bytes"] == pytest.approx(whole, rel=0.6)  # the reader is a buffer ahead of the cap


def test_job_builds_and_says_so(own_data, tmp_path):
    job = make_job(tmp_path, own_data)
    run(job)
    *_, built = [event for event in read_events(job.folder) if event["kind"] == "corpus.built"]
    loaded = corpus.load(tmp_path / "workspace" / "corpora" / "mine")
    assert built["corpus"] == "mine" and built["manifest"] == loaded.manifest
    assert not (job.folder / "parts").exists()
    run(job)  # the corpus is there: nothing to do, and it is said again
    assert [event["kind"] for event in read_events(job.folder)].count("corpus.built") == 2


def make_job(tmp_path, root):
    folder = tmp_path / "workspace" / "jobs" / "active" / "j"
    folder.mkdir(parents=True, exist_ok=True)
    source = {"type": "folder", "path": str(root)}
    spec = {"kind": "corpus", "corpus": "mine", "source": source, "priority": 1}
    return Job(folder, tmp_path / "workspace", spec)


@pytest.mark.parametrize("processes", [1, 2])
def test_stopped_build_resumes_without_reading_again(own_data, tmp_path, processes):
    """Stop when the second domain is reached; then the first one's file may even be gone."""
    scratch, spec = tmp_path / "scratch", folder_spec(own_data)

    def stop_when_dropping(done, total, note):
        if note.startswith("dropping"):
            raise Stopped

    with pytest.raises(Stopped):
        build(spec, tmp_path / "c", stop_when_dropping, scratch, processes)
    assert not (tmp_path / "c").exists()
    before = {path: path.stat().st_mtime_ns for path in scratch.rglob("part.json")}
    assert len(before) == 2
    build(spec, tmp_path / "c", scratch=scratch, processes=processes)
    assert before == {path: path.stat().st_mtime_ns for path in scratch.rglob("part.json")}
    assert corpus.load(tmp_path / "c").domains == ["plain", "records"]


def test_stop_while_reading_leaves_finished_domains(own_data, tmp_path):
    def stop_at_second(done, total, note):
        if note.startswith("reading records"):
            raise Stopped

    with pytest.raises(Stopped):
        build(folder_spec(own_data), tmp_path / "c", stop_at_second, tmp_path / "scratch", 1)
    finished = [path.parent.name for path in (tmp_path / "scratch").rglob("part.json")]
    assert finished == ["plain"] and not (tmp_path / "c").exists()
    whole = build(folder_spec(own_data), tmp_path / "unbroken", processes=1)
    resumed = build(folder_spec(own_data), tmp_path / "c", scratch=tmp_path / "scratch", processes=1)
    assert [facts["sha256"] for facts in whole["domains"].values()] == [
        facts["sha256"] for facts in resumed["domains"].values()
    ]


def test_stop_with_reader_processes_is_prompt_and_leaves_no_corpus(tmp_path):
    def stop(done, total, note):
        raise Stopped

    with pytest.raises(Stopped):
        build(CorpusSpec(cap_mb=50), tmp_path / "c", stop)
    assert not (tmp_path / "c").exists()


def test_problem_in_a_reader_process_is_told(own_data, tmp_path):
    (own_data / "third.jsonl").write_text('{"content": "x"}\n')
    with pytest.raises(Problem, match=r"third\.jsonl: 1 of its lines: no text in 'text'; its fields: 'content'"):
        build(folder_spec(own_data), tmp_path / "c", processes=2)


def test_other_settings_under_the_same_name_are_refused(own_data, tmp_path):
    build(folder_spec(own_data), tmp_path / "c", processes=1)
    with pytest.raises(Problem, match="Choose another name"):
        build(folder_spec(own_data, cap_mb=3), tmp_path / "c")


def test_planted_duplicates_are_dropped_and_counted(own_data, tmp_path):
    lines = (own_data / "plain.jsonl").read_text().splitlines()
    words = json.loads(lines[0])["text"].split()
    words[50] = "changed"
    same_but_blanks = json.dumps({"text": "  " + json.loads(lines[1])["text"].replace(" ", "\n")})
    with open(own_data / "records.jsonl", "a") as file:
        file.write(f"{json.dumps({'text': ' '.join(words)})}\n{lines[2]}\n{same_but_blanks}\n")
    domains = build(folder_spec(own_data), tmp_path / "c", processes=1)["domains"]
    assert domains["plain"]["duplicates"] == {"exact": 0, "near": 0, "blocks": 0}
    assert domains["records"]["duplicates"] == {"exact": 2, "near": 1, "blocks": 0}
    assert domains["records"]["documents"] == 60


def test_bpe_counts_bytes_and_round_trips(own_data, tmp_path):
    spec = folder_spec(own_data, tokenizer={"type": "bpe", "vocabulary": 400})
    build(spec, tmp_path / "bpe", processes=1)
    build(folder_spec(own_data), tmp_path / "bytes", processes=1)
    bpe, plain = corpus.load(tmp_path / "bpe"), corpus.load(tmp_path / "bytes")
    assert bpe.vocabulary == 400 and bpe.train("plain").dtype == np.uint16
    assert plain.vocabulary == 256 and plain.train("plain").dtype == np.uint8
    for domain in plain.domains:
        tokens = bpe.valid(domain)
        assert bpe.token_bytes[tokens].sum() == len(plain.valid(domain))  # the same text, the same bytes
        assert len(tokens) < 0.7 * len(plain.valid(domain))
        assert bpe.decode(tokens).strip() == plain.decode(plain.valid(domain)).strip()


def test_uniform_model_has_comparable_bits_per_byte(own_data, tmp_path):
    """A uniform model costs log2 V bits a token; per byte that must be tokens / bytes times as much."""
    build(folder_spec(own_data, tokenizer={"type": "bpe", "vocabulary": 512}), tmp_path / "c", processes=1)
    built = corpus.load(tmp_path / "c")
    target = built.valid("plain")
    bits = len(target) * math.log(512) / math.log(2) / built.token_bytes[target].sum()
    facts = built.manifest["domains"]["plain"]
    assert bits == pytest.approx(9 * facts["valid_tokens"] / facts["valid_bytes"])


def test_given_tokenizer_is_used_and_special_text_stays_text(own_data, tmp_path):
    build(folder_spec(own_data, tokenizer={"type": "bpe", "vocabulary": 300}), tmp_path / "first", processes=1)
    path = str(tmp_path / "first" / "tokenizer.json")
    with open(own_data / "plain.jsonl", "a") as file:
        file.write(json.dumps({"text": "it says <|endoftext|> and é 漢 here"}) + "\n")
    spec = folder_spec(own_data, tokenizer={"type": "file", "path": path})
    build(spec, tmp_path / "second", processes=1)
    second = corpus.load(tmp_path / "second")
    assert second.vocabulary == 300
    for text in ("it says <|endoftext|> and é 漢 here", "a\tb\n\n  c"):
        ids = second.tokenizer.encode([text.encode()])
        assert second.token_bytes[ids].sum() == len(text.encode()) + 1
        assert second.decode(ids) == text + "\n"


def test_given_tokenizer_that_is_not_of_bytes_is_refused(own_data, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    model = Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    model.save(str(tmp_path / "words.json"))
    (tmp_path / "broken.json").write_text("{")
    for name, why in (
        ("words.json", "not bytes"),
        ("broken.json", "Cannot use"),
        ("none.json", "Cannot read"),
    ):
        tokenizer = {"type": "file", "path": str(tmp_path / name)}
        with pytest.raises(Problem, match=why):
            build(folder_spec(own_data, tokenizer=tokenizer), tmp_path / "c", processes=1)
        assert not (tmp_path / "c").exists()


def test_load_refuses_damage(own_data, tmp_path):
    out = tmp_path / "c"
    with pytest.raises(Problem, match="Build it first"):
        corpus.load(out)
    build(folder_spec(own_data), out, processes=1)
    shard = out / "plain" / "train.bin"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(Problem, match=r"plain/train\.bin has .* bytes"):
        corpus.load(out)
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
    with pytest.raises(Problem, match="format is 99"):
        corpus.load(out)
    (out / "manifest.json").write_text("{")
    with pytest.raises(Problem, match="damaged"):
        corpus.load(out)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"cap": 3}, "'cap'"),
        ({"cap_mb": 0}, "positive"),
        ({"cap_mb": float("nan")}, "positive"),
        ({"cap_mb": "8"}, "positive"),
        ({"source": {"type": "web"}}, "'web'"),
        ({"source": {"type": "folder"}}, "lacks 'path'"),
        ({"source": {"type": "default", "path": "x"}}, "unknown 'path'"),
        ({"tokenizer": "words"}, "'words'"),
        ({"tokenizer": {"type": "bpe"}}, "lacks 'vocabulary'"),
    ],
)
def test_spec_refuses_what_it_does_not_know(values, why):
    with pytest.raises(Problem, match=why):
        CorpusSpec.from_dict(values)


def test_spec_round_trip_and_fingerprint():
    spec = CorpusSpec(tokenizer={"type": "bpe", "vocabulary": 1000}, cap_mb=2)
    assert CorpusSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec.fingerprint != CorpusSpec(cap_mb=2).fingerprint


def test_bad_vocabulary(own_data, tmp_path):
    for vocabulary in (200, 10**9, "many", 3.5):
        with pytest.raises(Problem, match="vocabulary of"):
            spec = folder_spec(own_data, tokenizer={"type": "bpe", "vocabulary": vocabulary})
            build(spec, tmp_path / "c", processes=1)
