"""Three answers to "which candidate?", each with its uncertainty: the votes by a Gaussian process over the points, the
votes by Bradley-Terry (dossier.py), and the predicted losses. Whatever is within noise of the first is named with it.
"""

import numpy as np

from engine.review.preferring import Taste, features_of, taste
from engine.review.standing import last_votes, wins
from engine.spec.statistics import ci_half_width, ordered
from store.reviews import Candidate, Event

MOST = 60  # points of which a taste is learnt: a second's work at most


def learnt(events: list[Event], found: list[Candidate]) -> dict | None:
    """What a team's votes say of its candidates and the baselines, whether voted on or not; None without votes.

    {"votes", "people", "rows": the most preferred first, each {"id": None of a baseline, "name", "votes", "mean" and
    "half" (95%) in probits against the average of all, "best": the chance to be the most preferred of them, "tied":
    the numbers of rows that the votes cannot tell from it}}.
    """
    given = {key: event for key, event in last_votes(events).items() if key[1] <= {one.id for one in found}}
    if not given:
        return None
    counts = {one.id: sum(one.id in pair for _, pair in given) for one in found}
    shown = sorted(found, key=lambda one: -counts[one.id])[:MOST]
    newest = found[0].frozen
    others = {name: there["point"] for name, there in newest["baselines"].items()}
    points = np.array([one.frozen["point"] for one in shown] + list(others.values()))
    table = np.zeros((len(points), len(points)))
    table[: len(shown), : len(shown)] = wins(events, [one.id for one in shown])
    rows = [{"id": one.id, "name": one.frozen["name"], "votes": counts[one.id]} for one in shown]
    rows += [{"id": None, "name": name, "votes": 0} for name in others]
    posterior = taste(features_of(points, newest["kind"] == "mixture"), table)
    return {"votes": len(given), "people": len({who for who, _ in given}), "rows": ranked(rows, posterior)}


def ranked(rows: list[dict], posterior: Taste) -> list[dict]:
    """Rows with the posterior at each, sorted by its mean."""
    order = ordered(-posterior.mean)
    place = {int(old): new for new, old in enumerate(order)}
    mean, half, best = posterior.mean, ci_half_width(posterior.std), posterior.best()
    return [
        rows[k]
        | {"mean": float(mean[k]), "half": float(half[k]), "best": float(best[k])}
        | {"tied": sorted(place[other] for other in posterior.tied(int(k)))}
        for k in order
    ]


def by_losses(found: list[Candidate]) -> list[dict]:
    """The candidates by their frozen predictions, the best first: {"id", "aggregate", "half" (95%), "inside_noise": its
    difference to the first is}. Only those that were frozen with the priorities of the newest; fits may differ, so
    their errors count as independent, which never claims too much."""
    same = [one for one in found if one.frozen["aggregate"] == found[0].frozen["aggregate"]]
    predicted = [one.frozen["predicted"] | {"id": one.id} for one in same]
    ranking = [predicted[k] for k in ordered(np.array([one["aggregate"] for one in predicted], float))]
    return [
        {
            "id": one["id"],
            "aggregate": one["aggregate"],
            "half": ci_half_width(one["aggregate_std"]),
            "inside_noise": within(one, ranking[0]),
        }
        for one in ranking
    ]


def within(one: dict, best: dict) -> bool:
    """Whether two predictions of a run are within noise of each other; every one is of itself."""
    half = ci_half_width(float(np.hypot(one["aggregate_std"], best["aggregate_std"])))
    return one["id"] == best["id"] or one["aggregate"] - best["aggregate"] < half
