"""A study at three moments: a search, then more runs and a fit, then more runs again."""

from pathlib import Path

import numpy as np

from engine.commands import COMMANDS
from engine.core.workspace import Workspace
from engine.studies import fits
from engine.studies.questions import queue_search
from store import jobs, studies
from store.database import Store
from tests.support.running import until
from tests.support.warm import warm_worker

FIRST, LATER = 6, 4  # runs between search and fit, and after the fit
OTHERS = {"python": 0.0}  # priorities


def come_apart(root: Path, kind: str) -> None:
    """Add runs to the finished study of a kind in a workspace, fit them, search by OTHERS alone, add runs again: the
    last of them measures best. It is cancelled first, so that nothing follows by itself."""
    store = Store(Workspace.open(root))
    try:
        study = next(one for one in studies.all_studies(store) if one.kind == kind)
        COMMANDS["cancel"](store, study.id)
        submit(store, study, "a", FIRST)
        before = studies.league(store, study.id)["fingerprint"]
        fits.ask_fit(store, studies.get(store, study.id))
        with warm_worker(root):
            until(lambda: store.ingest() >= 0 and studies.league(store, study.id)["fingerprint"] != before)
            asked = queue_search(store, studies.get(store, study.id), priorities=OTHERS, points=10_000)
            until(lambda: store.ingest() >= 0 and jobs.find(store, asked.id).state == "done")
        submit(store, study, "b", LATER)
    finally:
        store.close()


def submit(store: Store, study: studies.Study, name: str, count: int) -> None:
    """Runs at random points; each measures lower losses than the one before."""
    rng = np.random.default_rng(len(name) + count)
    rows = [
        {
            "id": f"{name}{n}",
            "weights": dict(zip(study.coordinates, rng.dirichlet(np.ones(len(study.coordinates))), strict=True)),
            "losses": {metric: 2.0 - 0.1 * n - (name == "b") + 0.01 * m for m, metric in enumerate(study.metrics)},
        }
        for n in range(count)
    ]
    COMMANDS["submit_runs"](store, study.id, rows)
