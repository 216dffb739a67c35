"""Studies with other domains as one table: which runs compare, what a source is worth by them, what is said instead.

Real corpora of made text; the runs' losses follow a law of their contents, so no proxy is trained.
"""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.people import Person, as_person
from engine.core.workspace import Workspace
from engine.corpus import contents as counted
from engine.corpus.build import run as build
from engine.corpus.shelf import load
from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.jobs.ledger import SourcePriced
from engine.jobs.runs import CarriedRun
from engine.jobs.spool import Job
from engine.spec.fidelity import PRESETS
from engine.spec.frame import frame_of
from engine.spec.objectives import BITS, Objective
from engine.spec.study import StudySpec
from engine.studies import imports
from engine.studies.advance import text_of
from engine.studies.contents import table_of
from engine.studies.corpora import build_corpus
from engine.studies.price_ledger import aggregate_of_price
from store import corpora, ledger, runs, studies
from store.database import Store
from store.from_journals import rebuild
from tests.importing.flat import write

LETTERS = {"a": "abcdefgh", "b": "klmnopqr", "d": "0123456789", "z": "ABCDEFGHIJKLMNOP"}
CORPORA = {  # domain -> the topics of its text; its seed
    "alpha": {"letters": ("ab", 1), "digits": ("d", 2)},
    "beta": {"mixed": ("aad", 3), "words": ("ab", 4), "numbers": ("bd", 5)},
    "gamma": {"same": ("d", 2), "likely": ("bbd", 6), "strange": ("z", 7)},
    "delta": {"letters": ("ab", 1), "digits": ("d", 2), "likely": ("bbd", 6)},
}
RUNS, SHARE = 20, 0.2


@cache
def text(topics: str, seed: int, records: int = 60) -> str:
    """Records of made words, each of one topic: about 90 kB."""
    rng, lines = np.random.default_rng(seed), []
    for _ in range(records):
        letters = LETTERS[topics[rng.integers(len(topics))]]
        ends = rng.integers(2, 7, 300).cumsum()  # of words of two to six letters
        drawn = "".join(rng.choice(list(letters), ends[-1]))
        words = [drawn[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        lines.append(json.dumps({"text": " ".join(words)}))
    return "\n".join(lines)


def made(store: Store, name: str, folder: Path) -> None:
    """Build a corpus; all hold out the same text under the name of check."""
    for side in ("train", "valid"):
        (folder / side).mkdir(parents=True)
    for domain, (topics, seed) in CORPORA[name].items():
        (folder / "train" / f"{domain}-0.jsonl").write_text(text(topics, seed))
    (folder / "train" / "check-0.jsonl").write_text(text("abd", 98, 20))
    (folder / "valid" / "check-0.jsonl").write_text(text("abd", 99, 20))
    job = build_corpus(store, name, {"source": {"type": "folder", "path": str(folder)}}).id
    place = store.spool.find(job)
    build(Job(place, store.workspace.root, json.loads((place / "spec.json").read_text())))
    store.ingest()


def law(points: np.ndarray) -> np.ndarray:
    """(N,) losses of distributions over cells: more of the letters b, better."""
    steep, *others = (counted.count(text(topic, 50).encode()) > 0 for topic in "bad")
    steep &= ~np.logical_or(*others)
    return 3 - 0.5 * np.sqrt(points)[:, steep].sum(axis=1) / np.sqrt(steep.sum())


def run_study(
    store: Store, name: str, corpus: str, seed: int, tokens: int = 524_288, checked: bool = True, finished: bool = True
) -> None:
    """A study of a corpus whose runs are done: the check's loss follows the law, the others' nothing."""
    domains = sorted([*CORPORA[corpus], *["check"] * checked])
    manifest = corpora.manifest(store, corpus)
    spec = StudySpec.from_dict(
        {
            "name": name,
            "corpus": corpus,
            "domains": domains,
            "bounds": {"check": 0.0} if checked else {},
            "priorities": dict.fromkeys(CORPORA[corpus], 0.0) if checked else {},
            "fidelity": {**PRESETS["demo"].to_dict(), "tokens": tokens},
        }
    )
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([1e-9 if domain == "check" else 1 for domain in domains], RUNS)
    opened = load(store.workspace.corpus(corpus))
    contents = counted.contents_of(opened)[[opened.domains.index(domain) for domain in domains]]
    losses = law(counted.mixed(shares, contents)) + 1e-4 * rng.standard_normal(RUNS)
    store.write(StudyCreated(study=name, name=name, spec=spec.to_dict()))
    rows = [
        {"id": f"{name}-{n}", "number": n, "role": "design", "weights": one, "seed": 1, "job": f"{name}-train"}
        for n, one in enumerate(shares.tolist())
    ]
    job = {"job": f"{name}-train", "spec": {"kind": "train"}}
    store.write(StudyPlanned(name, domains, text_of(frame_of(spec, domains, manifest), manifest), rows, [job]))
    store.spool.submit({"kind": "train"}, f"{name}-train")
    if not finished:
        return
    with open(store.spool.find(f"{name}-train") / "events.jsonl", "ab") as journal:
        for n, loss in enumerate(losses):
            values = {domain: float(loss) if domain == "check" else float(rng.uniform(3, 4)) for domain in domains}
            facts = {"tokens": tokens, "seconds": 1.0, "cpu_seconds": 1.0, "device": "cpu", "parameters": 20_000}
            line = {"kind": "run.finished", "t": 1.0, "run": f"{name}-{n}", "losses": values, "losses_se": values}
            journal.write(json.dumps({**line, **facts, "shares": shares[n].tolist()}).encode() + b"\n")
    store.ingest()


def carry(store: Store, of: str, name: str) -> None:
    """A study that goes on with the runs of another one, as after a change of domains."""
    old, measured = studies.get(store, of), runs.measured(store, of)
    store.write(StudyCreated(study=name, name=name, spec={**old.spec, "name": name}))
    rows = [
        CarriedRun(id=f"{name}-{n}", number=n, role="carried", label=run, weights=weights, losses=losses, seed=1)
        for n, (run, weights, losses) in enumerate(
            zip(measured.ids, measured.weights.tolist(), measured.losses.tolist(), strict=True)
        )
    ]
    store.write(StudyPlanned(name, old.domains, old.corpus, [], [], carried=rows))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contents")
    opened = Store(Workspace.open(folder / "workspace"))
    for name in CORPORA:
        made(opened, name, folder / name)
    run_study(opened, "one", "alpha", seed=1)
    run_study(opened, "two", "beta", seed=2)
    run_study(opened, "long", "beta", seed=3, tokens=1_048_576)
    run_study(opened, "apart", "gamma", seed=4, checked=False)
    carry(opened, "two", "heir")
    run_study(opened, "idle", "alpha", seed=5, finished=False)
    (opened.workspace.root / "imports").mkdir()
    shares = np.random.default_rng(0).dirichlet(np.ones(2), 9).round(6)
    columns = {"w/web": shares[:, 0], "w/code": 1 - shares[:, 0], "web_loss": 3 + shares[:, 0]}
    write(opened.workspace.root / "imports" / "runs.csv", columns)
    imports.import_runs(opened, "far", "flat", "runs.csv")
    yield opened
    opened.close()


def value(store: Store, domain: str, corpus: str = "gamma", name: str = "one", **more) -> dict:
    return COMMANDS["value_source"](store, name, corpus, domain, **{"share": SHARE, **more})


@pytest.mark.slow
def test_contents_lie_beside_the_shards_and_are_counted_anew_where_they_do_not(store, tmp_path):
    corpus = load(store.workspace.corpus("alpha"))
    kept, file = counted.contents_of(corpus), corpus.folder / counted.FILE
    assert kept.shape == (3, counted.CELLS) and file.stat().st_size < 30_000
    assert kept.sum(axis=1) == pytest.approx(1)  # a byte a token
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], (store.workspace.corpus("gamma") / counted.FILE).read_bytes()):
        file.write_bytes(damaged)
        assert counted.contents_of(corpus) == pytest.approx(kept)
    file.write_bytes(whole)


def test_runs_of_studies_that_compare_are_one_table_and_the_others_say_why(store):
    told = {one["study"]: one for one in value(store, "likely")["studies"]}
    assert told["one"]["runs"] == told["two"]["runs"] == RUNS and told["two"]["metrics"] == ["check"]
    assert told["one"]["rank"] > 0.8 and told["two"]["rank"] is not None
    assert told["long"]["why"] == "its proxies are others: tokens 1048576 instead of 524288"
    assert told["apart"]["why"] == "it measured nothing on the same validation text"
    assert told["heir"]["why"] == "its runs are carried over, and count already"
    assert "trained elsewhere without text" in told[studies.get(store, "far").id]["why"]
    table = table_of(store, studies.get(store, "one"))
    assert len(table.points) == 2 * RUNS and np.isnan(table.losses[RUNS:]).sum() == 2 * RUNS
    assert table.names == ["one: digits", "one: letters", "two: mixed", "two: numbers", "two: words"]


@pytest.mark.slow
def test_a_source_that_helps_is_told_from_one_that_does_not(store):
    likely, same = value(store, "likely"), value(store, "same")
    assert likely["verdict"] == "better" and likely["low"] < likely["change"] < likely["high"] < 0
    assert same["verdict"] == "worse" and same["low"] > 0
    assert likely["change"] == pytest.approx(wanted(store, "likely"), abs=(likely["high"] - likely["low"]) / 2)
    assert same["change"] == pytest.approx(wanted(store, "same"), abs=(same["high"] - same["low"]) / 2)
    assert likely["runs"] == 2 * RUNS and likely["unit"] == "bits per byte" and likely["notes"] == []


def wanted(store: Store, domain: str) -> float:
    """The law's own change by a share of a domain of gamma at the first baseline of the first study."""
    at = np.array(list(value(store, domain)["at"].values()))
    base = counted.contents_of(load(store.workspace.corpus("alpha")))
    corpus = load(store.workspace.corpus("gamma"))
    source = counted.contents_of(corpus)[corpus.domains.index(domain)]
    points = counted.mixed(np.array([[1, 0], [1 - SHARE, SHARE]]), np.stack([at @ base, source]))
    return float(np.diff(law(points))[0])


def test_a_known_domain_under_another_name_is_priced_as_itself(store):
    one, other = value(store, "same"), value(store, "digits", "alpha")
    assert one["change"] == pytest.approx(other["change"], rel=0.03) and one["distance"] < 0.05
    assert one["like"][0]["domain"] == "one: digits" and one["like"][0]["share"] > 0.9


def test_text_unlike_all_that_was_seen_cannot_be_told(store):
    told = value(store, "strange")
    assert told["verdict"] == "cannot tell" and "Train a few runs" in told["why"]
    assert told["settled"] == told["told"] < 0.5 and told["distance"] > 0.3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"domain": "moon"}, "the corpus 'gamma' has check, likely"),
        ({"domain": "same", "corpus": "moon"}, "'moon': it is not built. Corpora here: alpha"),
        ({"domain": "same", "share": 0}, "Cannot use 0 as the share"),
        ({"domain": "same", "share": float("nan")}, "as the share of a source"),
        ({"domain": "same", "name": "far"}, "trained elsewhere without text"),
        ({"domain": "same", "name": "idle"}, "'idle': none of its runs is done"),
        ({"domain": "same", "candidate": "moon"}, "candidate 'moon'"),
        ({"domain": "same", "priorities": {"moon": 1}}, "'moon'"),
    ],
)
def test_what_cannot_be_priced_is_refused(store, given, said):
    with pytest.raises(Problem, match=said):
        value(store, **given)


def test_a_corpus_that_is_gone_leaves_its_study_out(store):
    folder = store.workspace.corpus("beta")
    gone = folder.rename(folder.with_name("gone"))
    try:
        told = {one["study"]: one for one in value(store, "likely")["studies"]}
        assert "its text is not there" in told["two"]["why"] and told["two"]["runs"] == 0
        with pytest.raises(Problem, match="its text is not there"):
            value(store, "likely", name="two")
        alone = value(store, "likely")
        assert alone["runs"] == RUNS and "was not checked" in alone["notes"][0]
    finally:
        gone.rename(folder)


# What prices were worth -------------------------------------------------------------------------------------


def priced(store: Store, **asked) -> dict:
    """The ledger's row of a price, just asked for."""
    told = value(store, **asked)
    (row,) = [one for one in COMMANDS["ledger"](store)["sources"] if one["hash"] == told["registered"]]
    return row


def test_a_price_is_written_down_once_with_its_hash_and_survives_a_rebuild(store, tmp_path):
    first = priced(store, domain="strange")
    before = len(COMMANDS["ledger"](store, "one")["sources"])
    assert priced(store, domain="strange") == first and len(COMMANDS["ledger"](store, "one")["sources"]) == before
    assert first["unchanged"] and first["share"] == SHARE and first["verdict"] == "cannot tell"
    assert first["measured"] is None and first["why_not"] == "no study of the same proxies has it among its domains"
    with as_person(Person("vera@example.org", "viewer")):
        assert value(store, "strange", share=0.3)["registered"] is None, "a viewer's question changes nothing"
    assert len(COMMANDS["ledger"](store, "one")["sources"]) == before
    rebuild(store.workspace, tmp_path / "again.duckdb")
    again = Store(store.workspace, tmp_path / "again.duckdb")
    assert COMMANDS["ledger"](again)["sources"] == COMMANDS["ledger"](store)["sources"]
    again.close()


def test_two_studies_have_the_same_price_each_of_its_own(store):
    """Where their runs have the same losses, as a copy's have, their prices have the same hash."""
    told = value(store, "strange", share=0.31)["registered"]
    (one,) = [one.price for one in ledger.source_prices(store, "one") if one.price.hash == told]
    for _ in range(2):
        store.write(SourcePriced("idle", one))
    assert [found.price for found in ledger.source_prices(store, "idle")] == [one]
    assert one in [found.price for found in ledger.source_prices(store, "one")]


def test_a_price_has_the_sign_and_unit_of_what_counted_in_it(store):
    told = value(store, "strange", share=0.32)["registered"]
    (price,) = [one.price for one in ledger.source_prices(store, "one") if one.price.hash == told]
    study = studies.get(store, "one")
    by = aggregate_of_price(study, price)
    assert (by.sign, by.unit) == (1, BITS) and len(price.weights) == len(study.metrics)
    mixed = replace(study, objectives=[Objective("score", "accuracy", True), *study.objectives[1:]])
    alone = [-1.0] + [0.0] * (len(study.metrics) - 1)
    by = aggregate_of_price(mixed, replace(price, weights=alone))
    assert (by.sign, by.unit) == (-1, "accuracy"), "whatever the study's own priorities are"


def test_a_price_is_measured_by_the_study_that_adds_the_domain(store):
    """Its change of domains trains the mixture with the source and without; both ends, and nothing else, count."""
    asked = priced(store, domain="likely", candidate="one-0")
    plan = COMMANDS["change_domains"](store, "one", "delta", new_name="More")
    study = COMMANDS["change_domains"](store, "one", "delta", new_name="More", start=True)["study"]
    rows = {row["label"]: row for row in COMMANDS["list_runs"](store, study) if row["role"] == "proposed"}
    assert plan["new_runs"] >= len(rows) >= 2
    base, moved = rows["one-0, as priced"], rows[f"one-0, {SHARE:.1%} of likely"]
    assert moved["shares"] is None and moved["weights"]["likely"] == pytest.approx(SHARE)
    assert moved["weights"]["letters"] == pytest.approx((1 - SHARE) * base["weights"]["letters"])
    (waiting,) = [one for one in COMMANDS["ledger"](store)["sources"] if one["hash"] == asked["hash"]]
    assert waiting["measured_in"] == study and "with it or without" in waiting["why_not"]
    end(store, base["id"], 3.0)
    end(store, moved["id"], 2.9)
    (found,) = [one for one in COMMANDS["ledger"](store)["sources"] if one["hash"] == asked["hash"]]
    assert found["measured"] == pytest.approx(-0.1) and found["measured_runs"] == [1, 1]
    assert found["error"] == pytest.approx(asked["change"] + 0.1)
    wide = np.sqrt(asked["std"] ** 2 + 2 * asked["noise"] ** 2)
    assert found["deviations"] == pytest.approx((-0.1 - asked["change"]) / wide)


def end(store: Store, run: str, loss: float) -> None:
    """End a queued run, with this loss of every domain."""
    ((job, study),) = store.rows("SELECT job, study FROM runs WHERE id = ?", [run])
    losses = dict.fromkeys(studies.get(store, study).domains, loss)
    facts = {"tokens": 524_288, "seconds": 1.0, "cpu_seconds": 1.0, "device": "cpu", "parameters": 20_000}
    line = {"kind": "run.finished", "t": 1.0, "run": run, "losses": losses, "losses_se": losses}
    with open(store.spool.find(job) / "events.jsonl", "ab") as journal:
        journal.write(json.dumps({**line, **facts, "shares": [0.25] * len(losses)}).encode() + b"\n")
    store.ingest()
