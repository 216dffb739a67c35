"""The leaderboard's content: one standing per surrogate, and the choice of the default."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.spec.kinds.fit import Standing
from engine.spec.statistics import ordered
from engine.surrogates import SURROGATES

FORMER = {"level": "tied"}  # what a standing's fields were called before
BASELINE = "own_share"  # the baseline of every surrogate
WORTH = 0.002  # of rank correlation: a smaller gain, however certain, is not worth a rougher or slower surrogate
MATERIAL = 0.02  # of rank correlation: for so much, certain, one that does not extrapolate is taken all the same


@dataclass(frozen=True)
class League:
    """Standings, best score first, those with a problem last; `default`: the surrogate to use.

    repeats: of the quick surrogates (a standing has its own); curve: engine.league.curve.Curve as a dict, or None; why:
    the reason for the default, a sentence; optimism: engine.league.optimism.Optimism of the default as a dict, or None.
    """

    standings: tuple[Standing, ...]
    default: str
    runs: int
    folds: int
    repeats: int
    seed: int
    curve: dict[str, Any] | None = None
    why: str | None = None
    optimism: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Standing:
        return next(standing for standing in self.standings if standing.name == name)

    @property
    def fitted(self) -> list[Standing]:
        """Those without a problem."""
        return [standing for standing in self.standings if standing.problem is None]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values: no NaN, no arrays."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "League":
        """The inverse of `to_dict`, also of earlier versions, with fewer fields. Raises Problem for anything else."""
        known = Standing.__dataclass_fields__
        try:
            rows = [{FORMER.get(key, key): item for key, item in one.items()} for one in value["standings"]]
            rows = [row for row in rows if row["name"] in SURROGATES]  # a later version may know others
            standings = tuple(Standing(**{key: row[key] for key in row if key in known}) for row in rows)
            league = cls(**{**value, "standings": standings})
        except (TypeError, KeyError, AttributeError) as error:
            raise Problem(f"Cannot read the leaderboard of the latest fit: {error}. Fit the study again.") from error
        if league.default not in [one.name for one in league.fitted]:
            raise Problem(f"Cannot use the surrogate {league.default!r}: this version lacks it. Fit the study again.")
        return league


def ranked(
    judged: dict[str, Standing], scores: dict[str, np.ndarray], regrets: dict[str, np.ndarray]
) -> tuple[list[Standing], str, str]:
    """Sorted standings, the default, and why. Those that raced out come after the others, then those with a problem.

    scores, regrets: name -> bootstrapped score, and regret of the run it would have picked; the same draws for all. A
    surrogate is tied with the best if its score is lower by at most one standard deviation of the difference over the
    draws, or by less than WORTH.
    """
    place = _places(judged, list(scores))
    best = min(place, key=place.__getitem__)
    for name in scores:
        judged[name] = replace(judged[name], tied=_tied(name, best, judged, scores))
        if name != BASELINE and BASELINE in scores:
            gaps = np.quantile(scores[name] - scores[BASELINE], [0.025, 0.975])
            margin = [_score(judged, name) - _score(judged, BASELINE), *gaps.tolist()]
            judged[name] = replace(judged[name], margin=margin)
    default, why = _default(best, place, judged, scores, regrets)
    raced = _places(judged, [name for name, one in judged.items() if one.raced and one.score is not None])
    last = len(judged)
    order = sorted(judged.values(), key=lambda one: (place.get(one.name, last), raced.get(one.name, last)))
    return order, default, why


def _places(judged: dict[str, Standing], names: list[str]) -> dict[str, int]:
    """The place of each by its score, 0 the best; tied ones in their given order."""
    order = ordered(np.array([-_score(judged, name) for name in names]))
    return {names[k]: place for place, k in enumerate(order)}


def _tied(name: str, best: str, judged: dict[str, Standing], scores: dict[str, np.ndarray]) -> bool:
    behind = _score(judged, best) - _score(judged, name)
    return bool(behind <= max(WORTH, (scores[best] - scores[name]).std()) + 1e-9)


def _score(judged: dict[str, Standing], name: str) -> float:
    score = judged[name].score
    assert score is not None  # only fitted ones are ranked
    return score


def _default(
    best: str,
    place: dict[str, int],
    judged: dict[str, Standing],
    scores: dict[str, np.ndarray],
    regrets: dict[str, np.ndarray],
) -> tuple[str, str]:
    """The surrogate to use, and why: it is asked for mixtures beyond the runs, which rank correlation does not see.

    The safest law or process that is tied with the best: first the process around a law, then the plainest. Where none
    is (trees stay flat beyond the runs, and products of shares run away), the best law or process is taken all the
    same, unless the better rank of the other shows where it matters: in the run that would have been picked, or by more
    than MATERIAL. The baseline is the default only where it is alone: it does not model interactions. Those that may
    not lead are it only where there is no other.
    """

    def plainest(names: list[str]) -> str:
        return min(names, key=lambda name: (SURROGATES[name].complexity, place[name]))

    if len(may := [name for name in scores if SURROGATES[name].may_lead]) > (BASELINE in scores):
        scores, best = {name: scores[name] for name in may}, min(may, key=place.__getitem__)
    tied = [name for name in scores if _tied(name, best, judged, scores) and name != BASELINE] or [BASELINE]
    sensible = [name for name in scores if SURROGATES[name].extrapolates]
    if safe := [name for name in tied if name in sensible] or ([] if sensible else tied):
        return plainest(safe), "of those that rank held-out runs best, within noise, it is the safest beyond them"
    rival = min(sensible, key=place.__getitem__)
    gains = scores[best] - scores[rival]
    if _score(judged, best) - _score(judged, rival) > MATERIAL and np.quantile(gains, 0.025) > 0:
        return plainest(tied), f"it ranks held-out runs better than every law and process, by more than {MATERIAL}"
    if np.quantile(regrets[rival] - regrets[best], 0.05) > 0:
        return plainest(tied), "the held-out runs that it picks are better than those that laws and processes pick"
    alike = [name for name in sensible if _tied(name, rival, judged, scores)]
    why = (
        f"it extrapolates beyond the runs, where the best point may lie; {SURROGATES[best].title} ranks held-out "
        "runs better, but does not pick better ones"
    )
    return plainest(alike), why
