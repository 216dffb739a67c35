"""Propose the next runs, and queue proposed runs. Uses the store."""

from typing import NamedTuple

import numpy as np

from engine.core.checks import is_whole, or_null
from engine.core.errors import Problem
from engine.core.people import need, takes
from engine.search.acquisition import PROPOSERS
from engine.space.broken import broken
from engine.space.simplex import Simplex
from engine.spec.kinds.propose import ProposalSettings, ProposeTask
from engine.spec.statistics import SAME_POINT
from engine.spec.study import StudySpec
from engine.studies.measured import for_fitting, frame_of_study
from engine.studies.questions import Asked, ask_once, job_id_of, question_of, surrogate_file
from engine.studies.training import add_runs, plannable
from store import runs, studies
from store.database import Store, in_turn

MOST = 512  # runs of one proposal


class Started(NamedTuple):
    """The runs that train what was asked for, by id, and whether all of them were there already."""

    runs: list[str]
    already_there: bool


def queue_proposal(
    store: Store,
    study: studies.Study,
    proposer: str = "improvement",
    count: int = 8,
    surrogate: str | None = None,
    priorities: dict | None = None,
) -> Asked:
    """Queue a proposal of next runs (engine/search/proposal_job.py); the same request is one job.

    Raises Problem before the first fit, and for an invalid proposer or count.
    """
    need("operator", "ask for the next runs")
    if proposer not in PROPOSERS:
        raise Problem(f"Cannot propose by {proposer!r}: choose one of {', '.join(PROPOSERS)}.")
    if not is_whole(count, 1, MOST):
        raise Problem(f"Cannot propose {count!r} runs: ask for 1 to {MOST}.")
    asked, measured = question_of(store, study, surrogate, priorities), for_fitting(store, study.id)
    frame = frame_of_study(study)
    settings = ProposalSettings(
        **asked, proposer=proposer, count=count, seed=0, rounds_done=runs.rounds(store, study.id)
    )
    job_id = job_id_of(study, "propose", settings.to_dict())
    losses = [or_null(row) for row in measured.losses]
    task = ProposeTask(
        study=study.id,
        file=surrogate_file(store, study, settings),
        settings=settings,
        space=frame.space.to_dict(),
        prior=frame.prior.tolist(),
        weights=measured.weights.tolist(),
        losses=losses,
    )
    return ask_once(store, job_id, task.spec(priority=-1), study.id)


@takes("operator", "train proposed mixtures")
@in_turn
def start_proposed(store: Store, study: studies.Study, points: np.ndarray) -> Started:
    """Train proxies at proposed mixtures (B, D), as further runs of the study; surrogates are refitted afterwards.

    A mixture that was proposed and queued before is not trained again. Raises Problem if the constraints forbid a
    mixture, or the study cannot train.
    """
    points = np.atleast_2d(np.asarray(points, float))
    space = frame_of_study(study).space
    if points.shape[1] != len(space.names) or not space.contains(points).all():
        fits = points.shape[1] == len(space.names) and isinstance(space, Simplex)
        beyond = next((lines for point in points if (lines := broken(space, point))), []) if fits else []
        said = f" One has {'; '.join(beyond)}." if beyond else ""
        raise Problem(
            "Cannot train these mixtures: each needs one share per domain, at least 0 and together 1, inside the "
            f"study's constraints.{said} Propose again."
        )
    there = runs.proposed(store, study.id)
    known = [next((run for run, at in there if np.abs(at - point).max() <= SAME_POINT), None) for point in points]
    label = f"round {runs.rounds(store, study.id) + 1}"
    seed = StudySpec.from_dict(study.spec).seed
    rows = [
        {"role": "proposed", "label": label, "weights": point.tolist(), "seed": seed}
        for point, run in zip(points, known, strict=True)
        if run is None
    ]
    added = iter(add_runs(store, study, rows, plannable(study).fidelity) if rows else [])
    return Started([run or next(added) for run in known], not rows)
