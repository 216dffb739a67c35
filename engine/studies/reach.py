"""How far the runs of a study reach: whether a prediction lies between them or beyond. Uses the store."""

import numpy as np

from engine.analysis.explain import EXTRAPOLATED, support
from engine.studies.measured import learned
from store.database import Store


def places(points: np.ndarray, runs: np.ndarray, elsewhere: bool = False) -> list[str]:
    """Of each point (N, D): measured, interpolated or extrapolated, by the runs (R, D) behind its prediction.

    elsewhere: it is predicted for another size or budget than any run had, which no run supports.
    """
    return [EXTRAPOLATED] * len(points) if elsewhere else support(points, runs).badge


def places_in(store: Store, study: str, points: np.ndarray, fingerprint: str) -> list[str]:
    """The same by the runs that a fit of a study learned from; all extrapolated where they are gone."""
    runs = learned(store, study, fingerprint).weights
    return places(points, runs, elsewhere=not runs.size)


def with_places(store: Store, study: str, searches: list[dict]) -> list[dict]:
    """Results of searches in which each mixture says its "place", by the runs that its search's fit learned from."""
    for search in searches:
        mixtures = mixtures_of(search["found"])
        points = np.array([one["shares"] for one in mixtures])
        for one, place in zip(
            mixtures, places_in(store, study, points, search["settings"]["fingerprint"]), strict=True
        ):
            one["place"] = place
    return searches


def mixtures_of(found: dict) -> list[dict]:
    """The mixtures in a search's result (engine.search.Found.to_dict)."""
    near = found["near_optimal"]
    known = [found["found"], found["best"], near["nearest_prior"], near.get("cheapest")]
    return [one for one in [*known, *(gap["baseline"] for gap in found["differences"].values())] if one]


def extrapolation_note(found: list[str]) -> str | None:
    """The sentence that says how many predictions are extrapolated; None where none is."""
    if not (count := found.count(EXTRAPOLATED)):
        return None
    many = f"{count} of {len(found)} predictions are" if len(found) > 1 else "The prediction is"
    return f"{many} extrapolated: no run is as near as runs are to each other, or none had that size or budget."
