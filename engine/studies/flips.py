"""What got worse than under the prior mixture is counted once all runs of a size have ended. Uses the store."""

import numpy as np

from engine.core.errors import Problem
from engine.core.people import need
from engine.core.short_names import counted, digest
from engine.spec.flips import WINDOWS
from engine.spec.kinds.flips import FlipsTask, PlacedRun
from engine.spec.phases import PHASED
from engine.spec.repetition import DOSE
from engine.spec.starts import START
from engine.spec.statistics import SAME_POINT
from engine.studies.measured import frame_of_study
from store import jobs, runs, studies
from store.database import Store

SEEDS = 2  # of the reference, which tell its noise


def count_flips_if_due(store: Store, study: studies.Study) -> None:
    """Queue the count of flips for runs that have ended since. Raises Problem as `flips_due` does."""
    need("operator", "count flips")
    for job_id, spec in flips_due(store, study):
        store.submit(job_id, spec, study.id)


def flips_due(store: Store, study: studies.Study) -> list[tuple[str, dict]]:
    """The ids and specs of jobs that nobody has queued: one for each size whose runs have all ended, if any of them
    lacks its flips. A job that failed is not tried again unasked. Merges have theirs once they are measured.

    Raises Problem where the prior was trained with fewer than two seeds at the study's own size: then nobody knows what
    is noise.
    """
    if not study.spec.get("flips") or WINDOWS not in study.metrics or study.kind == "merge":
        return []
    prior, due = frame_of_study(study).prior, []
    for fidelity, rows in runs.by_size(store, study.id, study.metrics.index(WINDOWS)).items():
        done = [row for row in rows if row.state == "done"]
        asked = [row for row in done if not row.known]
        if not asked or any(row.state in ("planned", "running") for row in rows):
            continue
        usual = [row for row in done if row.role not in (DOSE, PHASED, START)]
        reference = [row.id for row in usual if np.abs(row.weights - prior).max() <= SAME_POINT]
        if len(reference) < SEEDS:
            if fidelity is None:
                raise Problem(
                    f"Cannot count what got worse in {study.name!r}: {counted(len(reference), 'run')} of the prior "
                    f"mixture ended well, and {SEEDS} seeds are the fewest. Resume the study, or start one without."
                )
            continue
        task = FlipsTask(
            study=study.id,
            runs=[PlacedRun(id=row.id, number=row.number, weights=row.weights.tolist()) for row in usual],
            asked=[row.id for row in asked],
            reference=reference,
            tasks=list(study.spec["tasks"]),
        )
        job_id = f"{study.id}-flips-{digest(task.asked)[:8]}"
        if jobs.find(store, job_id) is None:
            due.append((job_id, task.spec(priority=-1)))
    return due


def flips_to_come(store: Store, study: studies.Study) -> bool:
    """Whether flips of a study's runs are being counted, or will be: a fit waits for them."""
    if not study.spec.get("flips"):
        return False
    own = jobs.of_study(store, study.id)
    return any(job.kind == FlipsTask.kind and job.state in jobs.UNFINISHED for job in own) or bool(
        flips_due(store, study)
    )
