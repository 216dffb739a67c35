"""The background job "fit": the leaderboard of a study's runs, its learning curve, and all surrogates fitted and saved.

R runs, D domains, M metrics.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.core.files import replacing
from engine.core.system import DAMAGED
from engine.core.workspace import checked_name
from engine.jobs.process_pool import Do, process_pool
from engine.jobs.spool import Job
from engine.league.curve import learning_curve
from engine.league.optimism import optimism_of
from engine.league.racing import Progress
from engine.league.standing import BASELINE, League
from engine.league.trial import Dosed, Trial, trial_of, with_members
from engine.league.validation import judged
from engine.space.box import Box
from engine.space.dirichlet import dirichlet
from engine.space.simplex import STRENGTHS, Space, space_from
from engine.spec.kinds.fit import FitTask, LeagueFinished, Standing
from engine.surrogates import SURROGATES, load, save
from engine.surrogates.base import Surrogate
from engine.surrogates.stack import Stack

PROCESSES = 2
CANDIDATES = 2000  # mixtures that refits choose from, for the stability of the recommendation
HELD_OUT = "held_out.npz"
PHASES = {"validate": (0.0, 0.75), "curve": (0.75, 0.85), "fit": (0.85, 1.0)}  # parts of the progress bar


def run(job: Job) -> None:
    """Run a FitTask: cross-validate, fit and save; emits the leaderboard.

    Saves <name>.npz and the held-out predictions to surrogates/<study>/<fingerprint> in the workspace.
    """
    task = job.task(FitTask)
    folder = job.workspace / "surrogates" / checked_name(task.study, "study")
    folder = folder / checked_name(task.fingerprint, "fingerprint")
    names = with_members(task.surrogates)
    weights, losses = np.array(task.weights, float), np.array(task.losses, float)
    space = None if task.space is None else space_from(task.space)
    weights = weights if space is None else space.features(weights)
    trial = trial_of(
        weights,
        losses,
        task.folds,
        task.repeats,
        task.seed,
        None if task.priorities is None else np.array(task.priorities),
        candidates_of(task.prior, space, weights),
    )
    trial = replace(trial, **conditions_of(task))
    parallel = (os.cpu_count() or 1) > 1 and any(SURROGATES[name].slow for name in names)
    with process_pool(PROCESSES if parallel else 1, trial) as do:
        league, held_out = judged(trial, names, do, phase(job, "validate"))
        if BASELINE in held_out:
            curve = learning_curve(trial, league.default, held_out, do, phase(job, "curve"))
            league = replace(league, curve=curve.to_dict())
        optimism = optimism_of(trial, league[league.default], space)
        league = replace(league, optimism=None if optimism is None else optimism.to_dict())
        save_fits(league, do, folder, space, phase(job, "fit"))
    save_held_out(held_out, folder)
    found = LeagueFinished(study=task.study, fingerprint=task.fingerprint, runs=len(weights), league=league.to_dict())
    job.emit(found)
    job.progress(1, 1, "done")


def conditions_of(task: FitTask) -> dict[str, Any]:
    """The `repeats` and `dosed` of the task's Trial."""
    if task.passes is None:
        return {}
    columns = (np.array([getattr(run, key) for run in task.dosed], float) for key in ("weights", "doses", "losses"))
    return {"repeats": np.array(task.passes, float), "dosed": Dosed(*columns) if task.dosed else None}


def phase(job: Job, name: str) -> Progress:
    """A progress function for one phase of the job."""
    start, end = PHASES[name]
    return lambda done, total, note: job.progress(start + (end - start) * done / max(1, total), 1 + 1e-9, note)


def candidates_of(prior: list[float] | None, space: Space | None, weights: np.ndarray) -> np.ndarray:
    """(CANDIDATES, D) points that the study's constraints allow, around its prior, or around the mean of the runs."""
    rng = np.random.default_rng(0)
    if space is None:
        return dirichlet(weights.mean(axis=0), CANDIDATES, rng, STRENGTHS)
    return space.features(space.draw(np.array(prior, float), CANDIDATES, rng))


def save_fits(league: League, do: Do, folder: Path, space: Space | None, progress: Progress) -> None:
    """Fit all but the stack to all runs, calibrate and save them; the stack combines these."""
    single = [standing for standing in league.fitted if standing.name != "stack"]
    list(do(_save_fit, [(one, folder) for one in single], lambda done, total: progress(done, total, "final fits")))
    for standing in league.fitted:
        if standing.name == "stack":
            weights = standing.members or {}
            members = {name: load(folder / f"{name}.npz") for name in weights}
            save(calibrated(Stack.combined(members, weights), standing), folder / "stack.npz")
    if isinstance(space, Box):
        for standing in league.fitted:
            save(load(folder / f"{standing.name}.npz"), folder / f"{standing.name}.npz", space)


def _save_fit(trial: Trial, standing: Standing, folder: Path) -> None:
    """Fit one surrogate to all runs, calibrate it by its standing, and save it as `<name>.npz`."""
    fitted = trial.fitted(standing.name, np.ones(len(trial.weights), bool))
    save(calibrated(fitted, standing), folder / f"{standing.name}.npz")


def calibrated(fitted: Surrogate, standing: Standing) -> Surrogate:
    """A surrogate with the errors of its standing, which every one that was fitted has."""
    assert standing.scale is not None and standing.correlation is not None
    return fitted.calibrated(np.array(standing.scale), np.array(standing.correlation))


def save_held_out(held_out: dict[str, np.ndarray], folder: Path) -> None:
    """Write name -> mean and standard deviation (2, R, M), atomically."""
    with replacing(folder / HELD_OUT) as part, open(part, "wb") as file:
        np.savez_compressed(file, **held_out)


def held_out_of(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A surrogate's held-out predictions: mean and calibrated std (R, M). Raises Problem if they are missing."""
    try:
        with np.load(folder / HELD_OUT, allow_pickle=False) as file:
            return tuple(file[name])
    except DAMAGED as error:
        raise Problem(f"Cannot read the held-out predictions of {name}: {error}. Fit the runs again.") from error
