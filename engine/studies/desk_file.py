"""What the desk needs to work without Mixdesk: runs, hyperparameters, named points, how metrics count. Uses the store.

No text of a corpus is in it: shares, losses, names, and the numbers of the surrogate.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from engine import VERSION
from engine.analysis.explain import MEASURED, support
from engine.analysis.tracks import NEAR
from engine.core.checks import or_null
from engine.core.errors import Problem
from engine.spec.merge import box_of, usual_of
from engine.spec.objectives import common_scale
from engine.spec.study import StudySpec
from engine.studies.fits import Fit, load
from engine.studies.levels import as_lists
from engine.studies.measured import aggregate_of, frame_of_study, reference_runs
from engine.studies.moments import Moment, moment_of
from engine.studies.points import named_points
from engine.surrogates.portable import most_like, portable
from store import studies
from store.database import Store


def desk_of(
    store: Store, study: studies.Study, surrogate: str | None = None, priorities: dict | None = None
) -> dict[str, Any]:
    """The desk of a study as JSON-able values. surrogate: by default the leaderboard's choice; where a browser cannot
    compute it, the portable one that predicts most like it stands in, and "instead_of" says so.

    Raises Problem before the first fit, and where no fitted surrogate is portable.
    """
    moment = moment_of(store, study, aggregate_of(store, study, priorities), surrogate)
    if (fit := moment.fit) is None:
        raise Problem(f"Cannot make a desk of {study.name!r}: nothing is fitted yet. {study.way_on}")
    aggregate, points = moment.aggregate, named_points(moment)
    stand_in, instead_of = standing_in(fit, aggregate.weights)
    measured, scale = fit.measured, common_scale(study.objectives, fit.measured.losses)
    return {
        "version": VERSION,
        "study": study.id,
        "name": study.name,
        "kind": study.kind,
        "coordinates": study.coordinates,
        "metrics": [asdict(one) for one in study.objectives],
        "runs": measured.weights.tolist(),
        "reach": float(support(measured.weights[:1], measured.weights).reach),
        "points": {name: point.tolist() for name, point in points.items()},
        "reference": reference_of(moment, points),
        "best": best_of(moment),
        "aggregate": aggregate.to_dict(),
        "near": NEAR * (float(np.nanstd(aggregate.of(measured.losses))) or 1.0),
        "touching": MEASURED,
        "scale": {"factor": scale.factor.tolist(), "unit": scale.unit, "better": scale.better},
        "surrogate": portable(stand_in.surrogate),
        "title": stand_in.title,
        "instead_of": instead_of,
        "fitted": len(measured.ids),
        "fingerprint": fit.fingerprint,
        "since": moment.since,
        "few": not moment.enough,
        "levels": as_lists(study),
        **bounds(study),
    }


def reference_of(moment: Moment, points: dict[str, np.ndarray]) -> str:
    """What the faders are compared with at first, as on the page: the best measured baseline of merges, the first of
    mixtures; not where the faders start, unless there is nothing else."""
    first, start = next(iter(points.items()))
    usual = reference_runs(moment.measured, moment.aggregate) if moment.study.kind == "merge" else {}
    return next((one for one in (*usual, *points) if one in points and not np.allclose(points[one], start)), first)


def best_of(moment: Moment) -> dict[str, Any] | None:
    """The best measured run and its losses; None without any, or where runs do not compare with the fit's."""
    if moment.best is None or not moment.compares:
        return None
    return {"run": moment.best_run, "losses": or_null(moment.measured.losses[moment.best])}


def standing_in(fit: Fit, weights: np.ndarray) -> tuple[Fit, dict[str, Any] | None]:
    """The fit itself where it is portable; else the portable one most like it, and how much their aggregates differ
    (root mean square over the runs), in the aggregate's unit."""
    if portable(fit.surrogate) is not None:
        return fit, None
    others = {one.name: load(fit.folder / f"{one.name}.npz") for one in fit.league.fitted if one.name != fit.name}
    found = most_like(fit.surrogate, others, fit.measured.weights, weights)
    if found is None:
        raise Problem(
            f"Cannot make a desk with {fit.title}: a browser cannot compute it, nor any other that was fitted. "
            "Choose a law of mixing or a Gaussian process when the study is started."
        )
    name, difference = found
    return fit.other(name), {"title": fit.title, "difference": difference}


def bounds(study: studies.Study) -> dict[str, Any]:
    """The ends of the faders, and the tick on each: the prior of a mixture, a usual coefficient of a merge."""
    if study.kind == "merge":
        merge = StudySpec.from_dict(study.spec).merge
        box, usual = box_of(merge, study.coordinates), [usual_of(merge, name) for name in study.coordinates]
        marks = {"mark": [value for value, _ in usual], "mark_name": [name for _, name in usual]}
        return {"lower": box.lower.tolist(), "upper": box.upper.tolist(), **marks}
    frame, count = frame_of_study(study), len(study.coordinates)
    prior = {"mark": frame.prior.tolist(), "mark_name": [frame.prior_name] * count}
    return {"lower": [0.0] * count, "upper": [1.0] * count, **prior}
