"""Exports: a point of a study as a recipe, with its predictions, provenance and decision.

A candidate is exported as it was frozen, and without "draft" only once it is approved; every other point is a draft.
Uses the store.
"""

import math
from dataclasses import asdict

import numpy as np

from engine.core.checks import check, is_number
from engine.core.errors import Problem
from engine.recipes import MergeRecipe, Recipe
from engine.recipes.merges import tensor_names
from engine.review.evidence import CANDIDATE, evidence
from engine.review.freeze import caveats, lost_runs, versions
from engine.review.standing import as_dict, rules_of, standings
from engine.spec.merge_point import references
from engine.studies.levels import totals_in
from engine.studies.measured import frame_of_study, points_measured
from engine.studies.merges.questions import merge_spec, task_of
from engine.studies.moments import moment_of
from engine.studies.phases import fractions_in, phases_of
from engine.studies.points import ALSO, BEST_PREDICTED, candidate_called, named_points
from engine.studies.schedules import place_of, schedule_at, totals
from store import reviews, studies
from store.database import Store

SAME = 1e-9  # largest difference of a coordinate within one point


def recipe_of(
    store: Store, study: studies.Study, candidate: str, tokens: float | None = None, **options
) -> Recipe | MergeRecipe:
    """The recipe of a name, a run's id, or a candidate's name or id. options: as `recipe_at` takes them."""
    candidate = ALSO.get(candidate, candidate)
    found = candidate_called(store, study, candidate)
    one = None if found is None else reviews.get(store, found.id)
    place = place_of(store, study, candidate)
    return recipe_at(store, study, place, candidate if one is None else one.frozen["name"], tokens, one, **options)


def recipe_at(
    store: Store,
    study: studies.Study,
    place: np.ndarray,
    name: str,
    tokens: float | None = None,
    candidate: reviews.Candidate | None = None,
    paths: dict[str, str] | None = None,
    tokens_per_document: dict[str, float] | None = None,
) -> Recipe | MergeRecipe:
    """A point (D,) or a schedule (F, D) ready for export. candidate: whose it is; paths: the loader's path to a
    domain's text; tokens_per_document: by domain, if the corpus does not say or another tokenizer is used."""
    if tokens is not None and not 1 <= tokens < math.inf:
        raise Problem(f"Cannot export for a budget of {tokens!r} tokens: give a number of at least 1.")
    point, phases = totals(study, place), place if place.ndim == 2 else None
    if candidate is None:
        predictions, provenance, approved = at_hand(store, study, point, phases)
    else:
        predictions, provenance, approved = frozen(store, candidate)
    facts = {"predictions": predictions, "provenance": provenance, "approved": approved}
    if study.kind == "merge":
        return merge_at(store, study, point, name, facts)
    frame = frame_of_study(study)
    return Recipe(
        study=study.name,
        name=name,
        domains=tuple(study.domains),
        shares=tuple(point.tolist()),
        available_tokens=None if frame.available is None else tuple(frame.available),
        sources=None if frame.pools is None else frame.pools.sources,
        target_tokens=tokens or frame.budget,
        paths=dict(paths or {}),
        tokens_per_document=lengths(study, tokens_per_document),
        phases=() if phases is None else tuple(map(tuple, phases.tolist())),
        fractions=() if phases is None else tuple(fractions_in(study).tolist()),
        totals=totals_in(study, point),
        **facts,
    )


def merge_at(store: Store, study: studies.Study, point: np.ndarray, name: str, facts: dict) -> MergeRecipe:
    """A merge (D,) ready for export."""
    spec, root = merge_spec(study), store.workspace.root
    task, tensors = task_of(study, spec), ()
    if spec.merge.by == "layer":
        tensors = tuple(tensor_names(root / task.base))
    return MergeRecipe(
        study.name,
        name,
        spec.merge,
        tuple(study.corpus["experts"]),
        tuple(study.coordinates),
        tuple(point.tolist()),
        tuple(references(root, task)),
        tensors,
        **facts,
    )


def at_hand(
    store: Store, study: studies.Study, point: np.ndarray, phases: np.ndarray | None = None
) -> tuple[tuple[dict, ...], dict, bool]:
    """Predictions by the study's latest fit, with what the order of phases (F, D) adds, provenance, and no approval."""
    moment = moment_of(store, study)
    fit, best = moment.fit, named_points(moment).get(BEST_PREDICTED)
    provenance = {
        "study": study.id,
        "corpus": study.spec["corpus"],
        "runs": 0,
        "surrogate": None,
        "versions": versions(),
    }
    provenance["measured"] = at_runs(store, study, point) if phases is None else []
    provenance["caveats"] = caveats(study, frame_of_study(study), fit, point) if fit else lost_runs(study)
    if best is not None and np.abs(best - point).max() < SAME:
        provenance["search"] = {
            "job": moment.search["job"],
            "t": moment.search["t"],
            **asdict(moment.behind(moment.search)),
        }
    if fit is None:
        return (), provenance | {"decision": None}, False
    (mean,), (std,) = fit.surrogate.predict(point[None])
    if phases is not None:
        known = phases_of(store, moment)
        at = schedule_at(known, phases)
        mean, std = mean + at.change, np.hypot(std, at.change_std)
        provenance["caveats"] = [*provenance["caveats"], known.verdict]
    provenance |= {"runs": len(fit.measured.ids), "surrogate": fit.name, "runs_hash": fit.fingerprint, "decision": None}
    return rows_of([asdict(one) for one in study.objectives], mean, std), provenance, False


def at_runs(store: Store, study: studies.Study, point: np.ndarray) -> list[dict]:
    """The results of the study's own runs at a point, as `measured` has them, or nothing."""
    found = points_measured(store, study.id)
    rows = np.flatnonzero(np.abs(found.weights - point).max(axis=1) < SAME) if found.ids else []
    if not len(rows) or not np.isfinite(losses := found.losses[rows].mean(axis=0)).all():
        return []
    by_metric = dict(zip((one.metric for one in study.objectives), losses.tolist(), strict=True))
    return [{"fidelity": study.spec["fidelity"], "seeds": len(rows), "losses": by_metric}]


def frozen(store: Store, candidate: reviews.Candidate) -> tuple[tuple[dict, ...], dict, bool]:
    """Frozen predictions and provenance, the decision, and whether it is an approval."""
    record, events = candidate.frozen, reviews.history(store, candidate.study)
    standing, behind = standings(events)[candidate.id], record["surrogate"]
    by_author = as_dict(standing, rules_of(events), record["author"])["by_author"]
    provenance = {
        "study": candidate.study,
        "corpus": record["corpus"],
        "candidate": candidate.id,
        "author": record["author"],
        "put_forward_at": record["put_at"],
        "runs": behind["runs"],
        "runs_hash": behind["runs_hash"],
        "surrogate": behind["name"],
        "surrogate_sha256": behind["sha256"],
        "versions": record["versions"],
        "caveats": record["caveats"],
        "decision": {
            "state": standing.state,
            "by_author": by_author,
            "approvals": standing.approvals,
            "last": standing.decided,
        },
        "measured": measured(store, candidate),
    }
    rows = rows_of(record["metrics"], record["predicted"]["mean"], record["predicted"]["std"])
    return rows, provenance, standing.state == "approved"


def measured(store: Store, candidate: reviews.Candidate) -> list[dict]:
    """Later results at the candidate's point, per size: {"fidelity", "seeds", "losses": {metric: mean}}."""
    names = [one["metric"] for one in candidate.frozen["metrics"]]
    found = evidence(store, studies.get(store, candidate.study), candidate.frozen)
    points = [(one["fidelity"], one["points"][CANDIDATE]) for one in found if CANDIDATE in one["points"]]
    return [
        {"fidelity": size, "seeds": point["seeds"], "losses": dict(zip(names, point["mean"], strict=True))}
        for size, point in points
    ]


def rows_of(metrics: list[dict], mean, std) -> tuple[dict, ...]:
    """One row per metric."""
    return tuple(
        {"metric": one["metric"], "unit": one["unit"], "mean": float(m), "std": float(s)}
        for one, m, s in zip(metrics, mean, std, strict=True)
    )


def lengths(study: studies.Study, given: dict[str, float] | None) -> tuple[float, ...] | None:
    """Mean tokens of a document of each domain (D,): as given, else by the corpus; None if unknown."""
    given = dict(given or {})
    if unknown := [name for name in given if name not in study.domains]:
        raise Problem(f"Cannot count documents of {unknown[0]!r}: the domains are {', '.join(study.domains)}.")
    for name, length in given.items():
        check(is_number(length, 1), length, f"the length of a document of {name!r}", "a number of tokens of at least 1")
    facts = (study.corpus or {}).get("domains", {})
    found = [given[name] if name in given else per_document(facts.get(name, {})) for name in study.domains]
    return None if any(one is None for one in found) else tuple(map(float, found))


def per_document(facts: dict) -> float | None:
    """From a corpus' entry for a domain."""
    tokens, documents = facts.get("train_tokens"), facts.get("train_documents")
    return tokens / documents if tokens and documents else None
