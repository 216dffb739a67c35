"""The progress of a study, and when its results are expected."""

import os
import time
from dataclasses import dataclass, replace

from dashboard.models.cost import BYTES, cost_of
from engine.spec.fidelity import Fidelity
from engine.studies.lost import lost_words, lost_work
from engine.studies.training import expected_roles
from store import corpora, jobs, studies
from store.database import Store

# Seconds in the demo study (benchmarks/results/demo.md), used until a study's own progress says more.
CORPUS_SECONDS, ANSWER_SECONDS, SEARCH_SECONDS = 40.0, 20.0, 5.0

FIRST_FIT = 0.3  # fraction of the training after which the first surrogates are fitted

SPEED_KNOWN = 0.1  # fraction of the training from which on its own speed alone says when it ends

ENDED = ("done", "incomplete")


@dataclass(frozen=True)
class Stage:
    """One step of a study. progress: 0 to 1; state: waiting | running | done | incomplete | failed.

    incomplete: it ended without a part of its work, which was cancelled or failed.
    """

    name: str
    state: str
    progress: float
    note: str


@dataclass(frozen=True)
class Progress:
    """The stages of a study, and when its first and last results are expected (seconds from now, or None)."""

    stages: list[Stage]
    first_answer: float | None
    end: float | None
    failures: list[str]

    @property
    def current(self) -> str | None:
        """The first stage that has not ended; None if all have."""
        return next((stage.name for stage in self.stages if stage.state not in ENDED), None)

    @property
    def busy(self) -> bool:
        return any(stage.state == "running" for stage in self.stages) and not self.finished

    @property
    def finished(self) -> bool:
        return self.current is None


def progress_of(store: Store, study: studies.Study) -> Progress:
    """The stages of one study; without an end where nobody works on it."""
    stages_of = merge_progress if study.kind == "merge" else mixture_progress
    stages_of = external_progress if study.external else imported_progress if study.imported else stages_of
    found = stages_of(store, study, jobs.of_study(store, study.id))
    works = study.state == "active" and store.workspace.is_held("worker")
    return found if works else replace(found, first_answer=None, end=None)


def mixture_progress(store: Store, study: studies.Study, own: list[jobs.JobRow]) -> Progress:
    """The stages of a study of mixtures: corpus, proxies, surrogates, search."""
    corpus_job = corpora.job(store, study.spec["corpus"])
    by_kind = {kind: [job for job in own if job.kind == kind] for kind in ("train", "fit", "search")}
    corpus = (
        Stage("Corpus", "done", 1.0, "built")
        if study.coordinates
        else stage_of("Corpus", [corpus_job] if corpus_job else [])
    )
    proxies = proxies_stage(study, by_kind["train"])
    fits, searches = (
        stage_of(name, by_kind[kind][-1:]) for name, kind in (("Surrogates", "fit"), ("Search", "search"))
    )
    left = seconds_left(by_kind["train"], seconds_planned(store, study))
    if (latest := studies.league(store, study.id)) and fits.state == "done":
        fits = replace(fits, note=f"on {latest['runs']} runs")
    stages = [corpus, proxies, fits, searches]
    failures = lost_words(study, lost_work(store, study))
    answer = answer_seconds(by_kind["fit"], time.time())
    end = None if left is None or failures else left + (ANSWER_SECONDS if left else answer)
    first = None if left is None or latest else first_fit_seconds(left, proxies.progress) + answer
    return Progress(stages, first, end, failures)


def merge_progress(store: Store, study: studies.Study, own: list[jobs.JobRow]) -> Progress:
    """The stages of a merge study, whose experts are trained here or external."""
    by_kind = {kind: [job for job in own if job.kind == kind] for kind in ("train", "merge", "fit", "search")}
    corpus_job = corpora.job(store, study.spec["corpus"])
    built = Stage("Corpus", "done", 1.0, "built")
    corpus = built if study.coordinates else stage_of("Corpus", [corpus_job] if corpus_job else [])
    if not study.coordinates and corpus.state == "done":
        corpus = replace(corpus, note="waiting for the mixture study")
    count = len((study.corpus or {}).get("experts", ()))
    experts = stage_of_all("Experts", by_kind["train"], f"{count} and their base")
    trained = count + 1  # runs that are not merges
    if study.spec["merge"]["base"]:
        experts, trained = Stage("Experts", "done", 1.0, "external checkpoints"), 0
    measured = f"{max(0, study.done - trained)} of {study.runs - trained} measured" + unmeasured(study)
    merges = stage_of_all("Merges", by_kind["merge"], measured)
    fits, search = (stage_of(name, by_kind[kind][-1:]) for name, kind in (("Surrogates", "fit"), ("Search", "search")))
    if (latest := studies.league(store, study.id)) and fits.state == "done":
        fits = replace(fits, note=f"on {latest['runs']} merges")
    failures = lost_words(study, lost_work(store, study))
    left = seconds_left(by_kind["train"], None)  # 0 once experts are trained: how long merges take, nothing tells
    end = None if failures or not left else left + ANSWER_SECONDS
    return Progress([corpus, experts, merges, fits, search], None, end, failures)


def unmeasured(study: studies.Study) -> str:
    """The runs that ended without a measurement, such as ", 1 refused"."""
    states = ("refused", "diverged", "failed", "cancelled", "stopped")
    return "".join(f", {study.counts[state]} {state}" for state in states if study.counts.get(state))


def stage_of_all(name: str, own: list[jobs.JobRow], note: str) -> Stage:
    """A stage of several jobs."""
    if not own:
        return Stage(name, "waiting", 0.0, "waiting")
    done = sum(1.0 if job.state == "done" else (job.done or 0) / (job.total or 1) for job in own) / len(own)
    states = {job.state for job in own}
    ended = "done" if states == {"done"} else "incomplete" if "done" in states else "failed"
    state = "running" if "running" in states else "waiting" if states & set(jobs.UNFINISHED) else ended
    return Stage(name, state, done, note)


def imported_progress(store: Store, study: studies.Study, own: list[jobs.JobRow]) -> Progress:
    """The stages of a study of imported runs."""
    stages = [Stage("Imported runs", "done", 1.0, f"{study.done} runs")]
    for name, kind in (("Surrogates", "fit"), ("Search", "search")):
        stages.append(stage_of(name, [job for job in own if job.kind == kind][-1:]))
    if (latest := studies.league(store, study.id)) and stages[1].state == "done":
        stages[1] = replace(stages[1], note=f"on {latest['runs']} runs")
    return Progress(stages, None, None, lost_words(study, lost_work(store, study)))


def external_progress(store: Store, study: studies.Study, own: list[jobs.JobRow]) -> Progress:
    """The stages of a study whose runs an external trainer trains. Nothing tells when its results come."""
    ended = study.runs - study.open
    note = f"{study.done} of {study.runs} runs" + unmeasured(study)
    state = (
        "running" if study.counts.get("running") else "waiting" if study.open else "done" if study.done else "failed"
    )
    stages = [Stage("Runs elsewhere", state, ended / study.runs if study.runs else 0.0, note)]
    for name, kind in (("Surrogates", "fit"), ("Search", "search")):
        stages.append(stage_of(name, [job for job in own if job.kind == kind][-1:]))
    if (latest := studies.league(store, study.id)) and stages[1].state == "done":
        stages[1] = replace(stages[1], note=f"on {latest['runs']} runs")
    if not study.coordinates:
        job = corpora.job(store, study.spec["corpus"])
        stages.insert(0, stage_of("Corpus", [job] if job else []))
    return Progress(stages, None, None, lost_words(study, lost_work(store, study)))


def seconds_planned(store: Store, study: studies.Study) -> float | None:
    """Estimated seconds of training and building the corpus, before either has begun; None if no speed is known."""
    members = sum(expected_roles(study).values())
    price = cost_of(store, Fidelity.from_dict(study.spec["fidelity"]), members, BYTES, os.cpu_count() or 1)
    if price.minutes is None:
        return None
    return 60 * price.minutes + (0.0 if study.coordinates else CORPUS_SECONDS)


def first_fit_seconds(left: float, trained: float) -> float:
    """Seconds until so many runs are trained that the first surrogates are fitted. left: seconds until all are;
    trained: the fraction that is."""
    return left * max(0.0, FIRST_FIT - trained) / (1.0 - trained) if trained < FIRST_FIT else 0.0


def answer_seconds(fits: list[jobs.JobRow], now: float) -> float:
    """Seconds from the last run to the answer: by how far a fit that runs has come; as in the demo before one does."""
    job = fits[-1] if fits else None
    if job is None or job.state != "running" or not job.done or not job.total or job.attempt_at is None:
        return ANSWER_SECONDS
    part = min(1.0, job.done / job.total)
    return max(SEARCH_SECONDS, (now - job.attempt_at) * (1.0 - part) / part)


def stage_of(name: str, own: list[jobs.JobRow]) -> Stage:
    """A stage of one job."""
    if not own:
        return Stage(name, "waiting", 0.0, "waiting")
    job = own[-1]
    state = {"queued": "waiting", "paused": "waiting", "running": "running", "done": "done"}.get(job.state, "failed")
    progress = 1.0 if job.state == "done" else job.done / job.total if job.total else 0.0
    return Stage(name, state, progress, "" if job.state == "done" else job.note or job.state)


def proxies_stage(study: studies.Study, training: list[jobs.JobRow]) -> Stage:
    """The stage of the training jobs."""
    if not training:
        return Stage("Proxies", "waiting", 0.0, "waiting")
    done = sum(1.0 if job.state == "done" else (job.done or 0) / (job.total or 1) for job in training)
    note = f"{study.done} of {study.runs} runs" + unmeasured(study)
    if study.open:
        state = "running" if any(job.state == "running" for job in training) else "waiting"
    else:
        state = "failed" if not study.done else "incomplete" if study.lost else "done"
    return Stage("Proxies", state, done / len(training), note)


def seconds_left(training: list[jobs.JobRow], planned: float | None) -> float | None:
    """Seconds until training should end: None before anything tells. planned: seconds for all of it, from known speeds.

    By the speed that jobs report, not by the clock since the first began: a pause, or runs added a day later, say
    nothing about speed. The first steps say little: until SPEED_KNOWN of the work is done, the plan has its part.
    """
    ahead = [job for job in training if job.state in jobs.UNFINISHED]
    if training and not ahead:
        return 0.0
    largest = max((job.total or 0.0 for job in training), default=0.0)
    total = sum(job.total or largest for job in training)
    left = sum(max(0.0, (job.total or largest) - (job.done or 0.0)) for job in ahead)
    part = min(1.0, sum(job.done or 0.0 for job in training) / (SPEED_KNOWN * total)) if total else 0.0
    planned = planned * left / total if planned is not None and total else planned
    speeds = [job.tokens_per_second for job in training if job.tokens_per_second]
    if not part or not speeds:
        return planned
    together = sum(job.state == "running" for job in ahead) or min(len(ahead), os.cpu_count() or 1)
    own = left * len(speeds) / sum(speeds) / together
    return own if planned is None else part * own + (1 - part) * planned
