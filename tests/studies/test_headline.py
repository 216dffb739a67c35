"""The headline of a study: how sure its answer is, and what would make it surer."""

from dataclasses import replace

import numpy as np
import pytest

from engine.core.workspace import Workspace
from engine.studies.confirmations import confirm
from engine.studies.fits import fit_of
from engine.studies.headline import MOST_SEEDS, headline, plan_of, with_more
from engine.studies.measured import Noise
from engine.studies.moments import moment_of
from engine.surrogates.prediction import difference
from store import confirm_runs, studies
from store.database import Store
from tests.support.running import copied


@pytest.fixture(scope="module")
def opened(finished, tmp_path_factory):
    store = Store(Workspace.open(copied(finished, tmp_path_factory.mktemp("headline") / "workspace")))
    yield store, studies.all_studies(store)[0]
    store.close()


def answer(store, study):
    return headline(store, moment_of(store, study))


def test_it_is_the_surrogates_difference_with_what_the_choice_costs(opened):
    store, study = opened
    one, fit = answer(store, study), fit_of(store, study)
    gap = difference(fit.surrogate, one.point, one.against[1], one.aggregate.weights)
    assert one.predicted == pytest.approx(gap.aggregate)
    assert one.bias is not None and one.gap == pytest.approx(one.predicted + one.bias)
    assert one.std > 0 and 0 <= one.sure <= 1
    assert one.against[0] == "natural" and one.seeds == 0 and one.measured is None
    assert one.noise.freedom >= 2  # of the study's repeats


def test_so_many_further_seeds_halve_the_doubt(opened):
    one = answer(*opened)
    for std, noise in ((0.1, 0.1), (0.02, 0.005), (1.0, 0.3)):
        more = with_more(replace(one, std=std, noise=Noise(noise, 3))).more
        after = (1 / std**2 + more / (2 * noise**2)) ** -0.5
        assert after <= std / 2 * 1.0001
        if more > 1:
            assert (1 / std**2 + (more - 1) / (2 * noise**2)) ** -0.5 > std / 2
    assert with_more(replace(one, std=0.01, noise=Noise(1.0, 3))).more is None  # out of reach
    assert with_more(replace(one, noise=None)).more is None


@pytest.mark.parametrize(("gap", "sure"), [(0.0, 0.5), (-0.196, 0.975), (0.196, 0.025)])
def test_sure_is_a_probability(opened, gap, sure):
    assert replace(answer(*opened), gap=gap, std=0.1).sure == pytest.approx(sure, abs=1e-3)


def test_its_plan_measures_both_with_seeds_that_add_to_those_there_are(opened):
    store, study = opened
    one = replace(answer(store, study), more=2)
    planned = confirm(store, study, plan_of(study, one))
    rows = confirm_runs.confirmations(store, study.id)
    assert len(planned) == len(rows) == 4 and {row.fidelity == study.spec["fidelity"] for row in rows} == {True}
    assert not confirm(store, study, plan_of(study, one))  # asked twice, it is the same
    more = confirm(store, study, plan_of(study, replace(one, seeds=2, more=1)))
    assert len(more) == 2
    assert np.allclose(rows[0].weights, one.point, atol=1e-6) and MOST_SEEDS >= 2
