"""Cancelled work is counted, listed and retried, and nothing is called best from fewer runs than a fit needs."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.models.jobs import overview_of
from dashboard.models.progress import progress_of
from dashboard.server import state
from dashboard.views.measure.jobs import reason_of
from dashboard.views.shared.study import too_few
from dashboard.views.shared.text import plain
from engine.cli.waiting import check_job, check_study, doing
from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.people import acting
from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.review.freeze import caveats
from engine.service.backup import backup
from engine.service.restore import restore
from engine.spec.kinds.corpus import CorpusBuilt
from engine.spec.kinds.propose import ProposalFinished
from engine.spec.kinds.search import SearchFinished
from engine.spec.study import StudySpec
from engine.studies import advance
from engine.studies.measured import frame_of_study
from store import jobs, runs, studies
from store.database import Store
from tests.support.two_studies import league
from tests.support.working import small_text

DOMAINS = ["prose", "code", "digits"]
FIDELITY = {"width": 16, "layers": 1, "heads": 1, "context": 32, "tokens": 32768}


@pytest.fixture
def half(store):
    """A study of 20 runs in two jobs."""
    spec = StudySpec.from_dict({"name": "Half", "runs": 20, "repeats": 0, "fidelity": FIDELITY}).to_dict()
    points = np.random.default_rng(0).dirichlet([1, 1, 1], 20)
    rows = [
        {"id": f"half-{n}", "number": n, "role": "design", "label": None, "weights": point.tolist(), "seed": 1}
        | {"job": f"half-train-{n > 5:d}"}
        for n, point in enumerate(points, 1)
    ]
    corpus = {"domains": {name: {"train_tokens": 1e6} for name in DOMAINS}}
    made = [{"job": f"half-train-{i}", "spec": {"kind": "train"}} for i in range(2)]
    store.write(StudyCreated("half", "Half", spec))
    store.write(StudyPlanned(study="half", domains=DOMAINS, corpus=corpus, runs=rows, jobs=made))
    for job in made:
        store.spool.submit(job["spec"], job["job"])
    return store


def ends(store: Store, job: str, numbers: range, done: bool = True) -> None:
    """A job measures some runs, then ends: it is done, or cancelled."""
    told = [{"kind": "job.started", "pid": 1}]
    for n in numbers:
        losses = {name: 2.0 + 0.01 * n for name in DOMAINS}
        told.append(
            {"kind": "run.finished", "run": f"half-{n}", "losses": losses, "losses_se": losses, "shares": [1 / 3] * 3}
            | {"tokens": 1, "seconds": 1.0, "cpu_seconds": 1.0, "device": "cpu", "parameters": 1}
        )
    told += [{"kind": "job.finished"}] if done else []
    with open(store.spool.find(job) / "events.jsonl", "a") as file:
        file.writelines(json.dumps({**one, "t": 1.0}) + "\n" for one in told)
    if done:
        store.spool.move(store.spool.find(job), "ended")
    else:
        store.spool.cancel(job)
    store.ingest()
    assert not store.rows("SELECT * FROM corrupt_lines")


def test_a_study_with_cancelled_runs_is_not_whole(half):
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(0), done=False)
    study = studies.get(half, "half")
    assert study.counts == {"done": 5, "cancelled": 15} and study.lost == 15
    advance.advance(half)
    assert not [job for job in jobs.of_study(half, "half") if job.kind == "fit"], "5 runs are no study of 20"
    assert advance.is_settled(half, study), "nothing more happens by itself"
    progress = progress_of(half, study)
    proxies = progress.stages[1]
    assert proxies.state == "incomplete" and "15 cancelled" in proxies.note and progress.end is None
    assert any("1 train job, with 15 runs" in words for words in progress.failures), "and the card offers a retry"
    assert "Too few runs (5) for 3 domains" in too_few(study) and "15 more were cancelled" in too_few(study)
    assert "half-train-1" in {job["id"] for job in COMMANDS["list_jobs"](half)}


def test_a_study_with_enough_runs_goes_on_and_says_what_is_missing(half):
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(6, 15), done=False)
    study = studies.get(half, "half")
    assert study.counts == {"done": 14, "cancelled": 6} and not too_few(study)
    advance.advance(half)
    assert [job.kind for job in jobs.of_study(half, "half")] == ["train", "train", "fit"]
    assert progress_of(half, study).stages[1].state == "incomplete"


def test_a_candidate_says_that_work_behind_it_was_cancelled(half):
    """Whoever decides on it reads its page or its report, and not the study's."""
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(6, 15), done=False)
    study = studies.get(half, "half")
    measured = runs.measured(half, "half")
    fit = SimpleNamespace(measured=measured)
    told = caveats(study, frame_of_study(study), fit, measured.weights[0])
    assert "6 of the study's 20 runs failed or were cancelled: it is without them." in told


def export_page(study: str) -> None:
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["pages"] = {}
    pages_for("mixture")["export"].function()(study)


def test_an_export_says_that_work_behind_it_was_cancelled(half):
    """On the page, in each file that has a header, and in the provenance, also before anything is fitted."""
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(6, 15), done=False)
    said = "6 of the study's 20 runs failed or were cancelled: it is without them."
    for format in ("regmix_yaml", "megatron", "litgpt"):
        files = COMMANDS["export"](half, "half", format=format, candidate="uniform")["files"]
        assert json.loads(files.pop("draft_provenance.json"))["caveats"] == [said]
        assert any(f"Caveat: {said}" in text for text in files.values()), format
    state.use(SimpleNamespace(store=half, workspace=half.workspace))
    try:
        page = AppTest.from_function(export_page, args=("half",), default_timeout=120).run()
        assert not page.exception and any(plain(said) in one.value for one in page.caption)
    finally:
        state.use(None)


def test_a_resume_queues_what_was_cancelled(half):
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(0), done=False)
    COMMANDS["resume"](half, "half")
    study = studies.get(half, "half")
    assert study.counts == {"done": 5, "planned": 15} and not study.lost
    assert progress_of(half, study).failures == []


@pytest.mark.parametrize("command", ["search", "propose", "confirm", "fit", "repetition"])
def test_what_needs_runs_that_were_cancelled_says_how_they_come(half, command):
    """Who is told to wait for them waits for ever."""
    with pytest.raises(Problem, match=r"Wait for its runs\.$"):
        COMMANDS[command](half, "half")
    ends(half, "half-train-1", range(0), done=False)
    with pytest.raises(Problem, match=r"15 of its runs failed or were cancelled: resume the study\.$"):
        COMMANDS[command](half, "half")


def test_waiting_ends_where_a_person_must_go_on(half):
    """Not at once with nothing, and not never: paused, cancelled or lost work is named, with what goes on with it."""
    show, job = COMMANDS["show"], COMMANDS["job"]
    check_study(show(half, "half"))
    check_job(job(half, "half-train-1"))
    assert doing(show(half, "half")["jobs"]) == "2 queued"
    COMMANDS["pause"](half, "half")
    with pytest.raises(Problem, match=r"Cannot wait for 'half': it is paused. `resume half`"):
        check_study(show(half, "half"))
    with pytest.raises(Problem, match=r"half-train-1: its study is paused. `resume half`"):
        check_job(job(half, "half-train-1"))
    COMMANDS["resume"](half, "half")
    ends(half, "half-train-1", range(0), done=False)
    check_study(show(half, "half"))  # the other one can still be waited for
    with pytest.raises(Problem, match=r"half-train-1 was cancelled. `job-retry half-train-1`"):
        check_job(job(half, "half-train-1"))
    ends(half, "half-train-0", range(1, 6))
    with pytest.raises(Problem, match=r"Cancelled: 1 train job, with 15 runs.* `resume half`"):
        check_study(show(half, "half"))
    COMMANDS["cancel"](half, "half")
    with pytest.raises(Problem, match=r"it is cancelled. `resume half`"):
        check_study(show(half, "half"))


def test_a_cancelled_fit_is_not_waited_for_and_a_later_one_replaces_it(half):
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(6, 21))
    advance.advance(half)
    fit = next(job.id for job in jobs.of_study(half, "half") if job.kind == "fit")
    COMMANDS["cancel_job"](half, fit)
    with pytest.raises(Problem, match="Cancelled: 1 fit job"):
        check_study(COMMANDS["show"](half, "half"))
    half.submit("half-fit-later", {"kind": "fit"}, "half")
    assert COMMANDS["show"](half, "half")["lost"] == {"jobs": [], "told": []}


def tells(store: Store, job: str, *told: dict) -> None:
    """A job's journal gets these lines."""
    with open(store.spool.find(job) / "events.jsonl", "a") as file:
        file.writelines(json.dumps({**one, "t": 1.0}) + "\n" for one in told)
    store.ingest()
    assert not (aside := store.rows("SELECT reason FROM corrupt_lines")), aside


@pytest.fixture
def fitted(half) -> tuple[Store, str]:
    """All runs measured and fitted; with the id of the default search, which waits."""
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(6, 21))
    advance.advance(half)
    fit = next(job.id for job in jobs.of_study(half, "half") if job.kind == "fit")
    about = {"study": "half", "fingerprint": fit.removeprefix("half-fit-"), "runs": 20, "league": league(3, 20)}
    tells(half, fit, {"kind": "job.started", "pid": 1}, {"kind": "league.finished", **about}, {"kind": "job.finished"})
    half.spool.move(half.spool.find(fit), "ended")
    half.ingest()
    assert not advance.is_settled(half, studies.get(half, "half")), "a search is due"
    advance.advance(half)
    return half, next(job.id for job in jobs.of_study(half, "half") if job.kind == "search")


def test_what_is_queued_between_two_looks_is_not_missed(half, monkeypatch):
    """`advance` queues the fit after the jobs were looked at, and before what is due: neither look sees it."""
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(6, 21))
    look = advance.goes_on

    def after_the_owner(store: Store, study: studies.Study) -> bool:
        advance.advance(store)
        return look(store, study)

    monkeypatch.setattr(advance, "goes_on", after_the_owner)
    study = studies.get(half, "half")
    assert not advance.is_settled(half, study), "the fit was queued meanwhile"
    assert not advance.is_settled(half, study), "and waits"


def test_a_league_that_no_fit_made_stops_nothing(half):
    """One changed digit of a fingerprint, in a line that stays valid."""
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(6, 21))
    advance.advance(half)
    fit = next(job.id for job in jobs.of_study(half, "half") if job.kind == "fit")
    about = {"study": "half", "fingerprint": "0123456789abcdef", "runs": 20, "league": league(3, 20)}
    told = ({"kind": "job.started", "pid": 1}, {"kind": "league.finished", **about}, {"kind": "job.finished"})
    with pytest.raises(AssertionError, match="its job fitted other runs"):
        tells(half, fit, *told)
    half.spool.move(half.spool.find(fit), "ended")
    half.ingest()
    advance.advance(half)
    assert COMMANDS["show"](half, "half")["study"] == "half"
    assert [one["study"] for one in COMMANDS["list_studies"](half)] == ["half"]


@pytest.mark.parametrize(
    ("event", "odd"),
    [
        (SearchFinished, {"settings": {}, "found": {}}),
        (SearchFinished, {"settings": {"surrogate": "gp", "priorities": {}}, "found": {"found": {"shares": 3}}}),
        (ProposalFinished, {"settings": {"surrogate": "gp", "priorities": {}}, "found": {}}),
        (CorpusBuilt, {"corpus": "c", "manifest": {"domains": 3, "tokenizer": {}}}),
    ],
)
def test_results_that_nothing_could_show_are_refused(event, odd):
    study = {} if event is CorpusBuilt else {"study": "half"}
    with pytest.raises(Problem, match="Cannot read"):
        event.read({**study, **odd}, "it")


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_search_that_failed_or_was_cancelled_is_not_tried_without_end(fitted, tmp_path, end):
    """Nothing would run by itself, so nothing is asked about when an archive is restored."""
    store, search = fitted
    if end == "cancelled":
        COMMANDS["cancel_job"](store, search)
    else:
        tells(store, search, {"kind": "job.started", "pid": 1}, {"kind": "job.failed", "message": "It broke."})
        store.spool.move(store.spool.find(search), "ended")
    store.ingest()
    for _ in range(2):
        advance.advance(store)
        assert jobs.find(store, search).state == end
    assert advance.is_settled(store, studies.get(store, "half"))
    with pytest.raises(Problem, match=r"`resume half` retries"):
        check_study(COMMANDS["show"](store, "half"))
    backup(store.workspace, tmp_path / "b.tar.zst")
    restore(tmp_path / "b.tar.zst", tmp_path / "restored")
    COMMANDS["resume"](store, "half")
    assert jobs.find(store, search).state == "queued"
    backup(store.workspace, tmp_path / "c.tar.zst")
    with pytest.raises(Problem, match="1 waiting jobs"):
        restore(tmp_path / "c.tar.zst", tmp_path / "asked")


def test_a_study_whose_corpus_failed_does_not_go_on_by_itself(store, tmp_path):
    small_text(tmp_path / "text")
    COMMANDS["build_corpus"](store, "mine", {"source": {"type": "folder", "path": str(tmp_path / "text")}})
    study = COMMANDS["start"](store, {"name": "On mine", "corpus": "mine", "fidelity": FIDELITY})["study"]
    assert not advance.is_settled(store, studies.get(store, study))
    COMMANDS["cancel_job"](store, "corpus-mine")
    assert advance.is_settled(store, studies.get(store, study))
    backup(store.workspace, tmp_path / "b.tar.zst")
    restore(tmp_path / "b.tar.zst", tmp_path / "restored")


def test_jobs_that_were_cancelled_are_counted_and_listed_with_who_asked(half):
    COMMANDS["cancel_job"](half, "half-train-1")
    overview = overview_of(half)
    assert overview.counts == {"queued": 1, "cancelled": 1}
    told = [(row.id, reason_of(row)) for row in overview.cancelled]
    assert told == [("half-train-1", f"Cancelled by {acting().name}.")]


def test_a_resume_builds_the_corpus_that_was_cancelled(store, tmp_path):
    """It is no job of the study, and nothing else would ever build it."""
    small_text(tmp_path / "text")
    source = {"source": {"type": "folder", "path": str(tmp_path / "text")}}
    COMMANDS["build_corpus"](store, "mine", source)
    study = COMMANDS["start"](store, {"name": "On mine", "corpus": "mine", "fidelity": FIDELITY})["study"]
    COMMANDS["cancel_job"](store, "corpus-mine")
    with pytest.raises(Problem, match="Cancelled: 1 corpus job"):
        check_study(COMMANDS["show"](store, study))
    COMMANDS["resume"](store, study)
    assert COMMANDS["job"](store, "corpus-mine")["state"] == "queued"
    check_study(COMMANDS["show"](store, study))
