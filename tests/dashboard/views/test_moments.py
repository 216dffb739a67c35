"""A study whose search, fit and runs are of three moments: every page and command says which number is whose."""

import logging
import re
from dataclasses import replace
from datetime import UTC

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.models import moments as words
from dashboard.server import state
from dashboard.views import MERGE, MIXTURE, pages_for
from dashboard.views.shared import predicted
from engine.commands import COMMANDS
from engine.core.workspace import Workspace
from engine.review.recipe import recipe_of
from engine.service.owner import Owner
from engine.studies.headline import headline
from engine.studies.measured import aggregate_of
from engine.studies.moments import moment_of
from engine.studies.points import best_measured, named_points, point_of
from engine.studies.side_by_side import side_by_side
from engine.surrogates.prediction import difference
from store import jobs, results, studies
from tests.dashboard.views.test_pages_in_a_unit import OTHERS as WITHOUT_LOSSES
from tests.dashboard.views.test_pages_in_a_unit import TEXTS, page
from tests.support.moments import FIRST, LATER, OTHERS, come_apart
from tests.support.running import copied

IDLE = {"ledger", "candidates", "review"}  # pages that show neither the fit nor the best
ID = r"best measured\\? ?\(?([\w\\-]+\d[\w\\-]*)"


@pytest.fixture(scope="module")
def store(merged, tmp_path_factory):
    logging.getLogger("streamlit").setLevel(logging.ERROR)
    root = copied(merged, tmp_path_factory.mktemp("moments") / "workspace")
    for kind in (MIXTURE, MERGE):
        come_apart(root, kind)
    owner = Owner(Workspace.open(root))
    state.use(owner)
    yield owner.store
    state.use(None)
    owner.close()


def of_kind(store, kind: str) -> studies.Study:
    return next(one for one in studies.all_studies(store) if one.kind == kind)


def opened(path: str, study: studies.Study, **link) -> AppTest:
    found = AppTest.from_function(page, args=(path, study.kind, study.id, "bits"), default_timeout=120)
    found.query_params.update({"study": study.id, **link})
    found.run()
    assert not found.exception and not found.error, (path, found.exception, found.error)
    return found


def texts_of(found: AppTest) -> list[str]:
    texts = [str(one.value) for kind in TEXTS for one in getattr(found, kind)]
    texts += [one.label for one in (*found.button, *found.metric)]
    texts += [option for one in found.selectbox for option in one.options]
    return texts + [one.value.to_csv() for one in found.dataframe]


def test_search_fit_and_runs_are_of_three_moments(store):
    for kind in (MIXTURE, MERGE):
        moment = moment_of(store, of_kind(store, kind))
        behind = moment.behind(moment.search)
        assert (moment.since, behind.since, behind.in_use) == (LATER, FIRST + LATER, False)
        assert moment.search != results.searches(store, moment.study.id)[0]  # which is by other priorities
        assert moment.best_run not in moment.fit.measured.ids


@pytest.mark.parametrize("kind", [MIXTURE, MERGE])
def test_what_every_page_calls_best_and_counts_is_of_one_moment_or_says_so(store, kind, monkeypatch):
    study, meters = of_kind(store, kind), []
    real = predicted.meters
    monkeypatch.setattr(predicted, "meters", lambda rows, label, key: [meters.append(label), real(rows, label, key)][1])
    moment, pages = moment_of(store, study), {}
    for path in pages_for(kind).keys() - WITHOUT_LOSSES - IDLE:
        meters.clear()
        pages[path] = [*texts_of(opened(path, study)), *meters]
    cards = pages.pop("studies")  # of all studies
    best = {path: named_best(texts) for path, texts in pages.items()}
    assert best["runs"] == best["explore"] == best["export"] == {moment.best_run}
    assert set().union(*best.values()) == {moment.best_run}
    fitted, searched = len(moment.fit.measured.ids), moment.behind(moment.search).runs
    for path, texts in pages.items():
        for one in texts:
            counts = {int(number) for number in re.findall(r"\bon (\d+) (?:runs|merges)", one)}
            assert counts <= {fitted} | ({searched} if "earlier fit" in one else set()), (path, one)
            for own, whole, others in re.findall(r"Fitted on (\d+) of (\d+) runs \((.*?)\)", one):
                assert int(own) + sum(map(int, re.findall(r"\b\d+", others))) == int(whole), one
    lines = {one for texts in (*pages.values(), cards) for one in texts if "come from the fit of" in one}
    said = {name: words.notes(moment_of(store, of_kind(store, name)), UTC) for name in (MIXTURE, MERGE)}
    assert lines == {":material/history: " + " ".join(one) for one in said.values()}  # the cards are of all studies
    assert {len(one) for one in said.values()} == {2}
    assert not [one for texts in (*pages.values(), cards) for one in texts if "± nan" in one]


def named_best(texts: list[str]) -> set[str]:
    """The ids of the runs that texts call best measured."""
    return {run.replace("\\", "") for one in texts for run in re.findall(ID, one, re.IGNORECASE)}


def test_the_headline_predicts_what_the_page_predicts(store):
    study = of_kind(store, MIXTURE)
    moment = moment_of(store, study)
    one, found = headline(store, moment), opened("explore", study)
    (shown,) = found.metric
    gap = difference(moment.fit.surrogate, one.point, one.against[1], one.aggregate.weights)
    assert one.predicted == pytest.approx(gap.aggregate)
    table = next(table.value for table in found.table if "number" in table.value)
    rows = dict(zip(table["number"], table["from"].str.replace("\\", ""), strict=True))  # escapes of Markdown
    assert shown.delta.startswith(rows["predicted difference"].split()[0])  # the faders stand at the best predicted
    assert f"on {moment.behind(moment.search).runs} runs, of an earlier fit" in rows["the mixture"]
    assert f"on {len(moment.fit.measured.ids)} runs" in rows["predicted difference"]
    assert (
        one.noise.freedom == study.done_roles["repeat"] and f"{one.noise.freedom} degrees" in rows["noise of one run"]
    )


def test_nothing_is_sure_by_a_surrogate_whose_choices_nobody_judged(store):
    study = of_kind(store, MIXTURE)
    default = moment_of(store, study).fit.league.default
    other = "ridge" if default != "ridge" else "gp"
    assert not headline(store, moment_of(store, study, surrogate=other)).judged
    found = opened("explore", study, surrogate=other)
    sentence = next(one for one in texts_of(found) if "is the best predicted" in one)
    assert "is unknown: no refits" in sentence and "sure." not in sentence
    assert found.session_state["surrogate"] == other  # as chosen
    found.session_state["surrogate-default"] = other  # as if it had been the default, and nobody's choice
    assert found.run().session_state["surrogate"] == default


def test_other_priorities_have_their_own_best_predicted(store):
    study = of_kind(store, MIXTURE)
    own, other = (moment_of(store, study, aggregate_of(store, study, by)) for by in (None, {**OTHERS, "digits": 1.0}))
    assert other.search == results.searches(store, study.id)[0] and other.behind(other.search).in_use
    points = [named_points(one)["best predicted"] for one in (own, other)]
    assert np.abs(points[0] - points[1]).max() > 0.01
    found = opened("explore", study, priorities=["python:0", "digits:1"])
    assert not [one for one in texts_of(found) if "comes from the search" in one]
    found = opened("explore", study, priorities=["python:2", "digits:1"])
    texts = texts_of(found)
    assert "best predicted" not in texts and "Search now" not in texts
    assert any("No search by these priorities yet" in one for one in texts)


def test_the_button_brings_them_together(store):
    study = of_kind(store, MERGE)
    found = opened("export", study)
    next(one for one in found.button if one.label == "Fit and search again").click().run()
    asked = [job for job in jobs.of_study(store, study.id) if job.kind == "fit" and job.state in jobs.UNFINISHED]
    assert len(asked) == 1 and not found.exception
    assert any("A fit is under way." in one for one in texts_of(found))
    assert "Fit and search again" not in texts_of(found)


@pytest.mark.parametrize("kind", [MIXTURE, MERGE])
def test_commands_say_what_their_answers_rest_on(store, kind):
    study = of_kind(store, kind)
    moment = moment_of(store, study)
    told = COMMANDS["show"](store, study.id)["moment"]
    fitted, behind = len(moment.fit.measured.ids), moment.behind(moment.search)
    assert (told["fit"]["runs"], told["fit"]["since"]) == (fitted, LATER)
    assert (told["search"]["job"], told["search"]["runs"]) == (moment.search_job, fitted - FIRST)
    assert told["best_measured"]["run"] == moment.best_run and told["best_measured"]["of"] == len(moment.measured.ids)
    best = list(told["best_predicted"].values())
    assert np.allclose(best, named_points(moment)["best predicted"]) and np.allclose(
        best, point_of(store, study, "best")
    )
    listed = {one["job"]: one["behind"] for one in COMMANDS["list_searches"](store, study.id)}
    assert listed[moment.search_job] == vars(behind) and [one["in_use"] for one in listed.values()] == [True, False]
    desk = COMMANDS["desk"](store, study.id)
    assert desk["best"]["run"] == moment.best_run and best_measured(moment) in desk["points"]
    assert (desk["fitted"], desk["since"]) == (fitted, LATER)
    recipe = recipe_of(store, study, "best")
    assert recipe.provenance["runs"] == fitted and recipe.provenance["search"]["runs"] == fitted - FIRST
    if kind == MIXTURE:
        limits = COMMANDS["targets"](store, study.id, {"python": 9.0})
        assert limits["search"]["job"] == moment.search_job and not limits["search"]["in_use"]


def test_two_studies_are_judged_by_their_own_priorities_and_say_of_when(store):
    pair = [of_kind(store, kind) for kind in (MIXTURE, MERGE)]
    for study, one in zip(pair, side_by_side(store, *pair).answers, strict=True):
        assert one.run == moment_of(store, study).best_run
        assert np.allclose(one.point, point_of(store, study, "best"))
        assert len(words.notes(one.moment, UTC)) == 2


def test_repeats_that_are_not_done_are_not_counted(store):
    moment = moment_of(store, of_kind(store, MIXTURE))
    study = moment.study
    early = replace(study, counts={"done": study.done - 2, "planned": 2}, done_roles={**study.done_roles, "repeat": 1})
    then = replace(moment, study=early)
    assert "(1 repeat for the noise, 4 finished since, 2 planned)" in words.fitted_words(then)
    assert words.noise_unknown(then) == "1 of 3 repeats is done, and the noise takes two"
