"""What reading each domain more often is predicted to do, how far runs stand behind it, and how often is worth it.

Uses the store. A domain's share grows from nothing at a mixture, the others give way in proportion, and the aggregate's
predicted change is followed over its epochs. Errors are joint draws of the surrogate's mean function, so a change and
the place of its lowest point have intervals from the same draws. D domains, P points, S draws.
"""

from dataclasses import asdict, dataclass

import numpy as np

from engine.analysis.explain import with_share
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.search.acquisition import draws
from engine.space.baselines import epochs
from engine.spec.frame import Frame
from engine.spec.objectives import Aggregate
from engine.spec.repetition import is_matched
from engine.spec.statistics import first_lowest, ordered, weighted_sum
from engine.spec.study import StudySpec
from engine.studies.fits import Fit
from engine.studies.measured import learned
from engine.surrogates import Surrogate
from store import runs, studies
from store.database import Store

POINTS = 33
AT_LEAST = 8.0  # epochs that a curve goes to, where the text lasts
BEYOND = 2.0  # times the most that a run, or the mixture, reads: a curve goes no further
WIDE = 10.0  # times its lower end: an interval whose upper end lies beyond tells nothing
SELDOM = 0.1  # epochs that a lower end counts as at least
NAMED = 3  # domains that a sentence names
KNOWN, UNSEEN, UNSURE = "told", "beyond the runs", "cannot tell"


@dataclass(frozen=True)
class Worth:
    """How many epochs of a domain are worth it: where more of its share no longer helps, with a 95% interval.
    verdict: KNOWN; UNSEEN, more than any run read it; UNSURE, the interval is too wide to tell."""

    verdict: str
    epochs: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """One domain. read, dosed: epochs of the runs, and of the dose runs that cut it, at the study's own budget; here:
    at the mixture; epochs (P,) from 0 on; change (P,): of the aggregate from the mixture's, better when lower, with low
    and high of its 95% interval; fresh (P,): the change were repetition harmless."""

    domain: str
    read: list[float]
    dosed: list[float]
    here: float
    epochs: list[float]
    change: list[float]
    low: list[float]
    high: list[float]
    fresh: list[float]
    worth: Worth

    @property
    def most(self) -> float:
        """The most epochs of a run."""
        return max([*self.read, *self.dosed], default=0.0)


@dataclass(frozen=True)
class Seen:
    """How often the runs of a study read each domain, in epochs at its own budget: read (R, D); dosed: (D,) each."""

    read: np.ndarray
    dosed: list[np.ndarray]

    @property
    def most(self) -> np.ndarray:
        """(D,) the most epochs of a run; 0 where the text is unknown."""
        rows = np.concatenate([self.read, *(one[None] for one in self.dosed)])
        most: np.ndarray = np.nan_to_num(rows).max(axis=0, initial=0)
        return most


def epochs_read(store: Store, study: studies.Study, frame: Frame) -> Seen:
    """What the runs of a study with pools read that its latest fit learned from, and its finished dose runs."""
    tokens = _pools(frame)
    read = epochs(learned(store, study.id).weights.reshape(-1, len(tokens)), tokens, frame.budget)
    return Seen(read, [epochs(one.weights / one.doses, tokens, frame.budget) for one in runs.dosed(store, study.id)])


def beyond(names: list[str], there: np.ndarray, found: Seen) -> str | None:
    """The sentence that says which domains a mixture of `there` (D,) epochs repeats more often than any run; None if
    there are none."""
    times = np.nan_to_num(there) / np.maximum(1, found.most)
    more = [i for i in ordered(-times) if times[i] > 1 + 1e-6]
    if not more:
        return None
    sentences = [
        f"{names[i]} is read {there[i]:,.3g} times, and no run read it more than {found.most[i]:,.3g}" for i in more
    ]
    shown = listed(sentences, NAMED, between="; ")
    return f"Extrapolated: {shown}. Beyond the runs harm is taken to go on as it ended, with wide intervals."


def why_not(study: studies.Study, frame: Frame, fit: Fit) -> str | None:
    """Why nobody can say what repetition does here, in a sentence; None where the surrogate knows."""
    if frame.pools is None or frame.available is None or not frame.budget:
        return (
            "What repetition does is unknown here: it is not known how much text there is of each domain, or how many "
            "tokens the real run reads. Give the real counts."
        )
    if not is_matched(StudySpec.from_dict(study.spec), frame):
        return (
            "What repetition does is unknown here: all runs had one budget, and did not repeat text as the real run "
            "will. So shares and epochs moved together, and the level of the losses at another budget is not known. A "
            "study whose proxies repeat text as the real run will, best with dose runs, can tell."
        )
    if not fit.surrogate.sees_repetition:
        return (
            f"{fit.title} knows shares alone, and for runs of one budget shares and epochs move together. Law of "
            "epochs, and Gaussian process around a law where that law holds, know how often text is read."
        )
    return None


def curves(
    store: Store, study: studies.Study, frame: Frame, fit: Fit, aggregate: Aggregate, at: np.ndarray, tokens: float
) -> list[Curve]:
    """A curve of every domain whose text is known, at a mixture (D,) of a real run of `tokens`.

    frame: the study's own; fit: as `fit_at` moved it to these tokens. Raises Problem with `why_not`'s sentence.
    """
    if (why := why_not(study, frame, fit)) is not None:
        raise Problem(why)
    pools, found, cut = _pools(frame), epochs_read(store, study, frame), runs.dosed(store, study.id)
    made = []
    for i in map(int, np.flatnonzero(np.isfinite(pools) & (pools > 0))):
        read = [one for one in found.read[:, i].tolist() if one == one]
        dosed = [float(one[i]) for one, run in zip(found.dosed, cut, strict=True) if run.doses[i] < 1]
        most = float(found.most[i])
        made.append(
            Curve(study.domains[i], read, dosed, *_along(fit.surrogate, aggregate, at, i, tokens / pools[i], most))
        )
    return made


def _along(surrogate: Surrogate, aggregate: Aggregate, at: np.ndarray, domain: int, last: float, most: float) -> tuple:
    """What a curve has from `here` on: as one domain's share grows from 0, at most to `last` epochs; most: of a run."""
    here = float(at[domain] * last)
    far = min(last, max(BEYOND * most, BEYOND * here, AT_LEAST))
    grid = np.unique(np.r_[far * np.linspace(0, 1, POINTS) ** 2, here])
    points = np.array([with_share(at, domain, min(1.0, one / last)) for one in grid])
    own = int(np.searchsorted(grid, here))
    mean = weighted_sum(surrogate.mean(points), aggregate.weights)
    drawn = draws(surrogate, points, aggregate.weights, np.random.default_rng(0))
    fresh = weighted_sum(surrogate.unharmed(domain).mean(points), aggregate.weights)
    low, high = np.quantile(drawn - drawn[:, own, None], [0.025, 0.975], axis=0)
    columns = (grid, mean - mean[own], low, high, fresh - fresh[own])
    return here, *(values.tolist() for values in columns), worth_of(grid, mean, drawn, most)


def worth_of(grid: np.ndarray, mean: np.ndarray, drawn: np.ndarray, most: float) -> Worth:
    """Where a curve over epochs (P,) is lowest, by its mean (P,) and draws (S, P). most: epochs of a run."""
    best = float(grid[first_lowest(mean)])
    low, high = np.quantile(grid[first_lowest(drawn)], [0.025, 0.975])
    low, high = min(float(low), best), max(float(high), best)
    if low < most and high > max(1.0, WIDE * max(low, SELDOM)):
        return Worth(UNSURE, best, low, high)
    return Worth(UNSEEN if best > most else KNOWN, best, low, high)


def as_json(curve: Curve, aggregate: Aggregate) -> dict:
    """As JSON-able values, changes in the aggregate's own direction."""
    turned = {
        name: [aggregate.sign * one for one in getattr(curve, name)] for name in ("change", "low", "high", "fresh")
    }
    low, high = (turned["low"], turned["high"]) if aggregate.sign > 0 else (turned["high"], turned["low"])
    sums = {"runs": len(curve.read), "dose_runs": len(curve.dosed), "most": curve.most}
    return {**asdict(curve), **turned, "low": low, "high": high, **sums}


def _pools(frame: Frame) -> np.ndarray:
    """(D,) tokens of the real run's text."""
    assert frame.pools is not None
    return frame.pools.tokens
