"""A study's fits: the fitted surrogate in use, and the jobs that fit. Uses the store."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine import surrogates
from engine.core.checks import or_null
from engine.core.errors import Problem
from engine.core.people import need
from engine.core.short_names import listed
from engine.league import BASELINE, FEWEST_RUNS, League, Standing, held_out_of, with_members
from engine.spec.frame import Frame
from engine.spec.kinds.fit import DosedRun, FitTask
from engine.spec.repetition import is_matched
from engine.spec.study import StudySpec
from engine.studies.measured import aggregate_over, for_fitting, frame_of_study
from engine.studies.questions import Asked, ask_once
from engine.surrogates import Surrogate
from store import jobs, runs, studies
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
        return self.instead.title if self.instead else surrogates.title_of(self.name)

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

    Raises Problem if the surrogate is unknown or could not be fitted, and where runs behind the fit are gone.
    """
    latest = studies.league(store, study.id)
    if latest is None:
        return None
    league = League.from_dict(latest["league"])
    name = name or league.default
    check_fitted(league, name)
    folder = store.workspace.surrogates(study.id, latest["fingerprint"])
    measured = runs.measured_at_all_sizes(store, study.id)  # the fit may be of a size that had the most runs before
    place = {run: row for row, run in enumerate(measured.ids)}
    if gone := [run for run in latest["run_ids"] if run not in place]:
        raise Problem(
            f"Cannot use the fit of {study.name!r}: it rests on {listed(gone, 3)}, which the finished "
            "runs lack. Their lines may have been set aside (Studies lists those). Fit the study again."
        )
    behind = measured.take([place[run] for run in latest["run_ids"]])
    return Fit(name, league, latest["fingerprint"], behind, folder)


# Asking for a fit ---------------------------------------------------------------------------------------------


def can_fit(store: Store, study: studies.Study) -> bool:
    """Whether enough runs of one size are there for cross-validation."""
    return len(for_fitting(store, study.id).ids) >= FEWEST_RUNS


def fit_id(study: studies.Study, measured: runs.Measured) -> str:
    """The id of the job that fits these runs."""
    return f"{study.id}-fit-{measured.fingerprint}"


def ask_fit(store: Store, study: studies.Study) -> Asked:
    """The job that fits the measured runs, whatever its state; queued if there is none, again if it failed."""
    need("operator", "fit surrogates")
    measured = for_fitting(store, study.id)
    return ask_once(store, fit_id(study, measured), fit_task(store, study, measured), study.id)


def queue_fit(store: Store, study: studies.Study) -> str | None:
    """Queue the leaderboard's fit on the measured runs; None if there is one for them, or another is under way."""
    need("operator", "fit surrogates")
    measured = for_fitting(store, study.id)
    job_id = fit_id(study, measured)
    if jobs.find(store, job_id) is not None:
        return None
    if any(job.kind == "fit" and job.state in jobs.UNFINISHED for job in jobs.of_study(store, study.id)):
        return None
    ask_once(store, job_id, fit_task(store, study, measured), study.id)
    return job_id


def fit_task(store: Store, study: studies.Study, measured: runs.Measured) -> dict:
    """The spec of the job that fits the leaderboard to these runs (engine/league/job.py)."""
    frame = frame_of_study(study)
    task = FitTask(
        study=study.id,
        domains=study.coordinates,
        metrics=study.metrics,
        runs=measured.ids,
        weights=measured.weights.tolist(),
        losses=[or_null(row) for row in measured.losses],
        fingerprint=measured.fingerprint,
        surrogates=surrogates_of(study),
        priorities=aggregate_over(study, measured).weights.tolist(),
        space=frame.space.to_dict(),
        prior=frame.prior.tolist(),
        passes=passes_of(study, frame),
        dosed=[
            DosedRun(weights=one.weights.tolist(), doses=one.doses.tolist(), losses=or_null(one.losses))
            for one in runs.dosed(store, study.id)
        ],
    )
    return task.spec(priority=-1)


def passes_of(study: studies.Study, frame: Frame) -> list[float | None] | None:
    """Passes over each domain's text (D,) that a share of one makes in the real run; None where proxies did not see
    them, so that no surrogate can learn what repetition does."""
    if frame.pools is None or not frame.budget or not is_matched(StudySpec.from_dict(study.spec), frame):
        return None
    return or_null(frame.budget / frame.pools.tokens)


def surrogates_of(study: studies.Study) -> list[str] | None:
    """The surrogates that its leaderboard compares, the baseline of one share always among them; None: all."""
    chosen = study.spec.get("surrogates")
    return list(dict.fromkeys([BASELINE, *with_members(chosen)])) if chosen else None
