"""The progress of a study, and when its results are expected."""

import os
import time
from collections import Counter
from dataclasses import dataclass, replace

from dashboard.models.cost import BYTES, cost_of
from dashboard.models.wording import counted
from engine.spec.fidelity import Fidelity
from engine.spec.study import StudySpec, planned_roles
from store import corpora, jobs, studies
from store.database import Store

# Seconds in the demo study (benchmarks/results/demo.md), used until a study's own progress says more.
CORPUS_SECONDS, ANSWER_SECONDS = 40.0, 20.0

FIRST_FIT = 0.3  # fraction of the training after which the first surrogates are fitted

ENDED = ("done", "incomplete")
MANY = ("train", "merge")  # kinds of which every job counts, not the latest alone


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
    """The stages of one study: corpus, proxies, surrogates, search."""
    own = jobs.of_study(store, study.id)
    if study.imported:
        return imported_progress(store, study, own)
    if study.kind == "merge":
        return merge_progress(store, study, own)
    corpus_job = corpora.job(store, study.spec["corpus"])
    by_kind = {kind: [job for job in own if job.kind == kind] for kind in ("train", "fit", "search")}
    corpus = (
        Stage("Corpus", "done", 1.0, "built")
        if study.domains
        else stage_of("Corpus", [corpus_job] if corpus_job else [])
    )
    proxies = proxies_stage(study, by_kind["train"])
    fits, searches = (
        stage_of(name, by_kind[kind][-1:]) for name, kind in (("Surrogates", "fit"), ("Search", "search"))
    )
    left = seconds_left(by_kind["train"])
    if left is None:
        left = seconds_planned(store, study)
    if (latest := studies.league(store, study.id)) and fits.state == "done":
        fits = replace(fits, note=f"on {latest['runs']} runs")
    stages = [corpus, proxies, fits, searches]
    failures = lost_work(study, [corpus_job, *own])
    end = None if left is None or failures else left + ANSWER_SECONDS
    first = None if left is None or latest else left * FIRST_FIT + ANSWER_SECONDS
    return Progress(stages, first, end, failures)


def merge_progress(store: Store, study: studies.Study, own: list[jobs.JobRow]) -> Progress:
    """The stages of a merge study, whose experts are trained here or external."""
    by_kind = {kind: [job for job in own if job.kind == kind] for kind in ("train", "merge", "fit", "search")}
    corpus_job = corpora.job(store, study.spec["corpus"])
    built = Stage("Corpus", "done", 1.0, "built")
    corpus = built if study.domains else stage_of("Corpus", [corpus_job] if corpus_job else [])
    if not study.domains and corpus.state == "done":
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
    failures = lost_work(study, [corpus_job, *own])
    left = seconds_left(by_kind["train"])
    return Progress(
        [corpus, experts, merges, fits, search], None, None if failures else left and left + ANSWER_SECONDS, failures
    )


def unmeasured(study: studies.Study) -> str:
    """The runs that ended without a measurement, such as ", 1 refused"."""
    states = ("refused", "diverged", "failed", "cancelled")
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


def lost_work(study: studies.Study, own: list[jobs.JobRow | None]) -> list[str]:
    """Why jobs of an active study failed, and how many were cancelled: what *Retry* would do again."""
    there = [job for job in own if job]
    latest = {(job.kind, job.id if job.kind in MANY else ""): job for job in there}  # a later fit replaces an earlier
    found = [job.message or "failed" for job in latest.values() if job.state == "failed"]
    cancelled = Counter(job.kind for job in latest.values() if job.state == "cancelled")
    if cancelled and study.state == "active":
        kinds = ", ".join(counted(number, f"{kind} job") for kind, number in cancelled.items())
        runs = f", with {counted(study.counts['cancelled'], 'run')}" if study.counts.get("cancelled") else ""
        found.append(f"Cancelled: {kinds}{runs}. Retry does them; until then, results are without them.")
    return found


def imported_progress(store: Store, study: studies.Study, own: list[jobs.JobRow]) -> Progress:
    """The stages of a study of imported runs."""
    stages = [Stage("Imported runs", "done", 1.0, f"{study.done} runs")]
    for name, kind in (("Surrogates", "fit"), ("Search", "search")):
        stages.append(stage_of(name, [job for job in own if job.kind == kind][-1:]))
    if (latest := studies.league(store, study.id)) and stages[1].state == "done":
        stages[1] = replace(stages[1], note=f"on {latest['runs']} runs")
    return Progress(stages, None, None, lost_work(study, own))


def seconds_planned(store: Store, study: studies.Study) -> float | None:
    """Estimated seconds of training and building the corpus, before either has begun; None if no speed is known."""
    fidelity, spec = Fidelity.from_dict(study.spec["fidelity"]), study.spec
    members = study.runs or sum(planned_roles(StudySpec.from_dict(spec), None).values())
    price = cost_of(store, fidelity, members, BYTES, os.cpu_count() or 1)
    if price.minutes is None:
        return None
    return 60 * price.minutes + (0.0 if study.domains else CORPUS_SECONDS)


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


def seconds_left(training: list[jobs.JobRow]) -> float | None:
    """Seconds until training should end, by its speed so far; None before there is one."""
    started = [job.started_at for job in training if job.started_at]
    done = sum(job.done or 0 for job in training)
    total = sum(job.total or max((other.total or 0 for other in training), default=0) for job in training)
    if not started or not done or not total:
        return None
    ended = all(job.ended_at for job in training)
    elapsed = time.time() - min(started)
    return 0.0 if ended else elapsed * (total - done) / done
