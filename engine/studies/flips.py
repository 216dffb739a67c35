"""Jobs that count what got worse than under the prior mixture, once the runs that they compare are there. Uses the
store."""

import numpy as np

from engine.spec.kinds.flips import FlipsTask, PlacedRun
from engine.spec.repetition import DOSE
from engine.spec.statistics import SAME_POINT
from engine.spec.study import StudySpec
from store import jobs, studies
from store.database import Store

SEEDS = 2  # of the reference, which tell its noise


def flips_jobs(spec: StudySpec, study: str, asked: list[dict], there: list[dict], prior: np.ndarray) -> list[dict]:
    """The job {"job", "spec"} that counts the flips of runs {"id", "number", "weights", "role", "job"}; none where they
    are not asked for, or the prior (D,) has too few runs at their size. there: all of that size, those asked included.
    """
    if not spec.flips or not asked:
        return []
    usual = [row for row in there if row["role"] != DOSE]
    reference = [row for row in usual if np.abs(np.array(row["weights"]) - prior).max() <= SAME_POINT]
    if len(reference) < SEEDS:
        return []
    task = FlipsTask(
        study=study,
        runs=[PlacedRun(**{key: row[key] for key in ("id", "number", "weights")}) for row in usual],
        asked=[row["id"] for row in asked],
        reference=[row["id"] for row in reference],
        tasks=list(spec.tasks),
    )
    waits = sorted({row["job"] for row in (*asked, *reference) if row.get("job")})
    return [{"job": f"{study}-flips-{asked[0]['number']:05d}", "spec": task.spec(priority=-1, depends_on=waits)}]


def counts_flips(store: Store, study: studies.Study) -> bool:
    """Whether flips of a study's runs are still to be counted: a fit waits for them."""
    if not study.spec.get("flips"):
        return False
    return any(job.kind == FlipsTask.kind and job.state in jobs.UNFINISHED for job in jobs.of_study(store, study.id))
