"""A fit waits for the flips of runs that have all ended, however many they are."""

from dataclasses import asdict

import numpy as np
import pytest

from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyMetric
from engine.spec.flips import flips_of
from engine.spec.objectives import BITS
from engine.studies.advance import fit_is_due
from store.database import Store
from tests.support.measured_study import measured_study


@pytest.mark.parametrize("counted", [False, True])
def test_a_fit_waits_for_flips_that_no_run_has_yet(tmp_path, counted):
    rng = np.random.default_rng(0)
    weights = np.vstack([np.full((3, 3), 1 / 3), rng.dirichlet(np.ones(3), 40)])
    worse = 0.1 * rng.uniform(size=len(weights)) if counted else np.full(len(weights), np.nan)
    metrics = [StudyMetric(metric="d0", unit=BITS, higher_is_better=False, domain="d0")]
    metrics += [StudyMetric(**asdict(one)) for one in flips_of("natural", [])]
    store = Store(Workspace.open(tmp_path / "workspace"))
    with as_person(SYSTEM):
        values = np.column_stack([2 - weights[:, 0], worse])
        study = measured_study(store, "s", weights, values, metrics, flips=True)
        assert study.open == 0 and study.done >= study.enough
        assert fit_is_due(store, study) is counted
    store.close()
