"""A study's fitted surrogate. Uses the store."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine import surrogates
from engine.core.errors import Problem
from engine.league import League, Standing, held_out_of
from engine.surrogates import Surrogate
from store import runs, studies
from store.database import Store


@dataclass(frozen=True)
class Fit:
    """The surrogates fitted on a study's runs, and the one in use.

    measured: the runs it was fitted to, in the order of the held-out predictions; folder: of the fitted surrogates;
    instead: predicts in place of the surrogate in its file, such as one at another size.
    """

    name: str
    league: League
    fingerprint: str
    measured: runs.Measured
    folder: Path
    instead: Surrogate | None = None

    @property
    def surrogate(self) -> Surrogate:
        """What predicts: read only now, so that all else is known where its file is gone. Raises Problem then."""
        return self.instead or load(self.folder / f"{self.name}.npz")

    @property
    def title(self) -> str:
        return (self.instead or surrogates.SURROGATES[self.name]).title

    @property
    def standing(self) -> Standing:
        """The standing of the surrogate in use."""
        return self.league[self.name]

    @property
    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Held-out mean and std (R, M) of the measured runs. Raises Problem."""
        return predictions_of(self.folder, self.name)

    def other(self, name: str) -> "Fit":
        """Another surrogate of the same fit. Raises Problem as `check_fitted` does."""
        check_fitted(self.league, name)
        return replace(self, name=name, instead=None)


def check_fitted(league: League, name: str) -> None:
    """Raise Problem if a league has no surrogate of that name, or could not fit it."""
    standing = next((s for s in league.standings if s.name == name), None)
    if standing is None or standing.problem:
        there = ", ".join(s.name for s in league.standings if not s.problem)
        why = standing.problem if standing else "there is none of that name"
        raise Problem(f"Cannot use the surrogate {name!r}: {why}. Choose one of: {there}.")


load = lru_cache(maxsize=32)(surrogates.load)
predictions_of = lru_cache(maxsize=32)(held_out_of)


def fit_of(store: Store, study: studies.Study, name: str | None = None) -> Fit | None:
    """The latest fit of a study with that surrogate (default: the leaderboard's choice); None before the first.

    Raises Problem if the surrogate is unknown, or could not be fitted.
    """
    latest = studies.league(store, study.id)
    if latest is None:
        return None
    league = League.from_dict(latest["league"])
    name = name or league.default
    check_fitted(league, name)
    folder = store.workspace.surrogates(study.id, latest["fingerprint"])
    measured = runs.measured_at_all_sizes(store, study.id)  # the fit may be of a size that had the most runs before
    behind = measured.take([measured.ids.index(run) for run in latest["run_ids"]])
    return Fit(name, league, latest["fingerprint"], behind, folder)
