"""Confirm a candidate by measuring it next to the study's baselines. Uses the store.

A mixture is trained with several seeds, at the study's own size and at a larger one. A merge has no seeds: it is built
once and measured on all validation text.
"""

from dataclasses import replace

import numpy as np

from engine.core.errors import Problem
from engine.core.people import acting, takes
from engine.jobs.decisions import ReviewAdded
from engine.jobs.runs import run_id
from engine.review.evidence import at_place
from engine.studies import confirmations, ledger
from engine.studies.jobs import add_to
from engine.studies.merge_jobs import merge_jobs
from engine.studies.merges.questions import merge_spec
from store import confirm_runs, reviews, runs, studies
from store.database import Store, in_turn

EVERYTHING = 2**40  # validation tokens: all


def plans(store: Store, candidate: str, times: float = 4, seeds: int = 3) -> list[confirmations.Plan]:
    """The plans that would confirm a mixture: one at the proxies' own size, one `times` as large.

    Where its study begins with a saved proxy, at that size alone. Raises Problem as the plans do.
    """
    found = reviews.get(store, candidate)
    study, name = studies.get(store, found.study), found.frozen["name"]
    sizes = (1,) if study.spec.get("start") else dict.fromkeys((1, times))  # a saved proxy has the study's own size
    return [confirmations.plan_confirmation(store, study, name, size, seeds, spread=0) for size in sizes]


@takes("operator", "confirm a candidate")
@in_turn
def confirm(store: Store, candidate: str, times: float = 4, seeds: int = 3) -> list[str]:
    """Queue it; returns the ids of the new runs, empty if all of it is measured already."""
    found = reviews.get(store, candidate)
    study = studies.get(store, found.study)
    if study.kind == "merge":
        ids, times, seeds = confirm_merge(store, study, found), 1, 1
    else:
        ids = [
            run for plan in plans(store, candidate, times, seeds) for run in confirmations.confirm(store, study, plan)
        ]
    asked = [one.body for one in reviews.history(store, study.id) if (one.candidate, one.what) == (found.id, "confirm")]
    if not ids and any((one["times"], one["seeds"]) == (times, seeds) for one in asked):
        return ids  # the same was asked before
    body = {"times": times, "seeds": seeds, "runs": len(ids)}
    store.write(ReviewAdded(found.study, "confirm", acting().name, body, found.id))
    return ids


@takes("operator", "confirm a merge")
@in_turn
def confirm_merge(store: Store, study: studies.Study, found: reviews.Candidate) -> list[str]:
    """Queue the measurement of a merge and its baselines on all validation text."""
    spec = merge_spec(study)
    if spec.fidelity is None:
        raise Problem(
            f"Cannot confirm {found.frozen['name']!r} here: external models are measured on {spec.merge.eval_bytes:,} "
            "bytes of each domain in this study. Start a merge study with more (eval_bytes), and measure it there."
        )
    fidelity = replace(spec.fidelity, eval_tokens=EVERYTHING)
    there = [run for run in confirm_runs.confirmations(store, study.id) if run.state in ("planned", "running", "done")]
    points = {found.frozen["name"]: found.frozen["point"]}
    beside = {label: one["point"] for label, one in found.frozen["baselines"].items()}
    points |= {label: point for label, point in beside.items() if point != found.frozen["point"]}
    points = {label: point for label, point in points.items() if not at_place(there, np.array(point, float))}
    first = runs.last_number(store, study.id) + 1
    rows = [
        {
            "id": run_id(study.id, number),
            "number": number,
            "role": "confirm",
            "label": label,
            "weights": point,
            "seed": spec.seed,
            "fidelity": fidelity.to_dict(),
        }
        for number, (label, point) in enumerate(points.items(), first)
    ]
    if not rows:
        return []
    names, domains = study.coordinates, list(study.corpus["domains"])
    ledger.register(store, study, rows)
    larger = replace(spec, fidelity=fidelity)
    jobs = merge_jobs(larger, study.id, study.corpus["experts"], names, domains, rows, keep=True)
    return add_to(store, study.id, rows, jobs)
