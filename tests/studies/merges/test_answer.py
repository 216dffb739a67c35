"""The answer of a merge study: what was measured, against what, and which merge is worth measuring next."""

from dataclasses import replace

import numpy as np
import pytest

from engine.studies.measured import reference_runs
from engine.studies.merges.answer import merge_answer, worth_measuring
from engine.studies.moments import moment_of
from store import runs


def test_it_is_the_best_measured_against_the_best_baseline(own):
    store, study = own
    moment = moment_of(store, study)
    one, measured = merge_answer(store, moment), runs.measured(store, study.id)
    name, row = next(iter(reference_runs(measured, moment.aggregate).items()))
    assert (
        one.run == moment.best_run
        and one.against == (name, measured.ids[row])
        and one.merges == len(moment.measured.ids)
    )
    gap = moment.aggregate.of(moment.measured.losses[moment.best]) - moment.aggregate.of(measured.losses[row])
    assert one.gap == pytest.approx(gap) and one.gap <= 0 and one.half > 0
    assert one.itself == (measured.ids[row] == one.run)
    assert one.apart == (abs(one.gap) > one.half)


def test_the_best_predicted_is_worth_measuring_until_it_is_measured(own):
    store, study = own
    moment = moment_of(store, study)
    point = np.array(moment.search["found"]["found"]["shares"])
    measured = moment.measured
    other = replace(moment, measured=replace(measured, weights=measured.weights + 0.3))
    assert np.allclose(worth_measuring(other), point)
    there = replace(moment, measured=replace(measured, weights=np.vstack([point, measured.weights[1:]])))
    assert worth_measuring(there) is None and not merge_answer(store, there).promising
    assert worth_measuring(replace(moment, search=None)) is None


def test_there_is_none_before_anything_is_measured(own):
    store, study = own
    moment = moment_of(store, study)
    assert merge_answer(store, replace(moment, measured=moment.measured.take([]))) is None
