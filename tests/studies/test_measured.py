"""What a study's mean is: losses relative to the natural mixture, where it asks for that."""

from dataclasses import replace

import numpy as np
import pytest

from engine.core.workspace import Workspace
from engine.studies.measured import aggregate_over, frame_of_study, points_measured
from store import studies
from store.database import Store
from tests.support.running import copied


def test_relative_losses_are_those_of_the_natural_mixture(finished, tmp_path):
    store = Store(Workspace.open(copied(finished, tmp_path / "workspace")))
    study = studies.all_studies(store)[0]
    measured, prior = points_measured(store, study.id), frame_of_study(study).prior
    store.close()
    there = np.abs(measured.weights - prior).max(1) < 1e-6
    natural = measured.losses[there].mean(0)
    asks = replace(study, spec={**study.spec, "relative": True})
    by = aggregate_over(asks, measured)
    assert by.of(natural) == pytest.approx(1.0) and by.title == "mean relative loss"
    counts = np.array(list(by.priorities.values()))
    assert by.of(measured.losses) == pytest.approx(measured.losses / natural @ counts / counts.sum())
    others = measured.take(np.flatnonzero(~there).tolist())
    assert aggregate_over(asks, others).unit == "bits per byte", "there is nothing to divide by yet"
    assert aggregate_over(study, measured).unit == "bits per byte"
