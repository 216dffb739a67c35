"""What jobs of merge studies say: the part of every_kind.py that is of merges alone."""

import json

from engine.jobs.decisions import JobPlanned
from engine.jobs.runs import run_id
from store.database import Store
from tests.support.nasty import DOMAINS, MERGE, RUNS, tell


def merge(store: Store) -> None:
    """What jobs say that choose merges themselves."""
    size = {"device": "cpu", "parameters": 5000}
    aggregate = json.loads(store.rows("SELECT settings FROM results WHERE study = ? LIMIT 1", [MERGE])[0][0])[
        "aggregate"
    ]
    point, values = [0.3] * DOMAINS, [2.0, 2.1, 2.2, 0.5]
    row = {
        "weights": point,
        "seed": 1,
        "losses": values,
        "losses_se": [0.1] * 4,
        "seconds": 1.0,
        "cpu_seconds": 1.0,
        **size,
    }
    asked = {"strategy": "guided", "evaluations": 2, "minutes": 0, "surrogate": "gp", "seed": 0, "spread": False}
    best = {"run": run_id(MERGE, RUNS + 1), "weights": point, "losses": values, "aggregate": 1.5, "trace": [1.6, 1.5]}
    result = {
        "settings": {**asked, "aggregate": aggregate},
        "found": {**best, "evaluations": 2, "seconds": 1.0, "known": 0},
    }
    learnt = {
        "method": "lm_cocktail",
        "losses": values,
        "losses_se": values,
        "file": None,
        "run": best["run"],
        "note": "x",
    }
    learning = {
        "settings": {"method": "lm_cocktail", "knobs": {}, "weight": point},
        "found": {**learnt, "seconds": 1.0},
    }
    for number, (kind, event, said) in enumerate(
        (("merge_search", "merge_search.finished", result), ("merge_learn", "merge.learned", learning)), RUNS + 1
    ):
        job = f"{MERGE}-{kind}"
        store.write(JobPlanned(job, {"kind": kind, "study": MERGE, "first": number}, MERGE))
        store.spool.submit({"kind": kind, "study": MERGE}, job)
        chosen = {"id": run_id(MERGE, number), "number": number, "role": "search", "label": "guided", **row}
        measured = {"kind": "runs.measured", "study": MERGE, "runs": [chosen]}
        tell(store, job, {"kind": "job.started"}, measured, {"kind": event, "study": MERGE, **said})


def apart(store: Store) -> None:
    """What the job says that takes a merge apart."""
    experts, job = [f"e{k}" for k in range(DOMAINS)], f"{MERGE}-ablation"
    values, errors, own = [2.0, 2.1, 2.2, 0.5], [0.1] * 4, [0.1] * DOMAINS
    asked = {"at": [0.3] * DOMAINS, "label": "best", "subsets": 1, "total": 1.0, "seed": 0}
    sets = [{"experts": experts[: k + 1], "losses": values, "losses_se": errors} for k in range(DOMAINS)]
    modules = [{"module": "head", "rise": own, "rise_se": own}]
    store.write(JobPlanned(job, {"kind": "merge_ablation", "study": MERGE}, MERGE))
    store.spool.submit({"kind": "merge_ablation", "study": MERGE}, job)
    found = {"subsets": sets, "modules": modules, "seconds": 1.0}
    tell(
        store,
        job,
        {"kind": "job.started"},
        {"kind": "merge.ablated", "study": MERGE, "settings": asked, "found": found},
    )
