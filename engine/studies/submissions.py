"""Ingest runs that external training posts one by one: they join a study as if it had trained them.

Uses the store. The caller gives each run its own id; the same run twice is one run, so a job without an answer posts
again.
"""

import hashlib

from engine.core.checks import is_number, is_whole
from engine.core.errors import Problem
from engine.core.people import need
from engine.core.short_names import listed
from engine.importing.harness import Score, is_results, read_results
from engine.jobs.decisions import RunsSubmitted
from engine.jobs.runs import SubmittedRun
from engine.spec.study import StudySpec
from engine.studies import advance, ledger
from store import runs, studies
from store.database import Store

MOST = 1000  # runs in one post
NAMED = 40  # keys in a note
SUM = 1e-3  # tolerance of the shares' sum
SIZE = 0.05  # tolerance of a run's tokens against the study's own proxies
FIELDS = ("id", "weights", "losses", "results", "seed", "parameters", "tokens", "seconds", "device")


def submit_runs(store: Store, name: str, submitted: list[dict]) -> dict:
    """Add runs to a study: {"study", "added": ids, "already_there": ids, "runs": how many the study has now, "notes"}.

    submitted: {"id": the caller's own, "weights": {domain: share, 0 where absent}, "losses": {metric: value}} each,
    and where known "seed", "parameters", "tokens", "seconds", "device"; "results" is what a harness wrote of the run's
    model (engine/importing/harness.py), whose scores are taken for the study's metrics of their names. Raises Problem,
    and adds nothing, if any run is invalid, or a run of that id exists with other numbers.
    """
    need("operator", "submit runs")
    study = studies.get(store, name)
    if not study.domains:
        raise Problem(f"Cannot add runs to {study.name!r}: it is not planned yet. Wait until its corpus is built.")
    if not isinstance(submitted, list) or not 1 <= len(submitted) <= MOST:
        raise Problem(f"Cannot read the runs: send a list of 1 to {MOST:,} of them.")
    notes: list[str] = []
    rows = [_row(study, one, notes) for one in submitted]
    if len({row["id"] for row in rows}) < len(rows):
        raise Problem("Cannot add these runs: two of them have the same id. Give each its own.")
    with store.alone():
        there = runs.submitted(store, study.id, [row["id"] for row in rows])
        for row in rows:
            if row["id"] in there and there[row["id"]] != {key: row[key] for key in there[row["id"]]}:
                raise Problem(
                    f"Cannot add the run {row['label']!r}: a run of that id exists with other numbers. Nothing was "
                    "added. Give the new measurement an id of its own."
                )
        new = [row for row in rows if row["id"] not in there]
        if new:
            ledger.register(store, study, [{**row, "role": "submitted"} for row in new])
            store.write(RunsSubmitted(study.id, [SubmittedRun(**row) for row in new]))
            if study.state == "active":
                advance.fit_if_due(store, studies.get(store, study.id))
    return {
        "study": study.id,
        "added": [row["label"] for row in new],
        "already_there": [row["label"] for row in rows if row["id"] in there],
        "runs": studies.get(store, study.id).runs,
        "notes": list(dict.fromkeys(notes)),
    }


def _row(study: studies.Study, one: dict, notes: list[str]) -> dict:
    """A run as in the journal; adds to the notes. Raises Problem, with the run's id, if it is invalid."""
    if not isinstance(one, dict) or not isinstance(one.get("id"), str) or not 1 <= len(one["id"]) <= 120:
        raise Problem(f"Cannot add {str(one)[:80]!r}: a run is an object with an id of 1 to 120 characters.")
    said = f"Cannot add the run {one['id']!r}:"
    if unknown := set(one) - set(FIELDS):
        raise Problem(f"{said} it has {min(unknown)!r}; a run has {', '.join(FIELDS)}.")
    shares = _numbers(one.get("weights"), study.domains, f"{said} weights")
    weights = [shares.get(domain, 0.0) for domain in study.domains]
    if min(weights) < 0 or abs(sum(weights) - 1) > SUM:
        raise Problem(f"{said} its shares sum to {sum(weights):g}; they must be at least 0 and sum to 1.")
    scores = _scores(study, one["results"], said, notes) if "results" in one else {}
    given = one.get("losses", {} if scores else None)
    losses = _numbers(given, study.metrics, f"{said} losses")
    if twice := [name for name in losses if name in scores and losses[name] != scores[name].value]:
        raise Problem(
            f"{said} {twice[0]!r} is {losses[twice[0]]:g} in its losses and {scores[twice[0]].value:g} in its results."
        )
    losses |= {name: score.value for name, score in scores.items()}
    errors = [scores[name].error if name in scores else None for name in study.metrics]
    if not losses:
        raise Problem(f"{said} it measured nothing. Give at least one of {', '.join(study.metrics)}.")
    facts = {name: _whole(one.get(name), f"{said} {name}") for name in ("seed", "parameters", "tokens")}
    seconds = one.get("seconds")
    if seconds is not None and not is_number(seconds, 0):
        raise Problem(f"{said} seconds is {seconds!r}; give a number of at least 0.")
    _check_size(study, facts["tokens"], said)
    total = sum(weights)
    return {
        "id": f"{study.id}-{hashlib.sha256(one['id'].encode()).hexdigest()[:12]}",
        "label": one["id"],
        "weights": [share / total for share in weights],
        "losses": [losses.get(name) for name in study.metrics],
        "losses_se": errors if any(error is not None for error in errors) else None,
        **facts,
        "seconds": seconds and float(seconds),
        "device": one.get("device") and str(one["device"])[:80],
    }


def _scores(study: studies.Study, results: object, said: str, notes: list[str]) -> dict[str, Score]:
    """The scores in a harness' results that are metrics of the study, by their names; what is left out joins the notes.

    Raises Problem where there are none, and where the study reads one the other way round.
    """
    if not is_results(results):
        raise Problem(
            f"{said} its results are {str(results)[:60]!r}; give the object that lm-evaluation-harness or lighteval "
            "wrote as JSON."
        )
    found = read_results(results, "them")
    own = {one.metric: one for one in study.objectives if one.metric in found.scores}
    if not own:
        raise Problem(
            f"{said} its results have {listed(list(found.scores))}, and none of the study's {listed(study.metrics)}."
        )
    for name, one in own.items():
        if found.scores[name].known.higher not in (None, one.higher_is_better):
            raise Problem(f"{said} its results say of {name!r} that the other way is better than in this study.")
    if others := [name for name in found.scores if name not in own]:
        notes.append(f"Left out, since the study does not measure them: {listed(others, NAMED)}.")
    whys = dict.fromkeys(why for why, _ in found.left)
    notes += [f"{why}: {listed([key for one, key in found.left if one == why], NAMED)}." for why in whys]
    return {name: found.scores[name] for name in own}


def _check_size(study: studies.Study, tokens: int | None, said: str) -> None:
    """Raise Problem for a run of another size: it would distort the study's surrogates."""
    own = None if study.imported else StudySpec.from_dict(study.spec).fidelity.tokens
    if own and tokens and abs(tokens - own) > SIZE * own:
        raise Problem(
            f"{said} it saw {tokens:,} tokens, and the runs of {study.name!r} see {own:,}. Losses of other sizes "
            "would distort its surrogates: import them as a study of their own."
        )


def _numbers(given, names: list[str], said: str) -> dict[str, float]:
    """{name: number} of those names. Raises Problem for anything else."""
    if not isinstance(given, dict):
        raise Problem(f"{said} are {given!r}; give an object of numbers by name.")
    for name, value in given.items():
        if name not in names:
            raise Problem(f"{said} name {name!r}; this study has {', '.join(names)}.")
        if not is_number(value):
            raise Problem(f"{said} of {name!r} are {value!r}; give a finite number.")
    return {name: float(value) for name, value in given.items()}


def _whole(value, said: str) -> int | None:
    if value is not None and not is_whole(value, 0, 2**62 - 1):
        raise Problem(f"{said} is {value!r}; give a whole number of at least 0.")
    return value
