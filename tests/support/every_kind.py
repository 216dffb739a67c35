"""A workspace whose journals hold a line of every kind of event, each in its writer's journal; and their changes."""

import copy
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.workspace import OWNER_JOURNAL, Workspace
from engine.jobs.api import RequestBegun, RequestEnded, SignInEnded, TokenRevoked, TokenUsed
from engine.jobs.decisions import (
    CorpusPlanned,
    InboxRead,
    JobCancelAsked,
    JobPlanned,
    JobPrioritised,
    JobRetryAsked,
    NoticeRaised,
    NoticeTold,
    RunsAdded,
    RunsSubmitted,
    StudyCancelled,
    StudyCreated,
    StudyFailed,
    StudyMeanChosen,
    StudyMetric,
    StudyPaused,
    StudyResumed,
    StudyTextGiven,
)
from engine.jobs.housekeeping import CorpusMarked, StudyDeleted
from engine.jobs.ledger import PredictionsRegistered, RunPrediction, hash_of
from engine.jobs.reported import CurvePoint, EvaluatedPoint, ReportedRun, RunsGivenUp, RunsReported
from engine.jobs.runs import PlannedRun, SubmittedRun, run_id
from engine.service import api_tokens
from engine.spec.flips import WINDOWS, flips_of
from engine.spec.kinds.harness import HarnessTask
from engine.spec.objectives import BITS
from engine.spec.study import StudySpec
from store import reviews, studies
from store.database import Store
from tests.support import beside, nasty
from tests.support.every_merge_kind import apart, merge
from tests.support.measured_study import measured_study
from tests.support.nasty import DOMAINS, MIXTURE, RUNS, tell

GONE = object()  # the change that takes a value away
VALUES = {
    **{"gone": GONE, "null": None, "below 0": -1, "zero": 0, "large": 1e90, "whole and large": 2**62, "true": True},
    **{"no text": "", "other text": "other", "no list": [], "a list": [1], "no object": {}, "an object": {"x": 1}},
}
CHANGES = (*VALUES, "one less", "one more", "reversed", "negative")

STOPPED = {"kind": "run.stopped", "step": 1, "steps": 4, "tokens": 5, "seconds": 1.0, "cpu_seconds": 1.0}
STOPPED |= {"message": "It cannot be the best."}


def complete(root: Path) -> Path:
    """Give the nasty workspace what it lacks."""
    store = Store(Workspace.open(root))
    more_runs(store)
    decide(store)
    measure(store)
    merge(store)
    apart(store)
    overlap(store)
    beside.rival(store)
    beside.lab(store)
    compare(store)
    harness(store)
    store.close()
    return root


def more_runs(store: Store) -> None:
    """Runs that confirm, with what was predicted of one; runs that were sent; counts of text."""
    later = [run_id(MIXTURE, RUNS + 1), run_id(MIXTURE, RUNS + 2), run_id(MIXTURE, RUNS + 3)]
    point, metrics = [1 / DOMAINS] * DOMAINS, DOMAINS + 1
    roles = {
        "role": "confirm",
        "label": "uniform",
        "seed": 1,
        "fidelity": StudySpec.from_dict({"name": "x"}).fidelity.to_dict(),
    }
    rows = [PlannedRun(id=run, number=RUNS + n, weights=point, job="later", **roles) for n, run in enumerate(later, 1)]
    store.write(RunsAdded(MIXTURE, rows, []))
    store.write(JobPlanned("later", {"kind": "train", "study": MIXTURE}, MIXTURE))
    store.spool.submit({"kind": "train"}, "later")
    values = {"run": later[0], "origin": "confirm", "surrogate": "ridge", "fit": "0", "weights": [0.25] * metrics}
    values |= {
        "mean": [1.0] * metrics,
        "std": [0.1] * metrics,
        "aggregate": 1.0,
        "aggregate_std": 0.1,
        "reference": point,
    }
    values |= {"gap": -0.1, "gap_std": 0.1, "distance": 0.1, "place": "interpolated"}
    store.write(PredictionsRegistered(MIXTURE, [RunPrediction(hash=hash_of(values), **values)]))
    errors = [0.1, None, 0.1, 0.01]
    told = {"losses": [2.0, 2.1, 2.2, 0.5], "losses_se": errors, "seed": 3}
    sent = SubmittedRun(id=f"{MIXTURE}-sent", label="sent", weights=point, **told)
    store.write(RunsSubmitted(MIXTURE, [sent]))
    elsewhere = [run_id(MIXTURE, RUNS + n) for n in (4, 5, 6)]
    own = {"role": "design", "seed": 1, "fidelity": roles["fidelity"]}
    made = [PlannedRun(id=run, number=RUNS + n, weights=point, **own) for n, run in enumerate(elsewhere, 4)]
    store.write(RunsAdded(MIXTURE, made, []))
    curve = [CurvePoint(step=1, tokens=64, loss=3.0), CurvePoint(step=2, tokens=128, loss=None)]
    looks = [EvaluatedPoint(tokens=128, losses=[3.0] * DOMAINS)]
    ended = {"losses": told["losses"], "losses_se": errors, "parameters": 5000, "tokens": 256, "seconds": 1.5}
    reports = [
        ReportedRun(id=elsewhere[0], state="done", device="cpu", curve=curve, **ended),
        ReportedRun(id=elsewhere[1], state="running", evaluations=looks),
    ]
    store.write(RunsReported(MIXTURE, reports))
    store.write(RunsGivenUp(MIXTURE, elsewhere[2:]))
    pools = [{"domain": name, "tokens": 1e6, "source": "given", "sample": 1e5} for name in nasty.names("domain")]
    store.write(StudyTextGiven(MIXTURE, dict.fromkeys(nasty.names("domain"), 1e6), 1e7, pools, "0"))


def decide(store: Store) -> None:
    """Decisions of every kind that are not there yet."""
    for event in (
        StudyMeanChosen(MIXTURE, False),
        CorpusPlanned("planned", {"source": {"type": "default"}}),
        CorpusMarked("planned", True),
        StudyCreated("ended", "Ended", {"corpus": "gone"}),
        StudyPaused("ended"),
        StudyResumed("ended"),
        StudyCancelled("ended"),
        StudyFailed("ended", "It cannot go on."),
        StudyCreated("deleted", "Deleted", {"corpus": "gone"}),
        StudyDeleted("deleted"),
        JobPrioritised("later", 2.0),
        JobCancelAsked("later"),
        JobRetryAsked("later"),
        NoticeRaised("n", MIXTURE, "finished", "It is done."),
        NoticeTold("n", "nobody listens"),
        RequestBegun("key", "asked"),
        RequestEnded("key", "{}"),
        SignInEnded("somebody"),
    ):
        store.write(event)
    token = api_tokens.listed(store)[0].id
    store.write(TokenUsed(token))
    store.write(TokenRevoked(token))
    store.write(InboxRead("somebody", [one.n for one in reviews.history(store, MIXTURE)]))


def measure(store: Store) -> None:
    """What jobs say, of every kind that is not there yet."""
    size = {"device": "cpu", "parameters": 5000}
    runs = [run_id(MIXTURE, RUNS + n) for n in (1, 2, 3)]
    losses = dict(zip(studies.get(store, MIXTURE).metrics, [2.0, 2.1, 2.2, 0.5], strict=True))
    done = {
        **{"losses": losses, "losses_se": losses},
        "tokens": 10,
        "shares": [1 / 3] * 3,
        "seconds": 1.0,
        "cpu_seconds": 1.0,
    }
    tell(
        store,
        "later",
        {"kind": "job.died", "message": "It went away."},
        {"kind": "job.paused", "message": None},
        {"kind": "job.requeued"},
        {"kind": "job.started", "pid": 1, "host": "here"},
        {"kind": "job.progress", "done": 1, "total": 2, "note": "half"},
        {"kind": "runs.started", "runs": runs, **size},
        {
            "kind": "runs.progress",
            "runs": runs,
            "step": 1,
            "steps": 2,
            "tokens": 5,
            "loss": [1.0] * 3,
            "tokens_per_second": 9.0,
        },
        {"kind": "runs.evaluated", "runs": runs, "tokens": 5, "losses": [[1.0] * DOMAINS] * 3},
        {"kind": "run.finished", "run": runs[0], **done, **size},
        {"kind": "run.diverged", "run": runs[1], "step": 1},
        {"kind": "run.refused", "run": runs[2], "message": "It cannot be."},
        STOPPED | {"run": runs[2]},
    )
    for job, end in (
        ("failing", {"kind": "job.failed", "message": "No."}),
        ("leaving", {"kind": "job.cancelled", "note": "1"}),
    ):
        store.write(JobPlanned(job, {"kind": "train", "study": MIXTURE}, MIXTURE))
        store.spool.submit({"kind": "train"}, job)
        tell(store, job, {"kind": "job.started"}, end)


def overlap(store: Store) -> None:
    """What the job says that looks for items in training text."""
    domains = nasty.names("domain")
    job, asked = f"{MIXTURE}-overlap", {"study": MIXTURE, "corpus": "mine", "domains": domains, "tasks": ["t"]}
    store.write(JobPlanned(job, {"kind": "overlap", **asked}, MIXTURE))
    store.spool.submit({"kind": "overlap", **asked}, job)
    places = {name: [0, 2] for name in domains}
    found = {"t": {"items": 4, "untold": [1], "domains": places, "answered": places}}
    said = {"kind": "overlap.counted", "study": MIXTURE, "settings": {**asked, "window": 48}, "found": {"tasks": found}}
    tell(store, job, {"kind": "job.started"}, said)


def compare(store: Store) -> None:
    """What the job says that counts negative flips, of a study of its own."""
    metrics = [StudyMetric(metric=f"d{k}", unit=BITS, higher_is_better=False, domain=f"d{k}") for k in range(2)]
    metrics += [StudyMetric(**asdict(one)) for one in flips_of("natural", [])]
    weights = np.random.default_rng(0).dirichlet(np.ones(2), 6)
    values = np.column_stack([2 - weights, np.full(6, np.nan)])
    measured_study(store, "compared", weights, values, metrics, flips=True)
    ids = [run_id("compared", n) for n in (1, 2)]
    placed = [{"id": run, "number": n, "weights": [0.5, 0.5]} for n, run in enumerate(ids, 1)]
    asked = {"study": "compared", "runs": placed, "asked": ids, "reference": ids, "tasks": []}
    store.write(JobPlanned("compared-flips", {"kind": "flips", **asked}, "compared"))
    store.spool.submit({"kind": "flips", **asked}, "compared-flips")
    values = {"losses": {WINDOWS: 0.1}, "losses_se": {WINDOWS: 0.01}}
    told = [{"id": run, "number": n, **values} for n, run in enumerate(ids, 1)]
    line = {"kind": "runs.compared", "study": "compared", "runs": told}
    tell(store, "compared-flips", {"kind": "job.started"}, line)


def harness(store: Store) -> None:
    """What a harness measured on a proxy."""
    asked = {"model": f"experts/{MIXTURE}/x.safetensors", "tasks": ["colours"], "limit": 8, "study": MIXTURE}
    store.write(JobPlanned("asked", HarnessTask(**asked).spec(), MIXTURE))
    store.spool.submit({"kind": "harness"}, "asked")
    score = {"metric": "colours acc", "value": 0.5, "error": 0.1, "higher_is_better": True, "chance": 0.25, "items": 8}
    loss = {**score, "metric": "reading bits_per_byte", "error": None, "higher_is_better": False, "chance": None}
    found = {"scores": [score, loss], "file": "harness/results/asked/x/results_1.json", "version": "0.4.13"}
    found |= {"context": 64, "cut": 1, "left": [["Without a standard error", "reading bits_per_byte"]]}
    tell(store, "asked", {"kind": "job.started"}, {"kind": "harness.finished", **asked, "found": found})


# Lines and their changes -------------------------------------------------------------------------------------


def lines_of(root: Path) -> dict[str, tuple[Path, int, dict[str, Any]]]:
    """Of every kind of event the last line: its journal, its place there, the event."""
    found = {}
    for journal in (root / OWNER_JOURNAL, *sorted((root / "jobs").glob("*/*/events.jsonl"))):
        for place, line in enumerate(journal.read_text().splitlines()):
            event = json.loads(line)
            found[event["kind"], event.get("study") or ""] = (journal.relative_to(root), place, event)
    return found


def paths_in(value: object, at: tuple = ()) -> Iterator[tuple]:
    """The places of all values in a JSON value; of long lists the first and the last."""
    if at:
        yield at
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths_in(inner, (*at, name))
    elif isinstance(value, list) and value:
        for place in sorted({0, len(value) - 1}):
            yield from paths_in(value[place], (*at, place))


def changed(event: dict[str, Any], path: tuple, change: str) -> dict[str, Any] | None:
    """The event with the value at a path changed; None where that is no change. A candidate's frozen text is JSON."""
    if path[0] == "frozen" and len(path) > 1:
        inner = changed(json.loads(event["frozen"]), path[1:], change)
        return None if inner is None else {**event, "frozen": json.dumps(inner)}
    made = copy.deepcopy(event)
    holder: Any = made
    for step in path[:-1]:
        holder = holder[step]
    value = holder[path[-1]]
    if change in VALUES:
        new = VALUES[change]
    elif change == "negative" and isinstance(value, int | float):
        new = -value
    elif isinstance(value, list) and value and change in ("one less", "one more", "reversed"):
        new = {"one less": value[:-1], "one more": [*value, value[-1]], "reversed": value[::-1]}[change]
    else:
        return None
    if new is GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = new
    return None if made == event else made


def places(event: dict[str, Any]) -> list[tuple]:
    """Where an event can be changed, the frame aside."""
    found = [path for path in paths_in(event) if path[0] not in ("kind", "t", "by")]
    if isinstance(event.get("frozen"), str):
        found += [("frozen", *path) for path in paths_in(json.loads(event["frozen"]))]
    return found


def write(root: Path, journal: Path, place: int, event: dict[str, Any]) -> None:
    """Put an event in the place of a line."""
    lines = (root / journal).read_text().splitlines()
    lines[place] = json.dumps(event)
    (root / journal).write_text("\n".join(lines) + "\n")
