"""A candidate's confirmation results, compared with its frozen predictions. Uses the store.

Only confirmation runs count: a candidate may have been chosen because one of its runs measured well, and that luck must
not count twice. At the proxies' own size predicted and measured values are comparable; larger models have other losses,
so there only differences to the baselines are. All intervals are 95%: Student's t on the seeds'
noise, pooled over the points measured at that size. M metrics, P points.
"""

import numpy as np

from engine.analysis.statistics import pooled_noise
from engine.spec.fidelity import Fidelity
from engine.spec.objectives import Aggregate
from engine.spec.statistics import Z95, ci_half_width, is_same_point
from engine.studies.schedules import place_in
from store import confirm_runs, studies
from store.database import Store

CANDIDATE = "candidate"  # its key among the points of an evidence


def measured_runs(store: Store, frozen: dict) -> list[confirm_runs.Confirmed]:
    """The finished confirmation runs at a candidate's point, whoever requested them."""
    there = of_candidate(confirm_runs.confirmations(store, frozen["study"], schedules=True), frozen)
    return [run for run in there if run.losses is not None]


def of_candidate(rows: list[confirm_runs.Confirmed], frozen: dict) -> list[confirm_runs.Confirmed]:
    """The runs at the place of a candidate, or of one of its baselines."""
    return at_place(rows, place_in(frozen))


def at_place(rows: list[confirm_runs.Confirmed], place: np.ndarray) -> list[confirm_runs.Confirmed]:
    """The runs of one mixture (D,) throughout, or of one schedule (F, D)."""
    return [run for run in rows if is_same_point(run.place, place)]


def evidence(store: Store, study: studies.Study, frozen: dict) -> list[dict]:
    """One entry per fidelity at which the candidate is or will be measured, the smallest first.

    {"fidelity", "own": it is the study's, "done", "runs": of the candidate and its baselines, "points": {label:
    {"seeds", "mean", "half" (M,), "aggregate", "aggregate_half"}}, "gap": measured minus predicted at the own fidelity,
    else None, "differences": {baseline: predicted and measured difference}}. `half` is None if the noise is unknown.
    """
    sizes = by_size(confirm_runs.confirmations(store, study.id, schedules=True))
    return [_at_one_size(rows, frozen) for _, rows in sizes if of_candidate(rows, frozen)]


def by_size(rows: list[confirm_runs.Confirmed]) -> list[tuple[dict, list[confirm_runs.Confirmed]]]:
    """Runs by their fidelity, the smallest first."""
    groups: dict[str, list[confirm_runs.Confirmed]] = {}
    for run in rows:
        groups.setdefault(str(sorted(run.fidelity.items())), []).append(run)
    found = [(group[0].fidelity, group) for group in groups.values()]
    return sorted(found, key=lambda one: Fidelity.from_dict(one[0]).flops(256))


def runs_of(rows: list[confirm_runs.Confirmed], frozen: dict) -> dict[str, list[confirm_runs.Confirmed]]:
    """The runs of the candidate and of its baselines, by label, among those of one fidelity."""
    beside = {name: of_candidate(rows, there) for name, there in frozen["baselines"].items()}
    return {CANDIDATE: of_candidate(rows, frozen)} | beside


def measurements(found: dict[str, list[confirm_runs.Confirmed]]) -> dict[str, np.ndarray]:
    """Losses (S, M) of the finished seeds, by label."""
    done = {label: [run.losses for run in there if run.losses is not None] for label, there in found.items()}
    return {label: np.stack(losses) for label, losses in done.items() if losses}


def _at_one_size(rows: list[confirm_runs.Confirmed], frozen: dict) -> dict:
    aggregate = Aggregate.from_dict(frozen["aggregate"])
    own = rows[0].fidelity == frozen["fidelity"]
    found = runs_of(rows, frozen)
    there, planned = measurements(found), [run.id for one in found.values() for run in one]
    noise, t = noise_of(list(there.values()))
    total, _ = noise_of([aggregate.of(losses)[:, None] for losses in there.values()])
    points = {
        label: {
            "seeds": len(losses),
            "mean": losses.mean(axis=0).tolist(),
            "half": None if noise is None else (t * noise / np.sqrt(len(losses))).tolist(),
            "aggregate": float(aggregate.of(losses).mean()),
            "aggregate_half": None if total is None else float(t * total[0] / np.sqrt(len(losses))),
        }
        for label, losses in there.items()
    }
    measured = CANDIDATE in points
    return {
        "fidelity": rows[0].fidelity,
        "own": own,
        "done": sum(map(len, there.values())),
        "runs": len(set(planned)),
        "points": points,
        "gap": prediction_error(points[CANDIDATE], frozen["predicted"], aggregate) if own and measured else None,
        "differences": differences(points, frozen, total, t) if measured else {},
    }


def noise_of(groups: list[np.ndarray]) -> tuple[np.ndarray | None, float]:
    """(M,) standard deviation between seeds, pooled over groups of runs (S, M), None if no group has two; and
    the quantile of Student's t for its 95% interval."""
    from scipy.special import stdtrit

    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return None, float("nan")
    columns = [pooled_noise([group[:, m] for group in groups]) for m in range(groups[0].shape[1])]
    return np.array(columns), float(stdtrit(freedom, 0.975))


def prediction_error(measured: dict, predicted: dict, aggregate: Aggregate) -> dict:
    """Measured minus predicted: "mean", "half" (M,), "aggregate", "aggregate_half", and "outside": whether the
    aggregate lies outside the prediction interval, which combines that of a mean of runs and the seeds' noise.
    """
    std, noise, seeds = np.array(predicted["std"]), np.array(predicted["noise"]), measured["seeds"]
    own = noise / np.sqrt(seeds) if measured["half"] is None else np.array(measured["half"]) / Z95
    one = measured["aggregate"] - predicted["aggregate"]
    measured_half = measured["aggregate_half"]
    predicted_half = ci_half_width(predicted["aggregate_std"])
    aggregate_half = float(np.hypot(predicted_half, 0 if measured_half is None else measured_half))
    return {
        "mean": (np.array(measured["mean"]) - predicted["mean"]).tolist(),
        "half": ci_half_width(np.sqrt(np.maximum(std**2 - noise**2, 0) + own**2)).tolist(),
        "aggregate": one,
        "aggregate_half": aggregate_half,
        "outside": bool(abs(one) > aggregate_half),
    }


def differences(points: dict, frozen: dict, noise: np.ndarray | None, t: float) -> dict[str, dict]:
    """The candidate minus each measured baseline, of the aggregate: {"predicted", "predicted_half", "measured",
    "measured_half", "inside_noise"}; the last two None if the seeds' noise is unknown."""
    found = {}
    for name, there in frozen["baselines"].items():
        if name not in points:
            continue
        measured = points[CANDIDATE]["aggregate"] - points[name]["aggregate"]
        measured_half = None
        if noise is not None:
            measured_half = float(t * noise[0] * np.sqrt(1 / points[CANDIDATE]["seeds"] + 1 / points[name]["seeds"]))
        found[name] = {
            "predicted": there["difference"]["aggregate"],
            "predicted_half": ci_half_width(there["difference"]["aggregate_std"]),
            "measured": measured,
            "measured_half": measured_half,
            "inside_noise": None if measured_half is None else bool(abs(measured) <= measured_half),
        }
    return found
