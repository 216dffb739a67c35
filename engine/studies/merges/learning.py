"""Queue data-driven merging in a merge study. Uses the store."""

import math

from engine.core.errors import Problem
from engine.core.people import takes
from engine.spec.kinds.merge_learn import Learning, MergeLearnTask
from engine.spec.merge import checkpoint
from engine.spec.merge_learners import LEARNERS, checked_settings, learner_of
from engine.studies.merge_jobs import merge_settings
from engine.studies.merges.questions import merge_spec, task_of
from engine.studies.questions import Asked, ask_once, job_id_of
from store import runs, studies
from store.database import Store, in_turn


@takes("operator", "learn a merge from text")
@in_turn
def queue_learning(
    store: Store,
    study: studies.Study,
    method: str,
    knobs: dict | None = None,
    coefficients: dict[str, float] | None = None,
    large: str = "",
) -> Asked:
    """Queue the learning of a merge. The same request is one job.

    method, knobs: of engine/spec/merge_learners.py; coefficients: expert -> number, for methods that take them, by
    default 1, or 1/K where they may have any sign; large: a checkpoint that logit_fusion steers. Raises Problem if
    anything is invalid.
    """
    spec, learner = merge_spec(study), learner_of(method)
    experts = study.corpus["experts"]
    asked = Learning(
        method=method,
        knobs=checked_settings(method, knobs or {}),
        weight=weight_of(method, experts, coefficients or {}),
        large=large,
    )
    if large and not (learner.large and spec.merge.external):
        raise Problem(f"Cannot steer {large!r} by {method} here: only logit_fusion of external checkpoints takes one.")
    if large:
        checkpoint(store.workspace.root, large)
    job_id = job_id_of(study, "learn", asked.to_dict())
    task = MergeLearnTask(
        **task_of(study, spec).to_dict(),
        learn=asked,
        out=f"{study.id}-{method}-{job_id[-6:]}",
        first=runs.last_number(store, study.id) + 1,
    )
    return ask_once(store, job_id, task.spec(**merge_settings(spec, study.id)), study.id)


def weight_of(method: str, experts: list[str], coefficients: dict[str, float]) -> list[float]:
    """(K,) the experts' coefficients for a method. Raises Problem if they are invalid."""
    learner = learner_of(method)
    if coefficients and not learner.weighs:
        taking = ", ".join(name for name, one in LEARNERS.items() if one.weighs)
        raise Problem(f"Cannot give coefficients to {method}: those that take them are {taking}.")
    if unknown := [name for name in coefficients if name not in experts]:
        raise Problem(f"Cannot weigh {unknown[0]!r}: the experts here are {', '.join(experts)}.")
    if unexpected := [value for value in coefficients.values() if not math.isfinite(value)]:
        raise Problem(f"Cannot weigh an expert by {unexpected[0]!r}: give a number.")
    usual = learner.usual_weight(len(experts))
    found = [float(coefficients.get(name, 0.0)) if coefficients else usual for name in experts]
    if not learner.signed and (min(found) < 0 or sum(found) <= 0):
        raise Problem(f"Cannot average by {found}: give coefficients of at least 0, not all 0.")
    return found
