"""Propose the next runs, and queue proposed runs. Uses the store."""

import numpy as np

from engine.core.checks import is_whole, or_null
from engine.core.errors import Problem
from engine.core.people import need
from engine.search.acquisition import PROPOSERS
from engine.spec.kinds.propose import ProposeTask
from engine.spec.study import StudySpec
from engine.studies.measured import for_fitting, frame_of_study
from engine.studies.questions import job_id_of, question_of, surrogate_file
from engine.studies.training import add_runs, trainable
from store import jobs, runs, studies
from store.database import Store

MOST = 512  # runs of one proposal


def queue_proposal(
    store: Store,
    study: studies.Study,
    proposer: str = "improvement",
    count: int = 8,
    surrogate: str | None = None,
    priorities: dict | None = None,
) -> str:
    """Queue a proposal of next runs (engine/search/proposal_job.py). Returns the job's id.

    Raises Problem before the first fit, and for an invalid proposer or count.
    """
    need("operator", "ask for the next runs")
    if proposer not in PROPOSERS:
        raise Problem(f"Cannot propose by {proposer!r}: choose one of {', '.join(PROPOSERS)}.")
    if not is_whole(count, 1, MOST):
        raise Problem(f"Cannot propose {count!r} runs: ask for 1 to {MOST}.")
    question, measured = question_of(store, study, surrogate, priorities), for_fitting(store, study.id)
    frame = frame_of_study(study)
    settings = {
        **question,
        "proposer": proposer,
        "count": count,
        "seed": 0,
        "rounds_done": runs.rounds(store, study.id),
    }
    job_id = job_id_of(study, "propose", settings)
    if jobs.find(store, job_id) is None:
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
        store.submit(job_id, task.spec(priority=-1), study.id)
    return job_id


def start_proposed(store: Store, study: studies.Study, points: np.ndarray) -> list[str]:
    """Train proxies at proposed mixtures (B, D), as further runs of the study; surrogates are refitted afterwards.

    Returns the runs' ids. Raises Problem if the constraints forbid a mixture, or the study cannot train.
    """
    need("operator", "train proposed mixtures")
    points = np.atleast_2d(np.asarray(points, float))
    space = frame_of_study(study).space
    if points.shape[1] != len(space.names) or not space.contains(points).all():
        raise Problem(
            "Cannot train these mixtures: each needs one share per domain, at least 0 and together 1, inside the "
            "study's constraints. Propose again."
        )
    label = f"round {runs.rounds(store, study.id) + 1}"
    seed = StudySpec.from_dict(study.spec).seed
    rows = [{"role": "proposed", "label": label, "weights": point.tolist(), "seed": seed} for point in points]
    return add_runs(store, study, rows, trainable(study).fidelity)
