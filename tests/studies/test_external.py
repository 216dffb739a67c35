"""Studies of an external trainer: planned without a job, filled by results that come back by run id, refitted."""

import json
import math

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.importing.harness_samples import Sample, Sampled
from engine.spec.study import StudySpec
from engine.studies import advance, refits, task_scores
from engine.studies.harness_samples import add_samples
from store import runs, studies
from store.database import Store
from store.from_journals import rebuild
from tests.support.external import DOMAINS, SIZE, SPEC, call, fits, losses, planned, report, rows


@pytest.fixture
def ids(store):
    return planned(store)


def done(store, run: str, **more) -> dict:
    return {"run": run, "losses": losses(rows(store)[run]["weights"]), **more}


SIZE_OF = {"parameters": 64, "tokens": 3840}


# The plan -------------------------------------------------------------------------------------------------------


def test_it_is_planned_at_once_and_queues_nothing(store, ids):
    shown = call(store, "show", name="Lab")
    assert shown["roles"] == {"baseline": 2, "design": 10, "repeat": 2} and shown["counts"] == {"planned": 14}
    assert shown["jobs"] == [] and not shown["settled"] and shown["domains"] == list(DOMAINS)
    assert [one["metric"] for one in shown["metrics"]] == list(DOMAINS) and shown["budget"] == 1.7e6
    assert rows(store)[ids[0]]["label"] == "natural" and rows(store)[ids[0]]["weights"]["web"] == pytest.approx(1 / 1.7)
    assert StudySpec.from_dict(shown["spec"]).to_dict() == shown["spec"]


def test_without_counts_it_starts_from_a_prior_or_from_even_shares(store):
    planned(store, available_tokens={"web": 1e6})
    shown = call(store, "show", name="Lab")
    assert "code, books is unknown" in shown["notes"][0] and shown["budget"] is None
    assert rows(store)[f"{shown['study']}-00001"]["label"] == "uniform"
    call(store, "start", spec={**SPEC, "name": "Other", "available_tokens": {}, "prior": {"web": 0.6, "code": 0.4}})
    first = call(store, "list_runs", name="Other")[0]
    assert first["label"] == "prior" and first["weights"] == {"web": 0.6, "code": 0.4, "books": 0.0}


def test_it_may_measure_anything(store):
    measures = [{"metric": "web"}, {"metric": "hellaswag", "unit": "accuracy", "higher_is_better": True}]
    ids = planned(store, measures=measures, priorities={"hellaswag": 2})
    shown = call(store, "show", name="Lab")
    assert [(one["metric"], one["domain"], one["higher_is_better"]) for one in shown["metrics"]] == [
        ("web", "web", False),
        ("hellaswag", None, True),
    ]
    assert report(store, {"run": ids[0], "losses": {"web": 2.5, "hellaswag": 0.4}})["filled"] == [ids[0]]


@pytest.mark.parametrize(
    ("changed", "words"),
    {
        "another trainer": ({"trainer": "theirs"}, "proxies, external"),
        "no size": ({"size": {}}, "'parameters' is missing"),
        "no tokens": ({"size": {**SIZE, "tokens": 0}}, "tokens of a run"),
        "no domains": ({"domains": []}, "names its domains"),
        "a domain twice": ({"domains": ["web", "web", "code"]}, "each once"),
        "counts of another": ({"available_tokens": {"wob": 1e6}}, "'wob'"),
        "proxies": ({"fidelity": "demo"}, "Cannot use fidelity"),
        "metrics of ours": ({"metrics": ["accuracy"]}, "Cannot use metrics"),
        "a measure without a name": ({"measures": [{"unit": "nats"}]}, "'metric' is missing"),
        "a measure twice": ({"measures": [{"metric": "a"}, {"metric": "a"}]}, "different names"),
        "a measure of no domain": ({"measures": [{"metric": "a", "domain": "wob"}]}, "'wob'"),
        "a prior beside counts": ({"prior": {"web": 1.0}}, "both a prior"),
        "a prior of half": ({"prior": {"web": 0.5}, "available_tokens": {}}, "sum to 1"),
        "size without it": ({"trainer": "proxies", "corpus": "default"}, 'trainer = "external"'),
    }.values(),
)
def test_settings_that_do_not_fit(store, changed, words):
    with pytest.raises(Problem, match=words):
        call(store, "start", spec={**SPEC, **changed})


# Results --------------------------------------------------------------------------------------------------------


def test_results_fill_the_planned_runs_once(store, ids):
    told = report(store, done(store, ids[0], seconds=3.5, device="8 x H200"), done(store, ids[1]))
    assert told["filled"] == ids[:2] and told["runs"] == 14
    row = rows(store)[ids[0]]
    assert row["state"] == "done" and row["losses"]["web"] == pytest.approx(3 - row["weights"]["web"] ** 0.5)
    assert (row["parameters"], row["tokens"], row["seconds"], row["device"]) == (64, 3840, 3.5, "8 x H200")
    again = report(store, done(store, ids[0]), done(store, ids[2]))
    assert again["already_there"] == [ids[0]] and again["filled"] == [ids[2]]
    with pytest.raises(Problem, match="ended before, with other numbers"):
        report(store, done(store, ids[3]), {"run": ids[0], "losses": {"web": 1.0}})
    assert rows(store)[ids[3]]["state"] == "planned", "all or nothing"


def test_a_run_is_followed_while_it_trains(store, ids):
    first = [{"step": 1, "tokens": 64, "loss": 3.0}, {"step": 2, "tokens": 128, "loss": math.nan}]
    told = report(store, {"run": ids[0], "curve": first})
    assert told["in_training"] == [ids[0]] and "not a number at 1 point of 2" in told["notes"][0]
    look = {"tokens": 1280, "loss": 2.5, "losses": dict.fromkeys(DOMAINS, 2.0)}
    report(store, {"run": ids[0], "curve": [*first, look], "steps": 60})
    assert report(store, {"run": ids[0], "curve": [*first, look], "steps": 60})["already_there"] == [ids[0]]
    row = rows(store)[ids[0]]
    assert (row["state"], row["step"], row["losses"]) == ("running", 20, None)
    assert runs.curves(store, studies.get(store, "Lab").id).column("step").to_pylist() == [1, 2, 20]
    assert runs.evaluations(store, studies.get(store, "Lab").id) == [(ids[0], 1280, [2.0] * 3)]
    assert report(store, done(store, ids[0], curve=[{"step": 60, "tokens": 3840, "loss": 2.0}]))["filled"] == [ids[0]]
    late = report(store, {"run": ids[0], "curve": [{"step": 40, "tokens": 2560, "loss": 2.2}], "state": "running"})
    assert late["in_training"] == [] and rows(store)[ids[0]]["state"] == "done", "a curve is completed, no more"
    assert len(runs.curves(store, studies.get(store, "Lab").id)) == 5


def test_runs_that_diverged_or_failed_say_so(store, ids):
    report(store, {"run": ids[0], "losses": {"web": math.nan, "code": 2.0}})
    report(store, {"run": ids[1], "state": "failed", "message": "node 7 is gone"})
    there = rows(store)
    assert there[ids[0]]["state"] == "diverged" and "web is not a number" in there[ids[0]]["message"]
    assert (there[ids[1]]["state"], there[ids[1]]["message"]) == ("failed", "node 7 is gone")
    assert report(store, done(store, ids[1]))["filled"] == [ids[1]], "it was tried again"


def test_what_is_not_the_plan_is_refused(store, ids):
    good = {**done(store, ids[4]), "weights": rows(store)[ids[4]]["weights"], "seed": rows(store)[ids[4]]["seed"]}
    odd = {
        "no such run; there are": {**good, "run": "lab-0-00001"},
        "was planned. Was the manifest edited": {**good, "weights": {"web": 1.0}},
        "says seed 9": {**good, "seed": 9},
        "1,000 tokens, and 3,840 were planned": {**good, "tokens": 1000},
        "70 parameters": {**good, "parameters": 70},
        "measured nothing": {"run": ids[4]},
        "name 'wob'": {**good, "losses": {"wob": 1.0}},
        "point 1 of its curve": {**good, "curve": [{"loss": 2.0}]},
        "its state is": {**good, "state": "nearly"},
        "they have 'colour'": {**good, "colour": "red"},
    }
    for words, run in odd.items():
        with pytest.raises(Problem, match=words):
            report(store, run)
    with pytest.raises(Problem, match="same id"):
        report(store, good, good)
    assert report(store, {**good, "tokens": 3900})["filled"] == [ids[4]], "within 5% it is the same size"


def test_given_up_runs_and_cancelled_studies_take_nothing(store, ids):
    assert call(store, "give_up_runs", name="Lab", runs=[ids[3]])["awaited"] == 13
    with pytest.raises(Problem, match="Resume the study"):
        report(store, done(store, ids[3]))
    with pytest.raises(Problem, match="awaits no results"):
        call(store, "give_up_runs", name="Lab", runs=[ids[3]])
    call(store, "cancel", name="Lab")
    with pytest.raises(Problem, match="was cancelled"):
        report(store, done(store, ids[0]))
    call(store, "resume", name="Lab")
    assert call(store, "show", name="Lab")["counts"] == {"planned": 14}
    assert report(store, done(store, ids[3]))["filled"] == [ids[3]]


def test_another_size_is_kept_apart(store, ids):
    report(store, *(done(store, run) for run in ids[:2]))
    larger = {"weights": {"web": 1.0}, "losses": losses({"web": 1.0}), "parameters": 640, "tokens": 38400}
    own = {"id": "mine", "weights": {"code": 1.0}, "losses": losses({"code": 1.0}), **SIZE_OF}
    sent = report(store, own, *({"id": f"large-{n}", **larger} for n in range(4)))
    assert len(sent["added"]) == 5
    measured = runs.measured(store, studies.get(store, "Lab").id)
    assert len(measured.ids) == 3 and "mine" in measured.labels, "though most runs are larger"
    sizes = call(store, "show", name="Lab")["sizes"]["sizes"]
    assert [(one["tokens"], one["runs"], one["in_use"]) for one in sizes] == [(3840, 3, True), (38400, 4, False)]


# Refits ---------------------------------------------------------------------------------------------------------


def test_results_within_a_window_cause_one_fit(store, ids, monkeypatch):
    now = [1e9]
    monkeypatch.setattr(refits.time, "time", lambda: now[0])
    monkeypatch.setattr(refits, "window_ends", lambda store, study: 1e9 + 10)
    for run in ids[:13]:
        report(store, done(store, run))
    assert fits(store) == [] and not call(store, "show", name="Lab")["settled"]
    now[0] += 11
    advance.advance(store)
    assert len(fits(store)) == 1
    report(store, done(store, ids[13]))
    advance.advance(store)
    assert len(fits(store)) == 1, "and none while one is under way"


def test_the_last_result_waits_for_nothing(store, ids):
    report(store, *(done(store, run) for run in ids[:13]))
    assert fits(store) == []
    call(store, "give_up_runs", name="Lab", runs=[ids[13]])
    assert len(fits(store)) == 1


def test_a_rebuild_gives_the_same(store, workspace, ids):
    report(store, done(store, ids[0]), {"run": ids[1], "curve": [{"step": 1, "tokens": 64, "loss": None}]})
    call(store, "give_up_runs", name="Lab", runs=[ids[2]])
    before = [store.rows(f"SELECT * FROM {table} ORDER BY ALL") for table in ("runs", "curve", "studies")]
    rebuild(workspace, workspace.root / "again.duckdb")
    again = Store(workspace, workspace.root / "again.duckdb")
    assert [again.rows(f"SELECT * FROM {table} ORDER BY ALL") for table in ("runs", "curve", "studies")] == before
    again.close()


def test_old_settings_are_read_as_they_were():
    old = StudySpec.from_dict({"name": "Old"}).to_dict()
    for name in ("trainer", "size", "measures", "prior"):
        del old[name]
    assert json.dumps(StudySpec.from_dict(old).to_dict()) == json.dumps(StudySpec.from_dict({"name": "Old"}).to_dict())
    assert np.isfinite(StudySpec.from_dict(old).fidelity.tokens)


def test_samples_of_a_harness_join_its_runs(store, ids):
    report(store, *(done(store, run) for run in ids[:2]))
    asked = ("2 + 2 =", "1 + 3 =")
    samples = [[Sample(one, ["4"], said, float(said == "4")) for one in asked] for said in ("4", "5")]
    given = [Sampled([run], "2026-11-30", "sums", "acc", one) for run, one in zip(ids[:2], samples, strict=True)]
    study = studies.get(store, "Lab")
    assert add_samples(store, study, given)["tasks"] == {"sums": 2}
    assert task_scores.tasks_of(store, study) == ["sums"] and task_scores.answered(store, study, "sums") == ids[:2]
    with pytest.raises(Problem, match="called after one of its runs"):
        add_samples(store, study, [Sampled([ids[5]], "2026-11-30", "sums", "acc", samples[0])])


def line(place: int, said: str) -> dict:
    """An item as lm-evaluation-harness tells of it."""
    asked = {"doc_id": place, "target": "4", "arguments": [[f"{place} + {4 - place} =", {}]], "filtered_resps": [said]}
    return {**asked, "metrics": ["acc"], "acc": float(said == "4")}


def test_a_run_may_bring_its_samples_along(store, ids):
    """Of planned runs and of one of the caller's own, in both spellings; the same again changes nothing."""
    lines = [line(1, "4"), line(0, "5")]
    plain = [
        {"prompt": f"{place} + {4 - place} =", "right": "4", "answer": said, "score": score}
        for place, said, score in ((0, "4", 1), (1, "3", 0.0))
    ]
    sent = [done(store, ids[0], samples={"sums": lines}), done(store, ids[1], samples={"sums": plain})]
    own = {"id": "mine", "weights": {"web": 0.5, "code": 0.5}, "losses": losses({"web": 0.5, "code": 0.5, "books": 0})}
    told = report(store, *sent, {**own, "samples": {"sums": lines, "other": plain[:1] * 2}})
    assert told["samples"] == {"sums": 3, "other": 1} and told["added"] == ["mine"]
    study = studies.get(store, "Lab")
    assert task_scores.tasks_of(store, study) == ["sums", "other"]
    assert len(task_scores.answered(store, study, "sums")) == 3
    first, second = task_scores.side_by_side(store, "sums", ids[0], ids[1])
    assert first.prompt == "0 + 4 =" and first.answers == ("5", "4") and (first.change, second.change) == (1, -1)
    assert report(store, *sent)["samples"] == {"sums": 2} and len(runs.ids(store, study.id)) == 15


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([], r"samples of .* they are \[\]\. Give an object of tasks"),
        ({"sums": {}}, "Give a list of its items"),
        ({"sums": []}, "they hold 0 items with a score"),
        ({"sums": [3]}, "Give a list of its items, each an object"),
        ({"sums": [{"prompt": "a", "answer": "b"}]}, "item 1 of 'sums' by .*: its 'score' is missing"),
        ({"sums": [{"prompt": "a", "answer": "b", "score": "1"}]}, "its 'score' is '1', and must be a number"),
        ({"sums": [{"doc_id": 1}]}, "KeyError.*An item is a line"),
        ({"sums": [line(0, "4")]}, "'sums' has 1 item|it has 1 item,"),
    ],
)
def test_samples_that_cannot_be_read_add_nothing(store, ids, samples, words):
    with pytest.raises(Problem, match=words):
        report(store, done(store, ids[0], samples=samples))
    assert rows(store)[ids[0]]["state"] == "planned"
    assert task_scores.tasks_of(store, studies.get(store, "Lab")) == []


def test_samples_may_be_private_and_other_items_are_refused(store, ids):
    lines = [line(0, "4"), line(1, "4")]
    sent = {"name": "Lab", "runs": [done(store, ids[0], samples={"sums": lines})]}
    assert call(store, "submit_runs", **sent, private=True)["samples"] == {"sums": 1}
    assert call(store, "show_task", name="sums")["shown"] == []
    with pytest.raises(Problem, match=r"was asked 2 items, and .* of this study others \(2\)"):
        report(store, done(store, ids[1], samples={"sums": [line(2, "4"), line(3, "4")]}))
    assert report(store, done(store, ids[1], samples={"sums": lines}))["samples"] == {"sums": 1}
    assert call(store, "show_task", name="sums")["shown"] == [], "what is private stays so"
    report(store, done(store, ids[2], samples={"open": lines}))
    with pytest.raises(Problem, match="they are there, and shown"):
        call(store, "submit_runs", name="Lab", runs=[done(store, ids[3], samples={"open": lines})], private=True)


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ([(1, 64), (2, 0.128e3), (3, 1)], "128 tokens at step 2 and 1 at step 3"),  # millions, say, among ones
        ([(30, 1_920_000)], "1,920,000 tokens at step 30, where about 1,920"),
        ([(30, 2)], "2 tokens at step 30, where about 1,920"),
    ],
)
def test_tokens_of_a_curve_are_in_one_unit(store, ids, curve, words):
    points = [{"step": step, "tokens": int(tokens), "loss": 2.0} for step, tokens in curve]
    with pytest.raises(Problem, match=words):
        report(store, {"run": ids[0], "curve": points, "steps": 60})
    told = report(store, done(store, ids[0], curve=[{"step": 60, "tokens": 3, "loss": 2.0}]))
    assert "ends at 3 of 3,840 planned tokens" in told["notes"][0]


def test_scores_in_another_unit_are_told_of(store):
    measures = [{"metric": "web"}, {"metric": "hellaswag", "unit": "accuracy", "higher_is_better": True}]
    ids = planned(store, measures=measures)
    scores = [
        {"run": run, "losses": {"web": 1.0, "hellaswag": score}}
        for run, score in zip(ids[:3], (0.6, 0.5, 54.0), strict=True)
    ]
    assert not report(store, *scores[:2])["notes"]
    assert "hellaswag is 0.6 in one run and 54 in another" in report(store, scores[2])["notes"][0]
