"""Results of runs that were trained elsewhere: they fill planned runs of an external trainer's study, or join a study.

Uses the store. A run is a planned one, by its id in the manifest (`run`), or the caller's own (`id`); the same results
twice are one run, so a job without an answer posts again.
"""

import hashlib

import numpy as np

from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.people import need
from engine.importing.harness_samples import Sampled, samples_sent
from engine.jobs.decisions import RunsSubmitted
from engine.jobs.reported import RunsGivenUp, RunsReported
from engine.jobs.runs import SubmittedRun
from engine.spec.study import StudySpec
from engine.studies import advance, harness_samples, ledger
from engine.studies.readings import losses_of, mixed_units, numbers, whole
from engine.studies.reports import read_reports
from store import reported, runs, studies
from store.database import Store

MOST = 1000  # runs in one post
SUM = 1e-3  # tolerance of the shares' sum
SIZE = 0.05  # tolerance of a run's tokens against the study's own proxies
FIELDS = ("id", "weights", "losses", "results", "samples", "seed", "parameters", "tokens", "seconds", "device")


def submit_runs(store: Store, name: str, submitted: list[dict], private: bool = False) -> dict:
    """Add results to a study: {"study", "added": ids of the caller's own, "filled": planned runs that ended,
    "in_training": planned runs of which more is known, "already_there": ids, "runs": how many the study has now,
    "samples": {task: runs whose answers were kept}, "notes"}.

    submitted: {"id": the caller's own, "weights": {domain: share, 0 where absent}, "losses": {metric: value}} each,
    and where known "seed", "parameters", "tokens", "seconds", "device"; "results" is what a harness wrote of the run's
    model (engine/importing/harness.py), whose scores are taken for the study's metrics of their names, and "samples"
    its answers item by item, by task (engine/importing/harness_samples.py; private: none of their text is shown). A
    planned run has "run", its id, in place of "id" and "weights"; it may also have "state", "curve", "steps" and
    "message" (engine/studies/reports.py). Raises Problem, and adds nothing, if any run is invalid, or there with other
    numbers.
    """
    need("operator", "submit runs")
    study = studies.get(store, name)
    if not study.domains:
        raise Problem(f"Cannot add runs to {study.name!r}: it is not planned yet. Wait until its corpus is built.")
    if not isinstance(submitted, list) or not 1 <= len(submitted) <= MOST:
        raise Problem(f"Cannot read the runs: send a list of 1 to {MOST:,} of them.")
    notes: list[str] = []
    planned = [one for one in submitted if isinstance(one, dict) and "run" in one]
    own = [one for one in submitted if not (isinstance(one, dict) and "run" in one)]
    rows = [_row(study, one, notes) for one in own]
    check_once([*(row["id"] for row in rows), *(one["run"] for one in planned)])
    sent = [*((row["id"], one) for row, one in zip(rows, own, strict=True)), *((one["run"], one) for one in planned)]
    answers = answers_by_task(sent, notes)
    with store.alone():
        study = studies.get(store, study.id)
        found = read_reports(store, study, planned, notes) if planned else []
        new = [row for row in rows if row["id"] not in _there(store, study, rows)]
        kept = harness_samples.keep(store, harness_samples.joined(store, study, answers, private))
        told = [one for one in found if one is not None]
        came = [one.losses for one in told if one.losses is not None] + [row["losses"] for row in new]
        if came:
            known = runs.measured_at_all_sizes(store, study.id).losses
            notes += mixed_units(study, known, np.array(came, float))
        if told:
            store.write(RunsReported(study.id, told))
        if new:
            ledger.register(store, study, [{**row, "role": "submitted"} for row in new])
            store.write(RunsSubmitted(study.id, [SubmittedRun(**row) for row in new]))
        if (new or told) and study.state == "active":
            advance.fit_if_due(store, studies.get(store, study.id))
    known = [one["run"] for one, news in zip(planned, found, strict=True) if news is None]
    return {
        "study": study.id,
        "added": [row["label"] for row in new],
        "filled": [one.id for one in told if one.state != "running"],
        "in_training": [one.id for one in told if one.state == "running"],
        "already_there": [*known, *(row["label"] for row in rows if row not in new)],
        "runs": studies.get(store, study.id).runs,
        "samples": kept,
        "notes": list(dict.fromkeys(notes)),
    }


def answers_by_task(sent: list[tuple[str, dict]], notes: list[str]) -> dict[str, dict[str, Sampled]]:
    """What runs answered item by item, by task and run, of those whose senders tell it; adds to the notes. sent: runs
    by their ids here. Raises Problem, with the run, for what is none."""
    found: dict[str, dict[str, Sampled]] = {}
    for run, one in sent:
        if "samples" in one:
            for task, answers in samples_sent(one["samples"], str(one.get("id", run))).items():
                found.setdefault(task, {})[run] = answers
        elif isinstance(one.get("results"), dict) and one["results"].get("samples"):
            notes.append("Left out: the samples within results. Send them as `samples` of the run, to keep them.")
    return found


def check_once(ids: list) -> None:
    """Raise Problem for ids that are no texts, and for one that stands twice."""
    if odd := [one for one in ids if not isinstance(one, str) or not 1 <= len(one) <= 120]:
        raise Problem(f"Cannot take results of the run {odd[0]!r:.80}: its id is a text of 1 to 120 characters.")
    if len(set(ids)) < len(ids):
        raise Problem("Cannot add these runs: two of them have the same id. Give each its own.")


def give_up(store: Store, name: str, ids: list[str]) -> list[str]:
    """Give up planned runs that an external trainer was to train; those that remain. Raises Problem, and gives up none,
    where one is not awaited."""
    need("operator", "give up runs")
    study = studies.get(store, name)
    with store.alone():
        awaited = reported.awaited(store, study.id)
        if unknown := [one for one in ids if one not in awaited]:
            raise Problem(
                f"Cannot give up {unknown[0]!r}: {study.name!r} awaits no results of a run of that id. It awaits "
                f"{len(awaited)}."
            )
        if not ids:
            raise Problem("Cannot give up no runs: name one or more.")
        store.write(RunsGivenUp(study.id, list(dict.fromkeys(ids))))
        if study.state == "active":
            advance.fit_if_due(store, studies.get(store, study.id))
        return reported.awaited(store, study.id)


def _there(store: Store, study: studies.Study, rows: list[dict]) -> set[str]:
    """The ids of these runs that are there. Raises Problem where one has other numbers."""
    there = runs.submitted(store, study.id, [row["id"] for row in rows])
    for row in rows:
        if row["id"] in there and there[row["id"]] != {key: row[key] for key in there[row["id"]]}:
            raise Problem(
                f"Cannot add the run {row['label']!r}: a run of that id exists with other numbers. Nothing was "
                "added. Give the new measurement an id of its own."
            )
    return set(there)


def _row(study: studies.Study, one: dict, notes: list[str]) -> dict:
    """A run as in the journal; adds to the notes. Raises Problem, with the run's id, if it is invalid."""
    if not isinstance(one, dict) or not isinstance(one.get("id"), str) or not 1 <= len(one["id"]) <= 120:
        raise Problem(f"Cannot add {str(one)[:80]!r}: a run is an object with an id of 1 to 120 characters.")
    said = f"Cannot add the run {one['id']!r}:"
    if unknown := set(one) - set(FIELDS):
        raise Problem(f"{said} it has {min(unknown)!r}; a run has {', '.join(FIELDS)}.")
    shares = numbers(one.get("weights"), study.domains, f"{said} weights")
    weights = [shares.get(domain, 0.0) for domain in study.domains]
    if min(weights) < 0 or abs(sum(weights) - 1) > SUM:
        raise Problem(f"{said} its shares sum to {sum(weights):g}; they must be at least 0 and sum to 1.")
    losses, errors, _ = losses_of(study, one, said, notes)
    if not any(value is not None for value in losses):
        raise Problem(f"{said} it measured nothing. Give at least one of {', '.join(study.metrics)}.")
    facts = {name: whole(one.get(name), f"{said} {name}") for name in ("seed", "parameters", "tokens")}
    seconds = one.get("seconds")
    if seconds is not None and not is_number(seconds, 0):
        raise Problem(f"{said} seconds is {seconds!r}; give a number of at least 0.")
    _check_size(study, facts["tokens"], said)
    total = sum(weights)
    return {
        "id": f"{study.id}-{hashlib.sha256(one['id'].encode()).hexdigest()[:12]}",
        "label": one["id"],
        "weights": [share / total for share in weights],
        "losses": losses,
        "losses_se": errors,
        **facts,
        "seconds": seconds and float(seconds),
        "device": one.get("device") and str(one["device"])[:80],
    }


def _check_size(study: studies.Study, tokens: int | None, said: str) -> None:
    """Raise Problem for a run of another size: it would distort the study's surrogates. An external trainer's study
    says what size it is about: its runs of other sizes are kept apart."""
    own = None if study.elsewhere else StudySpec.from_dict(study.spec).fidelity.tokens
    if own and tokens and abs(tokens - own) > SIZE * own:
        raise Problem(
            f"{said} it saw {tokens:,} tokens, and the runs of {study.name!r} see {own:,}. Losses of other sizes "
            "would distort its surrogates: import them as a study of their own."
        )
