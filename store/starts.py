"""The query about runs that measure a study's start (engine/spec/starts.py)."""

import numpy as np

from engine.spec.starts import START
from store.database import Store


def measured_start(store: Store, study: str) -> np.ndarray | None:
    """(M,) the losses of a study's start, NaN where missing; None until it is measured."""
    rows = store.rows("SELECT losses FROM runs WHERE study = ? AND role = ? AND state = 'done'", [study, START])
    return np.array(rows[0][0], float) if rows else None
