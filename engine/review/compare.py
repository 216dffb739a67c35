"""Candidates side by side, with differences to a reference and their noise. Uses the store.

The reference is one of the candidates, or a baseline of the first. All use the reference's frozen priorities, so the
same link shows the same numbers whatever is set later. D coordinates, M metrics.
"""

import hashlib
from pathlib import Path

import numpy as np

from engine.core.checks import or_null
from engine.core.errors import Problem
from engine.review.evidence import by_size, noise_of, of_candidate
from engine.review.flips import flips
from engine.review.freeze import FAR
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width
from engine.studies.fits import load
from engine.surrogates import Surrogate
from engine.surrogates.prediction import difference_std
from store import confirm_runs, reviews
from store.database import Store

FEWEST, MOST = 2, 6


def compare(store: Store, candidates: list[str], reference: str, tokens: float | None = None) -> dict:
    """Two to six candidates of one study against a reference: a candidate's id, or the name of a baseline.

    tokens: the target budget (default: the first candidate's), 0 where unknown. Returns {"study", "names", "kind",
    "metrics", "aggregate", "reference": {"id", "name"}, "tokens", "same_fit": whether one surrogate predicted all,
    "rows": [{"id", "name", "point", "schedule", "mean", "std", "aggregate", "aggregate_std", "runs": behind the
    prediction, "extrapolated": whether no run was near when it was frozen, "difference": {"mean", "std", "inside_noise"
    (M,), "aggregate", "aggregate_std", "aggregate_inside_noise"}, None for the reference itself, "epochs",
    "unique_tokens", "measured": see `measured_since`}]}. Raises Problem if their number is not allowed, they are of two
    studies, or the reference is unknown.
    """
    ids = list(dict.fromkeys(candidates))
    if not FEWEST <= len(ids) <= MOST:
        raise Problem(f"Cannot compare {len(ids)} candidates: choose {FEWEST} to {MOST}.")
    found = [reviews.get(store, one) for one in ids]
    if len({one.study for one in found}) > 1:
        raise Problem("Cannot compare candidates of different studies: their points are of different spaces.")
    first = found[0].frozen
    base_name, base, base_frozen = reference_of(found, reference)
    aggregate = Aggregate.from_dict((base_frozen or first)["aggregate"])
    surrogate = common_surrogate(store.workspace.root, found)
    tokens = first["budget"] if tokens is None else tokens
    rows = [row_of(one, aggregate, tokens) for one in found]
    for one, row in zip(found, rows, strict=True):
        gap = difference(one.frozen, base, surrogate, aggregate)
        row["difference"] = None if one.id == reference else gap
    measured_since(store, rows, base, aggregate)
    return {
        "study": found[0].study,
        "names": first["names"],
        "kind": first["kind"],
        "metrics": first["metrics"],
        "aggregate": aggregate.to_dict(),
        "reference": {"id": reference, "name": base_name, **base},
        "tokens": tokens,
        "same_fit": surrogate is not None,
        "rows": rows,
    }


def reference_of(found: list[reviews.Candidate], reference: str) -> tuple[str, dict, dict | None]:
    """Name, {"point", "mean", "std"} and, of a candidate, the frozen record of a reference. Raises Problem."""
    for one in found:
        if one.id == reference:
            return one.frozen["name"], _place(one.frozen) | _values(one.frozen["predicted"]), one.frozen
    baselines = found[0].frozen["baselines"]
    if reference not in baselines:
        names = ", ".join([one.id for one in found] + list(baselines))
        raise Problem(f"Cannot compare with {reference!r}: choose one of {names}.")
    there = baselines[reference]
    return reference, _place(there) | _values(there), None


def _place(there: dict) -> dict:
    return {"point": there["point"], "schedule": there.get("schedule")}


def _values(there: dict) -> dict:
    return {"mean": there["mean"], "std": there["std"]}


def common_surrogate(root: Path, found: list[reviews.Candidate]) -> Surrogate | None:
    """The surrogate that predicted all of the candidates, if it is a single one and its file is unchanged."""
    behind = {(one.frozen["surrogate"]["runs_hash"], one.frozen["surrogate"]["name"]) for one in found}
    if len(behind) > 1:
        return None
    (fingerprint, name), one = behind.pop(), found[0]
    path = root / "surrogates" / one.study / fingerprint / f"{name}.npz"
    try:
        unchanged = hashlib.sha256(path.read_bytes()).hexdigest() == one.frozen["surrogate"]["sha256"]
    except OSError:
        return None
    return load(path) if unchanged else None


def row_of(one: reviews.Candidate, aggregate: Aggregate, tokens: float) -> dict:
    """A candidate's own numbers; epochs and unique tokens if the available text is known."""
    frozen = one.frozen
    row = {
        "id": one.id,
        "name": frozen["name"],
        **_place(frozen),
        **_values(frozen["predicted"]),
        "aggregate": float(aggregate.of(frozen["predicted"]["mean"])),
        "runs": frozen["surrogate"]["runs"],
        "extrapolated": FAR in frozen["caveats"],
        "epochs": None,
        "unique_tokens": None,
        "aggregate_std": aggregate_std(frozen, aggregate),
    }
    if frozen["available"] is not None and tokens:
        used, there = np.array(frozen["point"]) * tokens, np.array(frozen["available"], float)
        known = np.isfinite(there).all()
        row["epochs"] = or_null(used / there)
        row["unique_tokens"] = float(np.minimum(used, there).sum()) if known else None
    return row


def aggregate_std(frozen: dict, aggregate: Aggregate) -> float:
    """The frozen aggregate std; for other priorities an upper bound, with fully correlated errors."""
    if frozen["aggregate"]["weights"] == aggregate.weights.tolist():
        return frozen["predicted"]["aggregate_std"]
    return float(np.abs(aggregate.weights) @ frozen["predicted"]["std"])


def difference(frozen: dict, base: dict, surrogate: Surrogate | None, aggregate: Aggregate) -> dict:
    """The candidate minus the reference, as two measured runs would differ.

    Errors of one surrogate common to both points cancel; predictions of different fits count as independent.
    """
    mean = np.array(frozen["predicted"]["mean"]) - base["mean"]
    if surrogate is None:
        std = np.hypot(frozen["predicted"]["std"], base["std"])
        correlation = np.ones((len(mean), len(mean)))  # unknown: assume full correlation, an upper bound
    else:
        std = difference_std(surrogate, np.array(frozen["point"]), np.array(base["point"]), noise=True)
        for one in (frozen, base):  # what the order of phases adds, and its doubt, is no part of the surrogate
            std = np.hypot(std, (one.get("schedule") or {}).get("change_std", 0.0))
        correlation = surrogate.correlation
    weighted = std * np.abs(aggregate.weights) if surrogate is None else std * aggregate.weights
    total, total_std = float(aggregate.of(mean)), float(np.sqrt(max(0.0, weighted @ correlation @ weighted)))
    return {
        "mean": mean.tolist(),
        "std": std.tolist(),
        "inside_noise": (np.abs(mean) <= ci_half_width(std)).tolist(),
        "aggregate": total,
        "aggregate_std": total_std,
        "aggregate_inside_noise": bool(abs(total) <= ci_half_width(total_std)),
    }


def measured_since(store: Store, rows: list[dict], base: dict, aggregate: Aggregate) -> None:
    """Add the confirmations' results to each row, the smallest size first.

    "measured": [{"fidelity", "seeds", "aggregate", "aggregate_half" (95%), "difference", "half" (95%),
    "inside_noise"}]; the last three None if the reference was not measured at that size, both halves also if the
    noise is unknown.
    """
    study = reviews.get(store, rows[0]["id"]).study
    for row in rows:
        row["measured"] = []
    for fidelity, there in by_size(confirm_runs.confirmations(store, study, schedules=True)):
        losses, reference = [losses_at(there, row) for row in rows], losses_at(there, base)
        noise, t = noise_of([aggregate.of(one)[:, None] for one in (*losses, reference) if len(one)])
        for row, own in zip(rows, losses, strict=True):
            if not len(own):
                continue
            entry = {"fidelity": fidelity, "seeds": len(own), "aggregate": float(aggregate.of(own).mean())}
            entry["aggregate_half"] = None if noise is None else float(t * noise[0] / np.sqrt(len(own)))
            entry |= {"difference": None, "half": None, "inside_noise": None}
            if len(reference) and row["difference"] is not None:
                entry["difference"] = float(aggregate.of(own).mean() - aggregate.of(reference).mean())
                if noise is not None:
                    entry["half"] = float(t * noise[0] * np.sqrt(1 / len(own) + 1 / len(reference)))
                    entry["inside_noise"] = bool(abs(entry["difference"]) <= entry["half"])
            row["measured"].append(entry)


def losses_at(rows: list[confirm_runs.Confirmed], candidate: dict) -> np.ndarray:
    """Losses (S, M) of the finished runs at a candidate's or baseline's point; empty if there are none."""
    return np.array([run.losses for run in of_candidate(rows, candidate) if run.losses is not None])


def flips_against(store: Store, candidate: str, compared: dict) -> list[dict]:
    """Negative flips of one of the compared candidates against their reference (engine/review/flips.py)."""
    found = reviews.get(store, candidate)
    return flips(store, found.study, found.frozen["corpus"], found.frozen, compared["reference"])
